"""Which axis of a weight is its outputs, by the length of the bias beside it: PyTorch's first, others' last.

PyTorch stores outputs × inputs, its transposed convolutions inputs × outputs, GPT-2 of Hugging Face, haiku and weights
written by hand inputs × outputs. A bias has one value for each output.
"""

import re
from collections.abc import Mapping
from typing import Literal

from tandv.checkpoints.entries import Shape

# Outputs × inputs; inputs × outputs (× kernel) as of transposed convolutions; kernel × inputs × outputs as in JAX; no
# matrix: a factor for each value.
Layout = Literal["outputs first", "inputs first", "outputs last", "elementwise"]

_WEIGHT = re.compile(r"(.*?)(weight|kernel|[wW])(\w*)")
_TRANSPOSED = re.compile(r"transpose|deconv|conv_?t(?![a-z])|tconv", re.IGNORECASE)
_NORM = re.compile(r"\w*norm\w*|bn\d*|ln\w*|gn\d*", re.IGNORECASE)
_BIAS = {"weight": "bias", "kernel": "bias", "w": "b", "W": "b"}


def layouts(shapes: Mapping[str, Shape]) -> dict[str, Layout]:
    """Return the layout of each weight, by its name in the file.

    Where inputs and outputs are equally many, those of the same name in other layers decide, then those beside it.

    >>> found = layouts({"a.weight": (2, 8), "a.bias": (8,), "b.weight": (8, 2), "b.bias": (8,)})
    >>> found["a.weight"], found["b.weight"]
    ('inputs first', 'outputs first')

    Args:
        shapes: the shapes of all tensors of a model by name.
    """
    out: dict[str, Layout] = {}
    undecided: list[str] = []
    for name, shape in shapes.items():
        found = _layout(name, shape, shapes)
        if found is not None:
            out[name] = found
        elif len(shape) >= 2:
            undecided.append(name)
    seen: dict[tuple[str, str, int], set[Layout]] = {}
    for name, layout in out.items():
        if layout != "elementwise":
            for kind in _kinds(name, shapes[name]):
                seen.setdefault(kind, set()).add(layout)
    for name in undecided:
        agreed = (seen[kind] for kind in _kinds(name, shapes[name]) if kind in seen)
        first = next((layouts for layouts in agreed if len(layouts) == 1), None)
        out[name] = next(iter(first)) if first else "outputs first"
    return out


def groups_of(shape: Shape, outputs: int) -> int:
    """Return in how many groups of channels a transposed convolution is.

    >>> groups_of((8, 2, 3, 3), 4)
    2

    Args:
        shape: inputs × outputs of a group × kernel.
        outputs: the number of all outputs.
    """
    groups = outputs // shape[1] if shape[1] else 1
    return groups if groups and outputs % shape[1] == 0 and shape[0] % groups == 0 else 1


def bias_of(name: str) -> str | None:
    """Return the name that the bias of a weight would have, None for what is no weight of a layer.

    >>> bias_of("fc.weight"), bias_of("attn.in_proj_weight"), bias_of("w1"), bias_of("fc.bias")
    ('fc.bias', 'attn.in_proj_bias', 'b1', None)

    Args:
        name: the name of a tensor.
    """
    module, dot, last = name.rpartition(".")
    found = _WEIGHT.fullmatch(last)
    if not found or (found[2] in "wW" and found[1]):
        return None
    return f"{module}{dot}{found[1]}{_BIAS[found[2]]}{found[3]}"


def _layout(name: str, shape: Shape, shapes: Mapping[str, Shape]) -> Layout | None:
    """Return the layout of a tensor if it alone tells; None if what is known of others may."""
    if len(shape) < 2:
        return "elementwise"
    module, _, last = name.rpartition(".")
    bias = shapes.get(bias_of(name) or "")
    if bias == shape or (
        _NORM.fullmatch(module.rpartition(".")[2]) and last in ("weight", "scale") and _is_line(shape)
    ):
        return "elementwise"
    if last == "kernel":
        return "outputs first"  # flax has a rule of its own, which its names tell
    if len(shape) > 2 and _TRANSPOSED.search(name):
        return "inputs first"
    if bias is None or len(bias) != 1:
        return None
    outputs = bias[0]
    if outputs == shape[0]:
        return "outputs first" if outputs not in shape[1:2] and (len(shape) == 2 or outputs != shape[-1]) else None
    if outputs == shape[1] or (len(shape) > 2 and groups_of(shape, outputs) > 1):
        return "inputs first"
    return "outputs last" if outputs == shape[-1] else "outputs first"


def _is_line(shape: Shape) -> bool:
    return sum(length > 1 for length in shape) < 2


def _kinds(name: str, shape: Shape) -> list[tuple[str, str, int]]:
    """Return what a weight has in common with others, the nearest first.

    It is the name of its layer; of matrices also the module around it, whose convolutions may be of both kinds; and
    its own name if that is not PyTorch's.
    """
    keys = name.split(".")
    layer = re.sub(r"\d+$", "", keys[-2]) if len(keys) > 1 else ""
    around = ".".join(keys[:-2]) if len(shape) == 2 else ""
    own = re.sub(r"\d+", "", keys[-1])
    kinds = {"layer": layer, "around": around, "own": "" if "weight" in own else own}
    return [(kind, text, len(shape)) for kind, text in kinds.items() if text]
