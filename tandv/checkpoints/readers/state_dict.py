"""Locate the model in a checkpoint: which of its tensors are the model's, and what the others are."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tandv.checkpoints.buffers import Updated
from tandv.checkpoints.entries import Entry, Shape
from tandv.checkpoints.order import model_order
from tandv.checkpoints.readers.copies import copies_in, is_copy, is_slot
from tandv.checkpoints.readers.opaque import Opaque, parts_of
from tandv.checkpoints.readers.optimisers import MOMENTS, holds_tensors, is_optimiser, tensors, updated
from tandv.checkpoints.readers.repeated import refuse_repeated
from tandv.checkpoints.warnings import RefusedCheckpoint, UnreadableCheckpoint, asks_for
from tandv.messages import some
from tandv.names import natural

# Common keys of the state dict, the most common first.
KEYS = ("state_dict", "model_state_dict", "model_state", "model", "module", "params")
ALL = "*"  # asks for all models of a file together
Key = str | Sequence[str] | None

# What training keeps beside the model, by the names of its keys. The first kinds may repeat the names of layers; the
# others are taken for it only where they hold none.
_LIKE_LAYERS = {
    "state of an optimiser": re.compile(r"opt|optim\w*|\w+_optim\w*|opt_state|tx"),
    "gradients": re.compile(r"grads?|gradients?"),
    "buffers": re.compile(r"batch_stats|buffers|cache|intermediates"),
}
_UNLIKE_LAYERS = {
    "state of a schedule or of the loop": re.compile(r"\w*(sched|scaler|callback|loop)\w*"),
    "state of random numbers": re.compile(r"\w*(rng|random)\w*|seed"),
    "settings": re.compile(r"\w*(hyper|hparam|config|cfg)\w*|args|settings"),
    "records of training": re.compile(
        r"(global_?)?(step|epoch|iter(ation)?|update)s?|num_(updates|steps|epochs)|n_?(iter|step|epoch)s?|count(er)?|t"
        r"|lr|learning_rate|beta[12]_power|\w*(loss|metric|histor|accurac)\w*|(train|val|valid|test|best)_\w*|logs?|best"
    ),
    "data": re.compile(
        r"(\w+_)?(data(set)?|inputs?|targets?|labels?|images?|batch|samples)(_\w+)?|[xy]_?(train|val|valid|test)"
    ),
}
# Models that are trained beside another.
_ROLES = re.compile(
    r"(net|model)?_?(g|d|gen|disc|generator|discriminator|critic|actor|policy|value|student|teacher)(_?(net|model|\d+))?"
    r"|q_?(net|f)?_?\d*",
    re.IGNORECASE,
)
_BESIDE = "tensors beside the model"
_IN_OPTIMISER = re.compile(r"(optim\w*|opt_state)\.")
_OF_LAYERS = re.compile(r"weight|bias|kernel|scale|embedding|[wbWB]")


class Contents(NamedTuple):
    """What is in a checkpoint: the tensors of its model, not read yet, and all that is no model.

    Args:
        entries: the tensors of the model by dotted name, in the order of the file.
        extras: what stands beside the model, such as settings.
        key: the key of the file that the model was taken from, dotted; "" if it is at the top; several with commas.
        left_out: sentences on what stands beside the model, such as the state of an optimiser.
        said: sentences on what was left out of the model, and on other models in the file.
        updated: the shapes of the parameters in each group of the optimisers in the file; None if there are none.
        in_order: whether the tensors are known to be in the order of the model.
    """

    entries: dict[str, Entry]
    extras: dict[str, Any]
    key: str = ""
    left_out: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    updated: Updated | None = None
    in_order: bool = True


def model_in(loaded: Any, key: Key = None) -> Contents:
    """Return the model in what a file holds, and say what of the file is not the model.

    Optimisers are recognised by what they hold. Of the rest, the model is what stands under one of KEYS, or under the
    only key that has tensors of layers; averages of it are left out. Raises UnreadableCheckpoint if there is none, or
    if there are several models and `key` does not say which.

    Args:
        loaded: dictionaries, lists and objects with an Entry for each tensor.
        key: the dotted key of a model, several of them, or "*" for all of them together.
    """
    _refuse_module(loaded)
    refuse_repeated(loaded)
    parts = parts_of(loaded)
    if parts is None or (not isinstance(loaded, Mapping | Opaque) and not holds_tensors(loaded)):
        raise UnreadableCheckpoint(f"it holds a {type(loaded).__name__}, not a state dict; save model.state_dict()")
    if not holds_tensors(loaded):
        if is_optimiser(loaded):  # without averages
            raise UnreadableCheckpoint("it holds the state of an optimiser, no model")
        raise UnreadableCheckpoint(
            f"it holds no state dict: its keys are {some(list(parts), 8) or 'none'}; "
            f"tensors are looked for at the top and under {', '.join(KEYS)}"
        )
    shapes = _updated(loaded)
    if key is not None and key != ALL:
        return _asked(loaded, [key] if isinstance(key, str) else list(key))._replace(updated=shapes)
    return _Search(loaded, pooled=key == ALL).found()._replace(updated=shapes)


def in_model_order(found: Contents) -> Contents:
    """Return a model whose names are in the order of the alphabet in that of the model, as far as names tell it."""
    names = list(found.entries)
    if names not in (sorted(names), sorted(names, key=natural)):
        return found
    ordered, known = model_order(names, [name for name in names if len(found.entries[name].shape) > 1])
    return found._replace(entries={name: found.entries[name] for name in ordered}, in_order=known)


class _Level(NamedTuple):
    """The parts of one dictionary that hold tensors, by what they are."""

    tensors: dict[str, Entry]  # directly in it
    models: dict[str, Any]  # what may be a model, or a module of one
    left: dict[str, str]  # why what is not the model's is left out


class _Search:
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
        while True:
            parts = parts_of(self.node) or {}
            level = _level(parts, below_params=self.path[-1:] == ("params",))
            if not level.tensors and not level.models:
                raise UnreadableCheckpoint(f"it holds {some(_whys(level.left)) or 'nothing'}, no model")
            names = self._choice(level, alone=len(parts) == 1)
            if not names:
                return self._here(parts, level)
            self._leave(parts, level.left | dict.fromkeys(level.tensors, _BESIDE))
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
            _refuse_module(self.node)

    def _choice(self, level: _Level, alone: bool) -> list[str]:
        """Return the keys under which to look further; none if this level is the model."""
        models = level.models
        flat = any(map(_is_state_dict, models.values()))
        whole = flat or any(map(_has_own_state, models.values()))
        if not models or (level.tensors and not (whole and not any(map(_is_of_layers, level.tensors)))):
            return []
        raw = [name for name in models if len(models) == 1 or not is_copy(name)] or list(models)
        if flat:  # what has no layers is data beside a model
            raw = [name for name in raw if _kind(name, models[name]) != _BESIDE] or raw
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
            f"it holds several models: {some([f'{self._full(n)} ({_count(models[n])})' for n in raw], 8)}; "
            f"say which with key={first!r} (--key {first}), or take all of them together with key={ALL!r}"
        )

    def _taking(self, taken: list[str], models: Mapping[str, Any]) -> list[str]:
        others = {self._full(name): child for name, child in models.items() if name not in taken}
        kinds = {name: (_kind(name.rpartition(".")[2], child), child) for name, child in others.items()}
        said = {name: kind for name, kind in kinds.items() if kind[0] != _BESIDE}
        self.said += [f"{sentence}; a key takes one of them" for sentence in _sentences(said)]
        self.left_out += _sentences({name: kind for name, kind in kinds.items() if name not in said})
        return taken

    def _here(self, parts: Mapping[str, Any], level: _Level) -> Contents:
        # single tensors, and layers that only the name of their module tells from the model's
        single = {
            name: why
            for name, why in level.left.items()
            if isinstance(parts[name], Entry) or (_of_each_layer(parts[name]) and not is_optimiser(parts[name]))
        }
        self.said += _sentences({self._full(name): (why, parts[name]) for name, why in single.items()})
        self._leave(parts, {name: why for name, why in level.left.items() if name not in single})
        model = {name: child for name, child in parts.items() if name not in level.left}
        entries, said = _cleaned(model)
        self.said += said
        self.extras |= {name: child for name, child in model.items() if not holds_tensors(child)}
        return self._done(entries, ".".join(self.path))

    def _leave(self, parts: Mapping[str, Any], left: Mapping[str, str]) -> None:
        self.left_out += _sentences({self._full(name): (why, parts[name]) for name, why in left.items()})

    def _full(self, name: str) -> str:
        return ".".join((*self.path, name))

    def _done(self, entries: dict[str, Entry], key: str) -> Contents:
        return Contents(entries, self.extras, key, tuple(self.left_out), tuple(self.said))


def _level(parts: Mapping[str, Any], below_params: bool = False) -> _Level:
    held = {name: child for name, child in parts.items() if holds_tensors(child)}
    if is_optimiser(parts):
        return _Level({}, {}, dict.fromkeys(held, "state of an optimiser"))
    left = {name: "state of an optimiser" for name, child in held.items() if name in MOMENTS or is_optimiser(child)}
    rest = {name: child for name, child in held.items() if name not in left}
    plain = not any(_is_of_layers(name) or not isinstance(child, Entry) for name, child in rest.items())
    found = {} if plain or below_params else {name: _beside(name, child) for name, child in rest.items()}
    beside = {name: why for name, why in found.items() if why}
    # a module of a model may have such a name: what is left out repeats the others
    beside = {name: why for name, why in beside.items() if not _is_module(rest[name], rest, beside)}
    left |= {name: "state of an optimiser" for name, child in rest.items() if _follows(child, rest)}
    if len(beside) < len(rest):
        left |= beside
    rest = {name: child for name, child in rest.items() if name not in left}
    direct = {name: child for name, child in rest.items() if isinstance(child, Entry)}
    return _Level(direct, {name: child for name, child in rest.items() if name not in direct}, left)


def _beside(name: str, child: Any) -> str | None:
    """Return what stands under a key that is not the model's, by its name; None for what may be the model's."""
    if "." in name or name in KEYS:
        return None
    layers = any(entry.shape and _OF_LAYERS.fullmatch(one.rpartition(".")[2]) for one, entry in tensors(child))
    kinds = _LIKE_LAYERS if layers else _LIKE_LAYERS | _UNLIKE_LAYERS
    return next((why for why, pattern in kinds.items() if pattern.fullmatch(name.lower())), None)


def _is_module(child: Any, rest: Mapping[str, Any], beside: Mapping[str, str]) -> bool:
    """Tell whether a part has layers that no part which is the model's has in the same shape."""
    own = _of_each_layer(child)
    others = {one for name, other in rest.items() if name not in beside for one in _of_each_layer(other, name)}
    return bool(own) and not own <= others


def _of_each_layer(node: Any, name: str = "") -> set[tuple[str, Shape]]:
    found = ((one.rpartition(".")[2] or name.rpartition(".")[2], entry.shape) for one, entry in tensors(node))
    return {(last, shape) for last, shape in found if shape and _OF_LAYERS.fullmatch(last)}


def _follows(child: Any, rest: Mapping[str, Any]) -> bool:
    """Tell whether a part has more tensors than one for each name of another part, or one for all together."""
    names = [{one for one in parts_of(other) or {} if "." in one} for other in rest.values() if other is not child]
    direct = {name: entry for name, entry in rest.items() if _is_of_layers(name) and isinstance(entry, Entry)}
    if isinstance(child, Entry):
        sizes = sum(math.prod(entry.shape) for entry in direct.values())
        return len(direct) > 1 and child.shape == (sizes,)
    of_each = parts_of(child) or {}
    is_deeper = bool(of_each) and not any(isinstance(one, Entry) for one in of_each.values())
    return is_deeper and any(len(known) > 1 and of_each.keys() == known for known in (*names, direct.keys()))


def _kind(name: str, child: Any) -> str:
    if is_copy(name):
        return "averages or copies of the model"
    layers = (one.rpartition(".")[2] for one, entry in tensors(child) if entry.shape)
    return "other models" if _is_state_dict(child) or any(map(_OF_LAYERS.fullmatch, layers)) else _BESIDE


def _is_of_layers(name: str) -> bool:
    return "." in name or bool(_OF_LAYERS.fullmatch(name))


def _is_state_dict(node: Any) -> bool:
    """Tell whether a dictionary is a module's own: PyTorch notes versions of modules in it, or its names are dotted."""
    if "_metadata" in getattr(node, "__dict__", {}):
        return True
    parts = parts_of(node) or {}
    return any("." in name and isinstance(child, Entry) for name, child in parts.items())


def _has_own_state(node: Any, depth: int = 4) -> bool:
    """Tell whether a part has its own optimiser, parameters or state dict: it is a model, and not a module of one."""
    return depth > 0 and any(
        name in ("state_dict", "model_state_dict", "params")
        or is_optimiser(child)
        or _is_state_dict(child)
        or _has_own_state(child, depth - 1)
        for name, child in (parts_of(node) or {}).items()
        if not isinstance(child, Entry) and holds_tensors(child)
    )


def _refuse_module(node: Any) -> None:
    if isinstance(node, Opaque) and {"_parameters", "_modules"} <= vars(node).keys():
        raise RefusedCheckpoint(asks_for([type(node).kind]))


def _cleaned(node: Any, prefix: str = "") -> tuple[dict[str, Entry], list[str]]:
    """Return the tensors of a model by name without those in it that are not its own, and sentences on these."""
    found = dict(tensors(node))
    left = {
        name: "state of an optimiser" for name in found if _IN_OPTIMISER.match(name) or MOMENTS & {*name.split(".")}
    }
    left |= {name: "state of an optimiser" for name in found if is_slot(name, found)}
    if len(left) == len(found):
        raise UnreadableCheckpoint("it holds the state of an optimiser, no model")
    if any(map(_is_of_layers, found)):
        single = (name for name, entry in found.items() if entry.shape in ((), (1,)) and name not in left)
        left |= {name: why for name in single if (why := _beside(name, found[name]))}
    left |= dict.fromkeys(
        copies_in({n: e for n, e in found.items() if n not in left}), "averages or copies of the model"
    )
    kept = {f"{prefix}{name}": entry for name, entry in found.items() if name not in left}
    return kept, _sentences({f"{prefix}{name}": (why, found[name]) for name, why in left.items()})


def _asked(loaded: Any, keys: Sequence[str]) -> Contents:
    """Return what stands under keys, and if it is a model beside other things, that model."""
    entries: dict[str, Entry] = {}
    left_out: list[str] = []
    said: list[str] = []
    lacking: list[str] = []
    for key in keys:
        node = _at(loaded, key)
        if node is not None and holds_tensors(node) and not isinstance(node, Entry):
            inside = Contents(dict(tensors(node)), {}) if is_optimiser(node) else _Search(node, pooled=True).found()
            found = inside.entries
            left_out += inside.left_out
            said += inside.said
        else:  # a module of one state dict
            below = (pair for pair in tensors(loaded) if pair[0].startswith(f"{key}."))
            found = {name.removeprefix(f"{key}."): entry for name, entry in below}
        lacking += [] if found else [key]
        entries |= {f"{key}.{name}" if len(keys) > 1 else name: entry for name, entry in found.items()}
    if lacking:
        raise UnreadableCheckpoint(f"it has no tensors under {some([repr(key) for key in lacking])}; {_there(loaded)}")
    extras = {name: child for name, child in (parts_of(loaded) or {}).items() if not holds_tensors(child)}
    if others := sum(1 for _ in tensors(loaded)) - len(entries):
        left_out.append(f"{others} tensors that are not under {some(list(keys))}")
    return Contents(entries, extras, ",".join(keys), tuple(left_out), tuple(said))


def _at(loaded: Any, key: str) -> Any:
    """Return what stands under a dotted key; keys may have dots themselves."""
    parts = parts_of(loaded) or {}
    if key in parts:
        return parts[key]
    for name, child in parts.items():
        if key.startswith(f"{name}.") and (inside := _at(child, key.removeprefix(f"{name}."))) is not None:
            return inside
    return None


def _there(loaded: Any) -> str:
    keys = [f"{name} ({_count(child)})" for name, child in (parts_of(loaded) or {}).items() if holds_tensors(child)]
    return f"there are {some(keys, 8)}"


def _updated(loaded: Any, depth: int = 6) -> Updated | None:
    """Return the shapes of all parameters that optimisers of PyTorch in the file update, group by group."""
    own = updated(loaded)
    if own is not None:
        return own
    parts = parts_of(loaded) or {}
    inside = [_updated(child, depth - 1) for child in parts.values() if depth and parts_of(child)]
    known = [groups for groups in inside if groups is not None]
    return [group for groups in known for group in groups] if known else None


def _whys(left: Mapping[str, str]) -> list[str]:
    return [f"the {why}" if why.startswith("state") else why for why in dict.fromkeys(left.values())]


def _count(node: Any) -> str:
    count = sum(1 for _ in tensors(node))
    return f"{count} tensor{'s' * (count != 1)}"


def _sentences(left: Mapping[str, tuple[str, Any]]) -> list[str]:
    together: dict[str, list[str]] = {}
    for name, (why, node) in left.items():
        together.setdefault(why, []).append(name if isinstance(node, Entry) else f"{name} ({_count(node)})")
    return [f"{why}: {some(names)}" for why, names in together.items()]
