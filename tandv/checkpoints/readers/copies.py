"""Recognise what repeats a model beside it: averages of its weights, copies that follow it, slots of TensorFlow."""

import re
from collections.abc import Mapping, Sequence

from tandv.checkpoints.entries import Entry, Shape

# Averages of the model over training, and copies that follow it.
_COPY = re.compile(r"ema|swa|shadow|averaged?|avg|polyak|target|old|prev(ious)?|ref|reference", re.IGNORECASE)
_COPY_IN_MODULE = re.compile(rf"{_COPY.pattern}|teacher|momentum|frozen", re.IGNORECASE)
# What TensorFlow keeps for each variable, behind its name or below that of the optimiser.
_SLOT = re.compile(
    r"(?P<behind>.+)\.(Adam|AMSGrad|Momentum|RMSProp|Adagrad|Adadelta|Ftrl|Lamb|LAMB)\w*(?P<end>:0)?"
    r"|(\w+\.)?(Adam\w*|SGD|RMSprop|RMSProp|Adagrad|Nadam|Lion)\.(m|v|vhat|momentum|velocity|rms)\.(?P<below>.+)"
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def is_copy(name: str) -> bool:
    """Tell whether a key is that of averages or of a copy, by its words.

    >>> is_copy("model_ema"), is_copy("policy_old"), is_copy("model")
    (True, True, False)

    Args:
        name: the key.
    """
    return _words(name, _COPY)


def copies_in(found: Mapping[str, Entry]) -> list[str]:
    """Return the names of a state dict below a module such as `ema_model` that repeats another one beside it.

    >>> one = Entry("float32", (2, 2), lambda: None)
    >>> copies_in({f"{module}.{name}": one for module in ("net", "ema_net") for name in ("0.weight", "1.weight")})
    ['ema_net.0.weight', 'ema_net.1.weight']

    Args:
        found: the tensors of the state dict by name.
    """
    below: dict[str, list[str]] = {}
    for name in found:
        modules = name.split(".")[:-1]
        for depth in range(1, min(len(modules), 2) + 1):
            below.setdefault(".".join(modules[:depth]), []).append(name)
    copies: list[str] = []
    for module, names in below.items():
        parent, _, own = module.rpartition(".")
        if not (_words(own, _COPY_IN_MODULE) or _is_of_keys(module, names, below)):
            continue
        beside = [
            one for one in (*below, parent) if (one != module and one.rpartition(".")[0] == parent) or one == parent
        ]
        repeated = _below(names, module, found)
        others = (_below([n for n in below.get(one, found) if n not in names], one, found) for one in beside)
        if len(repeated) > 1 and any(repeated <= other for other in others):
            copies += names
    return list(dict.fromkeys(copies))


def is_slot(name: str, found: Mapping[str, Entry]) -> bool:
    """Tell whether a tensor is what an optimiser of TensorFlow keeps for a variable.

    >>> one = Entry("float32", (2, 2), lambda: None)
    >>> is_slot("dense.kernel.Adam:0", {"dense.kernel:0": one, "dense.kernel.Adam:0": one})
    True

    Args:
        name: its name.
        found: the tensors of the model by name.
    """
    slot = _SLOT.fullmatch(name)
    variable = found.get(slot["below"] or f"{slot['behind']}{slot['end'] or ''}") if slot else None
    return variable is not None and variable.shape == found[name].shape


def _is_of_keys(module: str, names: Sequence[str], below: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether a module is the encoder of keys that follows that of queries (MoCo), and no layer of attention."""
    inside = {name.removeprefix(f"{module}.").partition(".")[0] for name in names}
    layers = {one for one in inside if not re.fullmatch(r"weight|bias|base_layer|lora_\w+", one)}
    queries = re.sub(r"k(ey)?$", lambda found: "query" if found[1] else "q", module)
    return module.endswith(("_k", "_key")) and queries in below and len(layers) > 1


def _below(names: Sequence[str], module: str, found: Mapping[str, Entry]) -> set[tuple[str, Shape]]:
    # averages may be kept under names without dots, since those of buffers cannot have any
    start = f"{module}." if module else ""
    return {(name.removeprefix(start).replace(".", ""), found[name].shape) for name in names if found[name].shape}


def _words(name: str, pattern: re.Pattern[str]) -> bool:
    return any(pattern.fullmatch(word) for word in _WORD.findall(name))
