"""How a log's values would overflow or vanish when they are cast to a number format."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tandv.formats.limits import exponent, number_format

if TYPE_CHECKING:
    import pandas as pd


class Shares(NamedTuple):
    """Shares of the values of each log row, from 0 to 1, as [rows, 2]: the least and the most that each can be.

    >>> from tandv.log import logframe
    >>> cast_shares(logframe.example_log(layers=2, steps=1), "bfloat16").overflow.max().item()
    0.0

    Args:
        overflow: of values that would become infinite or saturate.
        subnormal: of values that would be subnormal.
        to_zero: of values that would round to zero.
    """

    overflow: np.ndarray
    subnormal: np.ndarray
    to_zero: np.ndarray


def cast_shares(rows: "pd.DataFrame", name: str, shift: int = 0) -> Shares:
    """Return the shares of each log row that would overflow, be subnormal or go to zero in a format.

    A share is an interval where the exponent counts cannot tell: the bin that holds the format's largest value
    (narrowed by `max_abs`), and values outside of the counted range. Elsewhere both ends agree, with one exception: a
    value of exactly half the smallest subnormal, which would go to zero, counts as subnormal. Values that are zero
    already count in no share.

    >>> from tandv.log.logframe import example_log, select
    >>> row = select(example_log(), "embed", "Activation", 0)
    >>> cast_shares(row, "float8_e4m3fn").overflow.tolist()
    [[0.0, 0.0]]

    Args:
        rows: rows of a log.
        name: the name of the number format.
        shift: values are first multiplied by 2^`shift`, as by a scale per tensor.

    Raises UnknownName with the nearest names.
    """
    to = number_format(name)
    counts = rows["exponent_counts"]
    bins = sorted(n for n in counts.columns if not math.isinf(n))
    inside = counts[bins].to_numpy(np.int64)
    at_zero, at_infinity = (counts[end].to_numpy(np.int64) for end in (-math.inf, math.inf))
    exponents = np.array(bins, int) + shift

    def scalar(stat: str) -> np.ndarray:
        if ("scalar_stats", stat) not in rows.columns:
            return np.full(len(rows), np.nan)
        return rows[("scalar_stats", stat)].to_numpy(np.float64, na_value=np.nan)

    nans = np.nan_to_num(scalar("nans"))
    total = np.maximum(inside.sum(1) + at_zero + at_infinity + nans, 1)

    # Of a value beyond the counted bins only that is known: it is larger than all of them.
    infinities = np.fmin(scalar("infs"), at_infinity)
    infinities = np.where(np.isnan(infinities), at_infinity, infinities)
    above = at_infinity - infinities
    zeros = np.minimum(scalar("zeros"), at_zero)
    certain_below = np.where(np.isnan(zeros), 0, at_zero - zeros)
    possible_below = np.where(np.isnan(zeros), at_zero, at_zero - zeros)
    first, last = (exponents[0], exponents[-1]) if len(bins) else (0, -1)

    limit = exponent(to.overflows_above)
    sure = inside[:, exponents > limit].sum(1) + infinities + np.where(last + 1 > limit, above, 0)
    maybe = inside[:, exponents >= limit].sum(1) + infinities + above
    largest, smallest = (np.ldexp(scalar(stat), shift) for stat in ("max_abs", "min_abs"))
    maybe = np.where(largest <= to.overflows_above, infinities, maybe)
    sure = np.maximum(sure, np.where(largest > to.overflows_above, infinities + 1, 0))
    sure = np.minimum(sure, maybe)

    half, normal = exponent(to.vanishes_at), exponent(to.smallest_normal)
    lost = inside[:, exponents < half].sum(1)
    lost_sure = lost + np.where(first <= half, certain_below, 0)
    lost_maybe = lost + possible_below
    # min_abs is of the non-zero values or, in some logs, of all: above the threshold either shows that none is lost.
    none_lost = smallest > to.vanishes_at
    lost_sure, lost_maybe = np.where(none_lost, 0, lost_sure), np.where(none_lost, 0, lost_maybe)

    small = inside[:, (exponents >= half) & (exponents < normal)].sum(1)
    small_sure = small
    small_maybe = small + np.where(first <= half, 0, possible_below)

    def share(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return np.stack([low, high], axis=1) / total[:, None]

    return Shares(share(sure, maybe), share(small_sure, small_maybe), share(lost_sure, lost_maybe))
