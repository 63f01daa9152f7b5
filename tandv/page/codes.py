"""Statistics rounded to 16 bits: as exact as a screen shows them, and half the size."""

from typing import NamedTuple

import numpy as np


class Scale(NamedTuple):
    """How sizes map to codes: the range of 15 bits, and how fine they are.

    Args:
        per: how many codes there are for each power of two.
        offset: minus the exponent of the smallest size that has one.
        error: by how much a size is rounded at most, in words.
    """

    per: int
    offset: int
    error: str


FLOAT32 = Scale(116, 150, "0.3 %")  # from 2^-150 to 2^132
FLOAT64 = Scale(15, 1080, "2.4 %")  # from 2^-1080 to 2^1104


def codes_of(values: np.ndarray, scale: Scale = FLOAT32) -> np.ndarray:
    """Return values as codes of 16 bits, rounded as the scale says.

    >>> codes = codes_of(np.array([np.nan, 0.0, np.inf, -np.inf, -2.0]))
    >>> codes.tolist(), values_of(codes).tolist()
    ([0, 1, 2, 3, 35033], [nan, 0.0, inf, -inf, -2.0])

    Args:
        values: any floats.
        scale: of the codes; a size that is outside of it has the nearest.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.clip(np.rint((np.log2(np.abs(values)) + scale.offset) * scale.per), 2, 32767)
    out = (np.nan_to_num(size).astype(np.uint16) << 1) | (values < 0)
    for code, special in enumerate((np.isnan(values), values == 0, np.isposinf(values), np.isneginf(values))):
        out[special] = code
    return out


def values_of(codes: np.ndarray, scale: Scale = FLOAT32) -> np.ndarray:
    """Return the values of codes, as the page computes them; for an example see `codes_of`.

    Args:
        codes: of `codes_of`.
        scale: of the codes.
    """
    values = np.exp2((codes >> 1) / scale.per - scale.offset) * np.where(codes & 1, -1.0, 1.0)
    special = np.array([np.nan, 0.0, np.inf, -np.inf])
    return np.where(codes < len(special), special[np.minimum(codes, len(special) - 1)], values)
