"""What stands beside a model in a checkpoint: recognised by what it holds, and where that tells nothing by its key."""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from tandv.checkpoints.entries import Entry, Shape
from tandv.checkpoints.readers.contents import KEYS
from tandv.checkpoints.readers.copies import is_copy
from tandv.checkpoints.readers.modules import StateDict
from tandv.checkpoints.readers.opaque import Opaque, parts_of
from tandv.checkpoints.readers.optimisers import MOMENTS, holds_tensors, is_optimiser, tensors
from tandv.messages import some

BESIDE = "tensors beside the model"
COPIES = "averages or copies of the model"
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
_OF_LAYERS = re.compile(r"weight|bias|kernel|scale|embedding|[wbWB]")


class Level(NamedTuple):
    """The parts of one dictionary that hold tensors, by what they are."""

    tensors: dict[str, Entry]  # directly in it
    models: dict[str, Any]  # what may be a model, or a module of one
    left: dict[str, str]  # why what is not the model's is left out


def level_of(parts: Mapping[str, Any], below_params: bool = False) -> Level:
    """Tell the parts of a dictionary that may be of the model from those that stand beside it."""
    held = {name: child for name, child in parts.items() if holds_tensors(child)}
    if is_optimiser(parts):
        return Level({}, {}, dict.fromkeys(held, "state of an optimiser"))
    left = {name: "state of an optimiser" for name, child in held.items() if name in MOMENTS or is_optimiser(child)}
    rest = {name: child for name, child in held.items() if name not in left}
    plain = not any(is_of_layers(name) or not isinstance(child, Entry) for name, child in rest.items())
    found = {} if plain or below_params else {name: by_key(name, child) for name, child in rest.items()}
    beside = {name: why for name, why in found.items() if why}
    # a module of a model may have such a name: what is left out repeats the others
    beside = {name: why for name, why in beside.items() if not _is_module(rest[name], rest, beside)}
    left |= {name: "state of an optimiser" for name, child in rest.items() if _follows(child, rest)}
    left |= {name: why for name, child in rest.items() if (why := _repeated(name, child, rest))}
    if len(beside) < len(rest):
        left |= beside
    rest = {name: child for name, child in rest.items() if name not in left}
    direct = {name: child for name, child in rest.items() if isinstance(child, Entry)}
    return Level(direct, {name: child for name, child in rest.items() if name not in direct}, left)


def by_key(name: str, child: Any) -> str | None:
    """Return what stands under a key that is not the model's, by its name; None for what may be the model's."""
    if "." in name or name in KEYS:
        return None
    layers = any(entry.shape and _OF_LAYERS.fullmatch(one.rpartition(".")[2]) for one, entry in tensors(child))
    kinds = _LIKE_LAYERS if layers else _LIKE_LAYERS | _UNLIKE_LAYERS
    return next((why for why, pattern in kinds.items() if pattern.fullmatch(name.lower())), None)


def _is_module(child: Any, rest: Mapping[str, Any], beside: Mapping[str, str]) -> bool:
    """Tell whether a part has layers that no part which is the model's has in the same shape."""
    own = of_each_layer(child)
    others = {one for name, other in rest.items() if name not in beside for one in of_each_layer(other, name)}
    return bool(own) and not own <= others


def of_each_layer(node: Any, name: str = "") -> set[tuple[str, Shape]]:
    """Return the last names and shapes of the tensors that layers have."""
    found = ((one.rpartition(".")[2] or name.rpartition(".")[2], entry.shape) for one, entry in tensors(node))
    return {(last, shape) for last, shape in found if shape and _OF_LAYERS.fullmatch(last)}


def _follows(child: Any, rest: Mapping[str, Any]) -> bool:
    """Tell whether a part has more tensors than one for each name of another part, or one for all together."""
    names = [{one for one in parts_of(other) or {} if "." in one} for other in rest.values() if other is not child]
    direct = {name: entry for name, entry in rest.items() if is_of_layers(name) and isinstance(entry, Entry)}
    if isinstance(child, Entry):
        sizes = sum(math.prod(entry.shape) for entry in direct.values())
        return len(direct) > 1 and child.shape == (sizes,)
    of_each = parts_of(child) or {}
    is_deeper = bool(of_each) and not any(isinstance(one, Entry) for one in of_each.values())
    return is_deeper and any(len(known) > 1 and of_each.keys() == known for known in (*names, direct.keys()))


def _repeated(name: str, child: Any, rest: Mapping[str, Any]) -> str:
    """Return what a part is that has a single number, and tensors of another part below keys of its own; "" if none."""
    own = {one: entry.shape for one, entry in tensors(child)}
    shaped = {one: shape for one, shape in own.items() if shape}
    if name in KEYS or len(shaped) == len(own) or not shaped:
        return ""
    for other in (other for key, other in rest.items() if key != name):
        known = {(one, entry.shape) for one, entry in tensors(other) if entry.shape}
        around = [_around(one, shape, known) for one, shape in shaped.items()]
        matched = [one for one in around if one]
        if len(set(matched)) > 1 and 2 * len(matched) >= len(around):
            return "state of an optimiser"
        others_are_single = all("." not in one for one, keys in zip(shaped, around, strict=True) if not keys)
        if len(set(matched)) == 1 and 1 < len(matched) == len(known) and others_are_single:
            return COPIES
    return ""


def _around(name: str, shape: Shape, known: set[tuple[str, Shape]]) -> str:
    """Return the keys around a tensor that another part has without them; "" if it has none of them."""
    keys = name.split(".")
    found = (at for at in range(1, len(keys)) if (".".join(keys[at:]), shape) in known)
    return ".".join(keys[: next(found, 0)])


def kind(name: str, child: Any) -> str:
    """Return what a part is that is not taken, of several that may be models."""
    if is_copy(name):
        return COPIES
    if isinstance(child, Opaque) and not has_own_state(child):  # settings, with a tensor in them
        return BESIDE
    layers = (one.rpartition(".")[2] for one, entry in tensors(child) if entry.shape)
    return "other models" if is_state_dict(child) or any(map(_OF_LAYERS.fullmatch, layers)) else BESIDE


def is_of_layers(name: str) -> bool:
    """Tell whether a name is one that the tensors of layers have."""
    return "." in name or bool(_OF_LAYERS.fullmatch(name))


def is_state_dict(node: Any) -> bool:
    """Tell whether a dictionary is a module's own: PyTorch notes versions of modules in it, or its names are dotted."""
    if isinstance(node, StateDict) or "_metadata" in getattr(node, "__dict__", {}):
        return True
    parts = parts_of(node) or {}
    return any("." in name and isinstance(child, Entry) for name, child in parts.items())


def has_own_state(node: Any, depth: int = 4) -> bool:
    """Tell whether a part has its own optimiser, parameters or state dict: it is a model, and not a module of one."""
    return depth > 0 and any(
        name in ("state_dict", "model_state_dict", "params")
        or is_optimiser(child)
        or is_state_dict(child)
        or has_own_state(child, depth - 1)
        for name, child in (parts_of(node) or {}).items()
        if not isinstance(child, Entry) and holds_tensors(child)
    )


def whys(left: Mapping[str, str]) -> list[str]:
    """Return what the parts are that are left out, each once."""
    return [f"the {why}" if why.startswith("state") else why for why in dict.fromkeys(left.values())]


def count(node: Any) -> str:
    """Return in words how many tensors a part has."""
    count = sum(1 for _ in tensors(node))
    return f"{count} tensor{'s' * (count != 1)}"


def sentences(left: Mapping[str, tuple[str, Any]]) -> list[str]:
    """Return a sentence for each reason why parts are left out, with their names."""
    together: dict[str, list[str]] = {}
    for name, (why, node) in left.items():
        together.setdefault(why, []).append(name if isinstance(node, Entry) else f"{name} ({count(node)})")
    return [f"{why}: {some(names)}" for why, names in together.items()]
