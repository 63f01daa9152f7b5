"""Search a checkpoint for its model, from the top down, and say what was passed."""

import re
from collections.abc import Mapping
from typing import Any

from tandv.checkpoints.entries import Entry
from tandv.checkpoints.readers.beside import (
    BESIDE,
    COPIES,
    Level,
    by_key,
    count,
    has_own_state,
    is_of_layers,
    is_state_dict,
    kind,
    level_of,
    of_each_layer,
    sentences,
    whys,
)
from tandv.checkpoints.readers.contents import ALL, KEYS, Contents
from tandv.checkpoints.readers.copies import copies_in, is_copy, is_slot
from tandv.checkpoints.readers.opaque import parts_of
from tandv.checkpoints.readers.optimisers import MOMENTS, holds_tensors, is_optimiser, tensors
from tandv.checkpoints.warnings import UnreadableCheckpoint
from tandv.messages import some

# Models that are trained beside another.
_ROLES = re.compile(
    r"(net|model)?_?(g|d|gen|disc|generator|discriminator|critic|actor|policy|value|student|teacher)(_?(net|model|\d+))?"
    r"|q_?(net|f)?_?\d*",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"(\w+_)?(rng|random)_states?([./]|$)")
_IN_OPTIMISER = re.compile(r"(optim\w*|opt_state)\.")


class Search:
    """Goes down from the top of a file to the model, and remembers what it passed."""

    def __init__(self, loaded: Any, pooled: bool):
        self.node: Any = loaded
        self.path: tuple[str, ...] = ()
        self.pooled = pooled
        self.below_a_key = False
        self.extras: dict[str, Any] = {}
        self.left_out: list[str] = []
        self.said: list[str] = []

    def found(self) -> Contents:
        """Return the model. Raises UnreadableCheckpoint if there is none, or several."""
        while True:
            parts = parts_of(self.node) or {}
            level = level_of(parts, below_params=self.path[-1:] == ("params",))
            if not level.tensors and not level.models:
                raise UnreadableCheckpoint(f"it holds {some(whys(level.left)) or 'nothing'}, no model")
            names = self._choice(level, alone=len(parts) == 1)
            if not names:
                return self._here(parts, level)
            self._leave(parts, level.left | dict.fromkeys(level.tensors, BESIDE))
            self.extras |= {name: child for name, child in parts.items() if name not in names}
            if len(names) > 1:
                entries: dict[str, Entry] = {}
                for name in names:
                    kept, said = _cleaned(parts[name], f"{name}.")
                    entries |= kept
                    self.said += said
                return self._done(entries, ",".join(self._full(name) for name in names))
            self.below_a_key = self.below_a_key or names[0] in KEYS
            self.node, self.path = parts[names[0]], (*self.path, names[0])

    def _choice(self, level: Level, alone: bool) -> list[str]:
        """Return the keys under which to look further; none if this level is the model."""
        models = level.models
        flat = any(map(is_state_dict, models.values()))
        whole = flat or any(map(has_own_state, models.values()))
        if not models or (level.tensors and not (whole and not any(map(is_of_layers, level.tensors)))):
            return []
        raw = [name for name in models if len(models) == 1 or not is_copy(name)] or list(models)
        if flat:  # what has no layers is data beside a model
            raw = [name for name in raw if kind(name, models[name]) != BESIDE] or raw
        # a tree of modules in modules, as of JAX, is one model
        nested = not whole
        wrapping = KEYS if not self.below_a_key or len(raw) == 1 else ("state_dict", "model_state_dict", "params")
        key = next((name for name in wrapping if name in raw), None)
        if key and not (nested and key in ("model", "module") and len(raw) > 1):
            return self._taking([key], models)
        roles = len(raw) > 1 and all(_ROLES.fullmatch(name) for name in raw)
        if nested and not roles and (self.below_a_key or alone or len(raw) > 1):
            return []
        if len(raw) == 1 or self.pooled:
            return self._taking(raw, models)
        if self.below_a_key and not roles:  # parts of one model, as Megatron saves them
            return []
        first = self._full(raw[0])
        raise UnreadableCheckpoint(
            f"it holds several models: {some([f'{self._full(n)} ({count(models[n])})' for n in raw], 8)}; "
            f"say which with key={first!r} (--key {first}), or take all of them together with key={ALL!r}"
        )

    def _taking(self, taken: list[str], models: Mapping[str, Any]) -> list[str]:
        others = {self._full(name): child for name, child in models.items() if name not in taken}
        kinds = {name: (kind(name.rpartition(".")[2], child), child) for name, child in others.items()}
        said = {name: kind for name, kind in kinds.items() if kind[0] != BESIDE}
        self.said += [f"{sentence}; a key takes one of them" for sentence in sentences(said)]
        self.left_out += sentences({name: kind for name, kind in kinds.items() if name not in said})
        return taken

    def _here(self, parts: Mapping[str, Any], level: Level) -> Contents:
        # single tensors, and layers that only the name of their module tells from the model's
        single = {
            name: why
            for name, why in level.left.items()
            if isinstance(parts[name], Entry) or (of_each_layer(parts[name]) and not is_optimiser(parts[name]))
        }
        self.said += sentences({self._full(name): (why, parts[name]) for name, why in single.items()})
        self._leave(parts, {name: why for name, why in level.left.items() if name not in single})
        model = {name: child for name, child in parts.items() if name not in level.left}
        entries, said = _cleaned(model)
        self.said += said
        self.extras |= {name: child for name, child in model.items() if not holds_tensors(child)}
        return self._done(entries, ".".join(self.path))

    def _leave(self, parts: Mapping[str, Any], left: Mapping[str, str]) -> None:
        self.left_out += sentences({self._full(name): (why, parts[name]) for name, why in left.items()})

    def _full(self, name: str) -> str:
        return ".".join((*self.path, name))

    def _done(self, entries: dict[str, Entry], key: str) -> Contents:
        return Contents(entries, self.extras, key, tuple(self.left_out), tuple(self.said))


def _cleaned(node: Any, prefix: str = "") -> tuple[dict[str, Entry], list[str]]:
    """Return the tensors of a model by name without those in it that are not its own, and sentences on these."""
    found = dict(tensors(node))
    left = {
        name: "state of an optimiser" for name in found if _IN_OPTIMISER.match(name) or MOMENTS & {*name.split(".")}
    }
    left |= {name: "state of an optimiser" for name in found if is_slot(name, found)}
    left |= {name: "state of random numbers" for name in found if _RANDOM.match(name)}
    if len(left) == len(found):
        raise UnreadableCheckpoint("it holds the state of an optimiser, no model")
    if any(map(is_of_layers, found)):
        single = (name for name, entry in found.items() if entry.shape in ((), (1,)) and name not in left)
        left |= {name: why for name in single if (why := by_key(name, found[name]))}
    left |= dict.fromkeys(copies_in({n: e for n, e in found.items() if n not in left}), COPIES)
    kept = {f"{prefix}{name}": entry for name, entry in found.items() if name not in left}
    return kept, sentences({f"{prefix}{name}": (why, found[name]) for name, why in left.items()})
