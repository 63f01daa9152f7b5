"""Block formats: values that share a scale with their neighbours, emulated exactly and measured.

Inside a power of two a log does not tell which values are neighbours, so that the error of a block format cannot be
predicted from one: it is measured. Sums of squared errors and of squares, and counts, merge by addition.

Sources: OCP Microscaling Formats (MX) Specification v1.0 (2023): 32 values share a power of two, that of the largest
less the largest exponent of the element. NVFP4 (NVIDIA, 2025): 16 values share an e4m3 scale, in units of a float32 of
the tensor, its largest value / (6 · 448). float8 with a float32 for 1 × 128 values (activations) or 128 × 128
(weights): DeepSeek-V3 technical report (2024), arXiv:2412.19437.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tandv.formats import FORMATS, SHORT, Format, exponent, number_format
from tandv.messages import UnknownName, missing, unknown

__all__ = ["BLOCK_FORMATS", "PARTS", "BlockFormat", "block_format", "block_measure", "column"]

# What is measured of each: sums over the finite values, and how many values are not finite.
PARTS = ("error", "squares", "zeros", "saturated", "not_finite")
_KINDS = {"mx": 0, "nv": 1, "float32": 2}


class BlockFormat(NamedTuple):
    """A format whose values share a scale.

    >>> block_format("mxfp4").columns
    32

    Args:
        name: its name.
        element: the format of a value.
        rows: how many rows of a matrix a block has.
        columns: how many values along the axis that a product sums over.
        scale: "mx" for a power of two, "nv" for an e4m3 in units of a float32 of the tensor, "float32".
        floor: the least scale of a block, in units of the tensor's; 0 lets blocks of tiny values vanish.
    """

    name: str
    element: Format
    rows: int
    columns: int
    scale: str
    floor: float = 0.0


_MX = {"mxfp8_e4m3": "e4m3", "mxfp8_e5m2": "e5m2", "mxfp6_e2m3": "e2m3", "mxfp6_e3m2": "e3m2", "mxfp4": "e2m1"}
BLOCK_FORMATS = (*_MX, "nvfp4", "nvfp4_floor", "e4m3@1x128", "e4m3@128x128", "e5m2@1x128", "e5m2@128x128")


@functools.cache
def block_format(name: str) -> BlockFormat:
    """Return a block format by its name.

    >>> block_format("float8_e4m3fn@128x128")[2:5]
    (128, 128, 'float32')

    Args:
        name: one of BLOCK_FORMATS, where a name such as "e4m3" or "float8_e4m3fn" may stand before "@1x128" and
            "@128x128"; "nvfp4_floor" has a least scale of 2^-6, the smallest normal e4m3, as torchao takes it.

    Raises UnknownName with the nearest names.
    """
    if name in _MX:
        return BlockFormat(name, number_format(_MX[name]), 1, 32, "mx")
    if name in ("nvfp4", "nvfp4_floor"):
        return BlockFormat(name, number_format("e2m1"), 1, 16, "nv", 2.0**-6 if name.endswith("floor") else 0.0)
    element, _, shape = str(name).partition("@")
    if shape in ("1x128", "128x128") and element in (*FORMATS, *SHORT.values()):
        to = number_format(element)
        if to.bits <= 8:
            return BlockFormat(name, to, int(shape.partition("x")[0]), 128, "float32")
    raise UnknownName(unknown("block format", name, BLOCK_FORMATS, most=len(BLOCK_FORMATS)))


def column(part: str, name: str) -> str:
    """Return the name of the statistic of a log that holds a part of what was measured of a block format.

    >>> column("error", "mxfp4")
    'error:mxfp4'

    Args:
        part: one of PARTS.
        name: the name of the format.
    """
    return f"{part}:{name}"


def block_measure(x: Any, names: Sequence[str], axis: int = -1) -> np.ndarray:
    """Return what casts of an array to block formats do, [formats, 5]: see PARTS.

    The scale is that of the largest finite value of the block; values that are not finite are left out of it and of all
    sums, and counted. `zeros` are values that become zero, `saturated` those that round beyond the largest value.

    >>> found = block_measure(np.float32([[1.0, 0.05, 0.0, 3.0]]), ["mxfp4"])
    >>> found.round(4).tolist()  # the scale is 1/2: 0.05 is a tenth of it, less than half of the smallest value
    [[0.0025, 10.0025, 1.0, 0.0, 0.0]]

    Args:
        x: an array of a float type of at most 32 bits.
        names: names of block formats.
        axis: the axis along which values share a scale, that over which a product sums.

    Raises UnknownName for a format that does not exist, TypeError for an array that is not of such a float type.
    """
    chosen = [block_format(name) for name in names]
    array = np.asarray(x)
    if array.dtype == np.float64 or not (array.dtype.kind == "f" or array.dtype.name in FORMATS):
        raise TypeError(
            f"an array of {array.dtype} cannot be measured in blocks; allowed are floats of at most 32 bits"
        )
    try:
        from tandv.measure._block_casts import measure_array
    except ImportError as error:
        raise missing("numba", "torch", "measuring block formats") from error
    values = np.ascontiguousarray(np.atleast_1d(array), np.float32)
    out = np.zeros((len(chosen), len(PARTS)))
    measure_array(values.view(np.uint32).reshape(-1), *around(values.shape, axis), described(chosen), out)
    return out


def around(shape: Sequence[int], axis: int) -> tuple[int, int, int]:
    """Return how many values there are before, along and behind an axis.

    >>> around((2, 3, 4), 1)
    (2, 3, 4)

    Args:
        shape: of an array.
        axis: one of its axes.

    Raises ValueError for an axis that it does not have.
    """
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"axis={axis} of an array of {len(shape)} axes; allowed are {-len(shape)} to {len(shape) - 1}")
    axis %= len(shape)
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def described(formats: Sequence[BlockFormat]) -> np.ndarray:
    """Return what kernels are told of formats, [formats, 8].

    Of each the kind of its scale (0 for "mx", 1 for "nv", 2 for "float32"), the rows and the values of a block, the
    mantissa bits of an element, the exponents of its smallest normal and its largest value, that value, and the least
    scale.

    >>> described([block_format("mxfp4")]).tolist()
    [[0.0, 1.0, 32.0, 1.0, 0.0, 2.0, 6.0, 0.0]]

    Args:
        formats: the formats.
    """
    return np.array(
        [
            (
                *(_KINDS[one.scale], one.rows, one.columns, one.element.mantissa_bits),
                *(exponent(one.element.smallest_normal), exponent(one.element.max), one.element.max, one.floor),
            )
            for one in formats
        ]
    ).reshape(-1, 8)
