"""Which entries of a checkpoint are trained weights, and what each is called.

Names are the model's own, as in a log, by the rule of `tandv.names`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tandv.checkpoints.buffers import Updated, Verdict, is_buffer, is_float, verdicts
from tandv.checkpoints.effective import effective
from tandv.checkpoints.entries import Entry, Shape
from tandv.checkpoints.orientation import Layout, bias_of, orientations
from tandv.checkpoints.quantised import not_read
from tandv.messages import some
from tandv.names import Framework, framework_of, of_parameters, unwrapped


class Weight(NamedTuple):
    """A trained weight: its name in a log, and its name in the file, which tells its kind."""

    name: str
    stored_as: str
    entry: Entry
    layout: Layout = "outputs first"
    outputs: int | None = None  # how many, where a bias tells it
    is_sure: bool = True  # whether it is known to be trained; else neither its name nor an optimiser says so
    doubt: str = ""  # what was guessed of it


_WHY: dict[Verdict, str] = {
    "buffer by its name": "taken for buffers, which are not trained, by their names",
    "not updated": "not updated by the optimiser in the file",
}


_LORA = re.compile(r"(.*\.)?lora_[A-Za-z_]+(\..+)?")
_BESIDE_BASE = (
    "measured as tensors of their own, and the weights beside them without B·A, whose scale is not in the file"
)


def doubts(weights: Sequence[Weight]) -> list[str]:
    """Return sentences on what was guessed of weights.

    >>> doubts([Weight("up", "up.weight", Entry("float32", (2, 2), lambda: None), doubt="taken for outputs × inputs")])
    ['taken for outputs × inputs: up']

    Args:
        weights: the trained weights of a checkpoint.
    """
    together: dict[str, list[str]] = {}
    for weight in weights:
        if weight.doubt:
            together.setdefault(weight.doubt, []).append(weight.name)
    return [f"{text}: {some(names)}" for text, names in together.items()]


def own_names(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return entries by the model's own names, without those of wrappers, which a tracker has removed already."""
    if any(entry.layer is not None for entry in entries.values()):
        return dict(entries)
    plain = [name.removesuffix(":0") for name in entries]  # variables of TensorFlow
    if len(set(plain)) == len(plain):
        entries = dict(zip(plain, entries.values(), strict=True))
    return dict(zip(unwrapped(list(entries)), entries.values(), strict=True))


def trained(entries: Mapping[str, Entry], updated: Updated | None = None) -> tuple[list[Weight], list[str]]:
    """Return the trained weights in the order of the file, and descriptions of what was left out.

    Left out are buffers, tensors of other than floating-point numbers, empty ones, and all but the first of tied ones.
    A weight that a file holds in parts, such as a pruned one with its mask, is the weight that the model computes with.

    Args:
        entries: the tensors of a model by name.
        updated: the shapes of the parameters in each group of an optimiser in the file, in its order.
    """
    buffers: dict[str, list[str]] = {}
    omitted: dict[str, list[str]] = {}
    candidates: dict[str, Entry] = {}
    storages: dict[Any, str] = {}
    packed = not_read(entries)
    for name, why in packed.items():
        omitted.setdefault(why, []).append(name)
    for name, entry in effective({n: entry for n, entry in entries.items() if n not in packed})[0].items():
        if not is_float(entry):
            omitted.setdefault(_other_numbers(entry.dtype), []).append(f"{name} ({entry.dtype})")
        elif 0 in entry.shape:
            omitted.setdefault("empty", []).append(name)
        elif is_buffer(name, entry):
            buffers.setdefault("buffers, which are not trained", []).append(name)
        elif entry.storage is not None and entry.storage in storages:
            omitted.setdefault("tied, counted once", []).append(f"{name} (is {storages[entry.storage]})")
        else:
            candidates[name] = entry
            if entry.storage is not None:
                storages[entry.storage] = name
    found = verdicts(candidates, updated)
    for name, verdict in found.items():
        if verdict in _WHY:
            buffers.setdefault(_WHY[verdict], []).append(name)
    weights = {name: entry for name, entry in candidates.items() if found[name] not in _WHY}
    stated: Framework | None = next((one.framework for one in entries.values() if one.framework), None)
    framework: Framework = stated or framework_of(weights)
    layers = of_parameters([tuple(name.split(".")) for name in weights], framework)
    shapes = {name: entry.shape for name, entry in weights.items()}
    oriented = orientations(shapes)
    named = [
        Weight(
            entry.layer or layer,
            name,
            entry,
            oriented[name][0],
            _outputs(name, shapes),
            found[name] == "trained",
            _doubt(name, shapes) or oriented[name][1],
        )
        for layer, (name, entry) in zip(layers, weights.items(), strict=True)
    ]
    return named, [f"{why}: {some(names)}" for why, names in {**buffers, **omitted}.items()]


def _other_numbers(dtype: str) -> str:
    """Return why a tensor is not measured that holds other than dense floating-point numbers."""
    if dtype.startswith("meta "):
        return "tensors of the device meta, which have no values"
    if " " in dtype:  # the layout of PyTorch stands before it
        return "sparse or quantised tensors, which are not read"
    return "complex numbers, which are not measured" if dtype.startswith("complex") else "no floating point numbers"


def _outputs(name: str, shapes: Mapping[str, Shape]) -> int | None:
    bias = shapes.get(bias_of(name) or "", ())
    return bias[0] if len(bias) == 1 else None


def _doubt(name: str, shapes: Mapping[str, Shape]) -> str:
    adapted = _LORA.fullmatch(name)
    module = (adapted[1] or "") if adapted else ""
    return _BESIDE_BASE if adapted and {f"{module}weight", f"{module}base_layer.weight"} & shapes.keys() else ""
