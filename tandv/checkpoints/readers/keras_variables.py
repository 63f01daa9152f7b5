"""What the variables of a layer of Keras are, which a file of weights only numbers, in the layout that flax has.

Kernels of Keras are kernel × inputs × outputs as those of flax, but for two: those of transposed convolutions have the
outputs before the inputs, and those of depthwise ones the outputs of each input on the last axis.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tandv.checkpoints.entries import Shape

Arrange = Callable[[np.ndarray], np.ndarray]
# By the words of a layer's class: its variables in order.
_VARIABLES: dict[str, Sequence[str]] = {
    r"(layer|group|unit|rms)_?norm\w*": ("gamma", "beta"),
    r"embeddings?": ("embeddings",),
    r"(lstm|gru|rnn)(_cell)?": ("kernel", "recurrent_kernel", "bias"),
    r"separable": ("depthwise_kernel", "pointwise_kernel", "bias"),
    r"p_?re_?lu": ("alpha",),
    r"(?<!_)normalization": ("mean", "variance", "count"),
}
_BATCH_NORM = re.compile(r"batch_?norm|(?<![a-z])bn")
_BUFFERS = ("moving_mean", "moving_variance", "mean", "variance", "count", "seed_generator_state")
# Kernels beside `kernel` itself, as modules of their own: each is inputs × outputs.
_OTHER_KERNELS = re.compile(r"(recurrent|depthwise|pointwise)_kernel")


class Variable(NamedTuple):
    """A variable of a layer: what it is called, what tells its kind, and how it becomes kernel × inputs × outputs."""

    name: str  # as Keras calls it, "" if that is not known
    stored_as: str  # below the layer, by which its kind is known
    shape: Shape
    is_buffer: bool
    arrange: Arrange


def names_of(kind: str, shapes: Sequence[Shape]) -> list[str]:
    """Return what Keras calls the variables of a layer, "" for each that is not known.

    >>> names_of("conv2d", [(3, 3, 1, 8), (8,)]), names_of("batch_normalization", [(8,), (8,), (8,)])
    (['kernel', 'bias'], ['', 'moving_mean', 'moving_variance'])

    Args:
        kind: the words of its class, and of its name.
        shapes: the shapes of its variables in order.
    """
    lines = len(set(shapes)) == 1 and len(shapes[0]) == 1
    if lines and (_BATCH_NORM.search(kind) or len(shapes) == 4):
        first = {4: ["gamma", "beta"], 3: [""]}.get(len(shapes), [])
        return [*first, "moving_mean", "moving_variance"][: len(shapes)]
    known = next((names for words, names in _VARIABLES.items() if re.search(words, kind)), ())
    if not known and shapes and len(shapes[0]) > 1:
        known = ("kernel", "bias")
    return [known[i] if i < len(known) else "" for i in range(len(shapes))]


def variable(kind: str, name: str, number: int, shape: Shape, bias: Shape | None) -> Variable:
    """Return a variable of a layer.

    >>> variable("conv2d_transpose", "kernel", 0, (3, 3, 5, 4), (5,)).shape
    (3, 3, 4, 5)

    Args:
        kind: the words of its layer's class, and of its name.
        name: what Keras calls it, "" if that is not known.
        number: its number among those of the layer.
        shape: its shape.
        bias: the shape of the bias of its layer, if there is one.
    """
    other = _OTHER_KERNELS.fullmatch(name)
    stored_as = f"{other[1]}.kernel" if other else {"embeddings": "embedding"}.get(name, name) or str(number)
    is_kernel = stored_as.endswith("kernel") and len(shape) > 2
    arrange = _as_it_is
    if is_kernel and ("depthwise" in name or ("depthwise" in kind and name == "kernel")):
        arrange = _depthwise
    elif is_kernel and name == "kernel" and _is_transposed(kind, shape, bias):
        arrange = _swapped
    # a view of one value has the shape, and takes no memory
    arranged = arrange(np.broadcast_to(np.float32(0), shape)).shape
    return Variable(name, stored_as, arranged, name in _BUFFERS, arrange)


def _is_transposed(kind: str, shape: Shape, bias: Shape | None) -> bool:
    return "transpose" in kind or (bias == (shape[-2],) and bias != (shape[-1],))


def _as_it_is(array: np.ndarray) -> np.ndarray:
    return array


def _swapped(array: np.ndarray) -> np.ndarray:
    return array.swapaxes(-1, -2)


def _depthwise(array: np.ndarray) -> np.ndarray:
    return array.reshape(*array.shape[:-2], 1, -1)
