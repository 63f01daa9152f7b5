"""Which axis of a weight is its outputs, by the length of the bias beside it: PyTorch's first, others' last.

PyTorch stores outputs × inputs, its transposed convolutions inputs × outputs, GPT-2 of Hugging Face, haiku and weights
written by hand inputs × outputs. A bias has one value for each output.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

from tandv.checkpoints.entries import Shape

# Outputs × inputs; inputs × outputs (× kernel) as of transposed convolutions; kernel × inputs × outputs as in JAX; many
# matrices of outputs × inputs, or of inputs × outputs; no matrix: a factor for each value.
Layout = Literal[
    "outputs first", "inputs first", "outputs last", "stack, outputs first", "stack, outputs last", "elementwise"
]

_WEIGHT = re.compile(r"(.*?)(weight|kernel|[wW])(\w*)")
_TRANSPOSED = re.compile(r"transpose|deconv|conv_?t(?![a-z])|tconv", re.IGNORECASE)
_NORM = re.compile(r"\w*norm\w*|bn\d*|ln\w*|gn\d*", re.IGNORECASE)
_EMBEDDING = re.compile(r"emb|wte|wpe|W_E$|W_pos$", re.IGNORECASE)
OF_ATTENTION = ("query", "key", "value", "out", "attention_output")  # flax's modules whose kernels have three axes
_AS_OTHERS = "taken for inputs × outputs, as others beside them are"
_FOLLOWS = "taken for inputs × outputs, since each has as many rows as the one before it has columns"
_NOTHING_TELLS = "taken for outputs × inputs, which nothing beside them tells"
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
    return {name: layout for name, (layout, _) in orientations(shapes).items()}


def orientations(shapes: Mapping[str, Shape]) -> dict[str, tuple[Layout, str]]:
    """Return the layout of each weight, and what was guessed of it, "" where it is known or usual.

    >>> orientations({"experts.w_in": (8, 4, 6)})["experts.w_in"]
    ('outputs first', 'taken for a stack of outputs × inputs, which nothing beside it tells')

    Args:
        shapes: the shapes of all tensors of a model by name.
    """
    out: dict[str, tuple[Layout, str]] = {}
    undecided: list[str] = []
    biases = {bias for name in shapes for bias in (bias_of(name), f"{name}_bias") if bias in shapes}
    for name, shape in shapes.items():
        found = "elementwise" if name in biases else _layout(name, shape, shapes)
        if found is not None:
            out[name] = found, _doubt_of_kernel(name, shape, shapes)
        elif len(shape) >= 2:
            undecided.append(name)
    seen: dict[tuple[str, str, int], set[Layout]] = {}
    for name, (layout, _) in out.items():
        if layout != "elementwise":
            for kind in _kinds(name, shapes[name]):
                seen.setdefault(kind, set()).add(layout)
    known: set[Layout] = set()
    known.update(layout for name, (layout, _) in out.items() if len(shapes[name]) == 2 and layout != "elementwise")
    alone: list[str] = []
    for name in undecided:
        agreed = (seen[kind] for kind in _kinds(name, shapes[name]) if kind in seen)
        first = next((layouts for layouts in agreed if len(layouts) == 1), None)
        layout = next(iter(first)) if first else "outputs first"
        out[name] = layout, _doubt(name, shapes[name], layout, is_agreed=first is not None)
        if first is None and len(shapes[name]) == 2 and not _EMBEDDING.search(name):
            alone.append(name)
    return out | _of_matrices_alone({name: shapes[name] for name in alone}, known)


def _of_matrices_alone(shapes: Mapping[str, Shape], known: set[Layout]) -> dict[str, tuple[Layout, str]]:
    """Return the layouts of matrices that neither a bias nor others of their names tell, where others beside them do.

    A `weight` is a layer's of PyTorch, outputs × inputs; what is written by hand, such as `w1`, may be either.
    """
    by_hand = [name for name in shapes if (found := _WEIGHT.fullmatch(name.rpartition(".")[2])) and found[2] in "wW"]
    if known == {"inputs first"}:
        doubts: dict[str, tuple[Layout, str]] = dict.fromkeys(by_hand, ("inputs first", _AS_OTHERS))
        square = [name for name, (a, b) in shapes.items() if a == b and name not in doubts]
        doubts.update((name, ("outputs first", _NOTHING_TELLS)) for name in square)
        return doubts
    if "inputs first" in known:
        return dict.fromkeys(by_hand, ("outputs first", _NOTHING_TELLS))
    pairs = [(shapes[a], shapes[b]) for a, b in pairwise(by_hand)]
    if known or not pairs or not all(a[1] == b[0] for a, b in pairs) or all(a[0] == b[1] for a, b in pairs):
        return {}
    return dict.fromkeys(by_hand, ("inputs first", _FOLLOWS))


def _doubt_of_kernel(name: str, shape: Shape, shapes: Mapping[str, Shape]) -> str:
    module, _, last = name.rpartition(".")
    owner = module.rpartition(".")[2]
    if last != "kernel" or len(shape) != 3 or f"{module}.bias" in shapes or "conv" in owner.lower():
        return ""
    return "" if owner in OF_ATTENTION else "taken for many matrices, which a convolution without a bias looks like"


def _doubt(name: str, shape: Shape, layout: Layout, *, is_agreed: bool) -> str:
    if len(shape) > 2 and layout == "inputs first":
        return "taken for transposed convolutions, as others beside them are"
    if len(shape) == 3 and not is_agreed and "expert" in name and not name.endswith((".weight", ".kernel")):
        return "taken for a stack of outputs × inputs, which nothing beside it tells"
    return ""


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
    if len(shape) == 3 and (stacked := _of_stack(name, shape, shapes)):
        return stacked
    if bias is None or len(bias) != 1:
        return _by_norms(module, shape, shapes) if len(shape) > 2 and last == "weight" else None
    outputs = bias[0]
    if outputs == shape[0]:
        return "outputs first" if outputs not in shape[1:2] and (len(shape) == 2 or outputs != shape[-1]) else None
    if outputs == shape[1] or (len(shape) > 2 and groups_of(shape, outputs) > 1):
        return "inputs first"
    return "outputs last" if outputs == shape[-1] else "outputs first"


def _of_stack(name: str, shape: Shape, shapes: Mapping[str, Shape]) -> Layout | None:
    """Return the layout of a stack of matrices, such as experts, by the biases beside it or by what is before or after.

    Gates and values in one matrix have twice as many outputs as the matrix behind them has inputs.
    """
    _, rows, columns = shape
    bias = shapes.get(f"{name}_bias") or shapes.get(bias_of(name) or "", ())
    if len(bias) == 2 and rows != columns and bias[0] == shape[0] and bias[1] in (rows, columns):
        return "stack, outputs first" if bias[1] == rows else "stack, outputs last"
    pair = name.replace("gate_up", "down"), name.replace("down", "gate_up")
    for before, behind in ((name, pair[0]), (pair[1], name)):
        if before != behind and before in shapes and len(shapes.get(behind, ())) == 3 == len(shapes[before]):
            (_, a, b), (_, c, d) = shapes[before], shapes[behind]
            if b == 2 * c and a == d:
                return "stack, outputs last"
            if a == 2 * d and b == c:
                return "stack, outputs first"
    return None


def _by_norms(module: str, shape: Shape, shapes: Mapping[str, Shape]) -> Layout | None:
    """Return the layout of a convolution without bias in a sequence by the norms beside it, None if they tell none."""
    around, dot, number = module.rpartition(".")
    if not number.isdigit():
        return None

    def size(at: int) -> int | None:
        found = shapes.get(f"{around}{dot}{at}.weight", ())
        return found[0] if len(found) == 1 else None

    before, behind = size(int(number) - 1) or size(int(number) - 2), size(int(number) + 1)
    first, second = shape[:2]
    if first == second or behind == first:
        return "outputs first" if first != second else None
    if behind is not None:
        return "inputs first" if behind == second and before != second else None
    # a convolution of groups has a part of the inputs
    return "inputs first" if before == first and first % second else None


def _is_line(shape: Shape) -> bool:
    return sum(length > 1 for length in shape) < 2


def _kinds(name: str, shape: Shape) -> list[tuple[str, str, int]]:
    """Return what a weight has in common with others, the nearest first.

    It is the name of its layer; of matrices and in sequences also the module around it, whose convolutions may be of
    both kinds elsewhere; and its own name if that is not PyTorch's.
    """
    keys = name.split(".")
    layer = re.sub(r"\d+$", "", keys[-2]) if len(keys) > 1 else ""
    in_sequence = len(keys) > 1 and keys[-2].isdigit()
    around = ".".join(keys[:-2]) if len(shape) == 2 else ""
    if len(shape) > 2 and in_sequence:
        around = ".".join(keys[:-2]) or "."
    own = re.sub(r"\d+", "", keys[-1])
    if len(shape) == 3 and "expert" in name and "weight" not in own:
        around = ".".join(keys[:-1])
    kinds = {"layer": layer, "around": around, "own": "" if "weight" in own else own}
    return [(kind, text, len(shape)) for kind, text in kinds.items() if text]
