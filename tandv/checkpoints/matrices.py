"""Split a weight into matrices: a convolution is one, of out × in·kh·kw; a stack of heads is one for each head."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Literal, NamedTuple

import numpy as np

from tandv.checkpoints.orientation import Layout, groups_of

Kind = Literal["linear", "convolution", "embedding", "vector"]

# The kind follows from the name: a state dict has no module classes.
_EMBEDDING = re.compile(
    r"(.*[._])?(\w*embed\w*|wte|wpe|emb|(tok|pos|position|token)_emb|W_E|W_pos)([._].*)?", re.IGNORECASE
)
_CONVOLUTION = re.compile(r"conv", re.IGNORECASE)
_PRINCIPAL_OF_TORCH = re.compile(r"(.*\.)?(weight(_v)?|parametrizations\.weight\.original\d*)")
_IN_HEADS = ("query", "key", "value")
_OF_LINEAR = re.compile(r"(\w+_)?(linear|fc|proj|projection|dense|lin|mlp)(_?\d+)?|\w+_(in|out)", re.IGNORECASE)


class Piece(NamedTuple):
    """One matrix of a weight as outputs × inputs, or a weight that is no matrix as one row of values."""

    name: str
    kind: Kind
    values: np.ndarray  # [rows, columns], a view where possible; a vector is [1, size]


def pieces(
    name: str, stored_as: str, array: np.ndarray, layout: Layout = "outputs first", outputs: int | None = None
) -> Iterator[Piece]:
    """Yield the matrices of a weight, or itself if it is a vector.

    The `weight` of a module that has two axes or more is a matrix of outputs × inputs, even if one of them is 1; with
    three and more it is a convolution, as is what has "conv" in its name. Any other tensor of three and more axes is a
    stack of matrices over its leading axes, called `name[0]`, `name[1]`, ... A `kernel` is flax's, whose inputs come
    first: it is transposed to outputs × inputs, and split into heads where it belongs to a query, key, value or out.

    >>> [(piece.name, piece.values.shape) for piece in pieces("attn.W_Q", "attn.W_Q", np.ones((2, 3, 4)))]
    [('attn.W_Q[0]', (3, 4)), ('attn.W_Q[1]', (3, 4))]
    >>> [piece.values.shape for piece in pieces("conv1", "conv1.weight", np.ones((8, 3, 5, 5)))]
    [(8, 75)]
    >>> [piece.values.shape for piece in pieces("c_fc", "c_fc.weight", np.ones((2, 8)), layout="inputs first")]
    [(8, 2)]

    Args:
        name: the name in a log.
        stored_as: the name in the file, which tells its kind.
        array: the values.
        layout: which axis is that of outputs, see `orientation.layouts`.
        outputs: how many outputs there are, if that is known; a transposed convolution in groups has a part of them.
    """
    module, _, last = stored_as.rpartition(".")
    of_module = bool(_PRINCIPAL_OF_TORCH.fullmatch(stored_as)) or last == "kernel"
    is_line = sum(length > 1 for length in array.shape) < 2 < array.ndim and not of_module
    if array.ndim < 2 or layout == "elementwise" or is_line:
        yield Piece(name, "vector", array.reshape(1, -1))
    elif last == "kernel":
        yield from _flax(name, module, array, outputs)
    elif array.ndim == 2:
        rows = array if layout == "outputs first" else array.T
        # an embedding has no bias; modules around it may be called so
        is_embedding = _EMBEDDING.fullmatch(stored_as) and outputs is None
        own = module.rpartition(".")[2]
        yield Piece(name, "embedding" if is_embedding and not _OF_LINEAR.fullmatch(own) else "linear", rows)
    elif layout in ("stack, outputs first", "stack, outputs last"):
        yield from _stack(name, array.swapaxes(-1, -2) if layout == "stack, outputs last" else array)
    elif layout == "outputs last":
        yield Piece(name, "convolution", array.reshape(-1, array.shape[-1]).T)
    elif layout == "inputs first":
        yield Piece(name, "convolution", _transposed(array, outputs))
    elif of_module or _CONVOLUTION.search(stored_as):
        yield Piece(name, "convolution", array.reshape(len(array), -1))
    else:
        yield from _stack(name, array)


def _transposed(array: np.ndarray, outputs: int | None) -> np.ndarray:
    """Return a transposed convolution as outputs × inputs · kernel; in groups, the inputs are those of a group."""
    groups = groups_of(array.shape, outputs or array.shape[1])
    split = array.reshape(groups, len(array) // groups, array.shape[1], -1)
    return split.swapaxes(1, 2).reshape(groups * array.shape[1], -1)


def _flax(name: str, module: str, array: np.ndarray, outputs: int | None) -> Iterator[Piece]:
    owner = module.rpartition(".")[2]
    # a bias of one axis is that of a convolution or an output; heads have one of two
    in_heads = owner in _IN_HEADS and outputs is None and (array.ndim == 3 or array.shape[0] != array.shape[1])
    is_output = owner in ("out", "attention_output") and array.ndim == 3
    if array.ndim > 2 and in_heads:
        yield from _stack(name, np.moveaxis(array, -3, -1))  # inputs × heads × width
    elif array.ndim > 2 and not is_output and (array.ndim > 3 or outputs or _CONVOLUTION.search(owner)):
        yield Piece(name, "convolution", array.reshape(-1, array.shape[-1]).T)
    else:
        yield from _stack(name, array.swapaxes(-1, -2))


def _stack(name: str, array: np.ndarray) -> Iterator[Piece]:
    for at in product(*(range(length) for length in array.shape[:-2])):
        yield Piece(name + (f"[{','.join(map(str, at))}]" if at else ""), "linear", array[at])
