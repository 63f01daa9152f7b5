"""What a log says of the values of each tensor, as arrays that a prediction of casts is made from."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from tandv.formats import exponent, number_format
from tandv.log import logframe
from tandv.log.door import AnyLog, Label, Names
from tandv.log.logframe import INFINITE, SchemaError
from tandv.log.ranks import Ranks

# Statistics of a row that are used where the log has them.
STATISTICS = (
    *("max_abs", "min_abs", "mean_abs", "rm2", "rm4", "rm8", "mean", "std", "numel", "zeros", "nans", "infs"),
    "mantissa_bits",
)
_SAMPLE = 1000  # rows


class Values(NamedTuple):
    """What is known of the values of each row; of magnitudes, and of non-zero finite values unless said otherwise.

    >>> from tandv.log.example import example_log
    >>> of = values_of(example_log(layers=2, steps=1, tensor_types=["Weight"]))
    >>> of.counts.shape, of.lowest, of.numel.tolist()
    ((22, 2), -23, [65536.0, 65536.0])

    Args:
        counts: how many lie in each power of two, [exponents, rows].
        lowest: the first of the exponents.
        total: how many there are, [rows].
        largest: the largest one, [rows]; NaN where it is not known.
        smallest: the smallest one, [rows]; 0 where it is not known.
        means: (mean |x|^p)^(1/p) of the finite values, zeros included, for p of 1, 2, 4, 8, [4, rows]; NaN where that
            is not known.
        squares: the sum of their squares, [rows]; NaN where it is not known.
        numel: how many values the tensor has, zeros and those that are not finite among them, [rows].
        infinite: how many are infinite, [rows].
        finite: how many are finite, [rows].
        unsure: how many zeros may be values below the counted exponents, [rows].
        mantissa: how many mantissa bits the values have, by their dtype or as measured, [rows].
        subnormal: the exponent of the smallest value of their dtype, [rows].
        equal: whether all have the same magnitude, [rows].
    """

    counts: np.ndarray
    lowest: int
    total: np.ndarray
    largest: np.ndarray
    smallest: np.ndarray
    means: np.ndarray
    squares: np.ndarray
    numel: np.ndarray
    infinite: np.ndarray
    finite: np.ndarray
    unsure: np.ndarray
    mantissa: np.ndarray
    subnormal: np.ndarray
    equal: np.ndarray


def rows_for_casts(
    log: AnyLog,
    layers: Names | None,
    tt: Names | None,
    phase: Names | None,
    rank: Ranks | None,
) -> pd.DataFrame:
    """Return the rows of some layers and tensor types, with the columns that `values_of` reads.

    >>> from tandv.log.example import example_log
    >>> rows_for_casts(example_log(), "head", "Weight", None, None).shape[0]
    50

    Args:
        log: the log, or the place of one.
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        tt: a tensor type, a compiled pattern, or a list of these; None for all.
        phase: a phase, a compiled pattern, or a list of these; None as in `select`.
        rank: a rank, or a list of ranks; None merges the rows of all ranks.

    Raises ValueError for a log without exponent counts, and what `tandv.log.select` raises.
    """
    labels = logframe.labels(log)
    if ("exponent_counts", np.inf) not in labels:
        raise ValueError(
            "this log has no exponent_counts, the counts of values by power of two, from which casts are "
            "predicted; pass the log as it was written, or its place, with these columns"
        )
    return logframe.select(log, layers, tt, None, phase, rank, columns=_needed(labels))


def _needed(labels: list[Label]) -> list[Label]:
    return [one for one in labels if one[0] == "exponent_counts" or (one[0] == "scalar_stats" and one[1] in STATISTICS)]


def values_of(rows: pd.DataFrame) -> Values:
    """Return what a log says of the values of each of its rows.

    >>> from tandv.log.example import example_log
    >>> values_of(example_log(layers=2, steps=1, tensor_types=["Weight"])).mantissa.tolist()
    [10, 10]

    Args:
        rows: rows of a log.
    """
    table = pd.DataFrame(rows["exponent_counts"], copy=False)
    bins = sorted(int(n) for n in table.columns if n not in INFINITE)
    inside = _inside(table, bins)
    at_zero, at_infinity = (table[end].to_numpy(np.float64) for end in INFINITE)
    nans, infinite = _scalar(rows, "nans", 0.0), np.fmin(_scalar(rows, "infs", np.inf), at_infinity)
    zeros = _scalar(rows, "zeros", np.nan)
    below, above = at_zero - np.fmin(zeros, at_zero), at_infinity - infinite
    unsure = np.where(np.isnan(zeros), at_zero, 0.0) if np.isnan(zeros).any() else np.zeros(len(rows))
    below = np.nan_to_num(below)
    lowest = bins[0] if bins else 0
    largest = _positive(_scalar(rows, "max_abs", np.nan))
    if 0 in bins and _one_too_high(inside, lowest, largest):
        # A log of tandv 0.1: column n counts 2^(n - 1) <= |x| < 2^n, and column 0 the zeros as well.
        inside = np.array(inside)
        none = ~(largest >= 0.5)
        at_zero = at_zero + np.where(none, inside[-lowest], 0)
        inside[-lowest, none] = 0
        zeros, unsure, below, lowest = at_zero, np.zeros(len(rows)), np.zeros(len(rows)), lowest - 1
    if below.any():
        inside, lowest = np.vstack([below[None].astype(inside.dtype), inside]), lowest - 1
    if above.any():
        inside = _with_those_above(inside, lowest, above, largest)
    total = inside.sum(0, dtype=np.float64)
    numel = _scalar(rows, "numel", np.nan)
    numel = np.where(numel > 0, numel, total + np.where(np.isnan(zeros), at_zero, at_zero - below) + infinite + nans)
    finite = np.maximum(numel - infinite - nans, 0)
    smallest = _scalar(rows, "min_abs", np.nan)
    smallest = np.where(np.isfinite(smallest) & (smallest > 0), smallest, 0.0)
    mean_abs, rm4, rm8 = (_scalar(rows, name, np.nan) for name in ("mean_abs", "rm4", "rm8"))
    sum_abs = mean_abs * finite
    mantissa, subnormal = _of_dtypes(rows)
    with np.errstate(invalid="ignore", over="ignore"):
        rm2 = _scalar(rows, "rm2", np.nan)
        if np.isnan(rm2).any():
            rm2 = np.where(np.isnan(rm2), np.hypot(_scalar(rows, "std", np.nan), _scalar(rows, "mean", np.nan)), rm2)
        squares = _positive(rm2 * rm2 * finite)
        same = np.abs(sum_abs - total * largest) <= _tolerance(rows) * sum_abs
    means = np.stack([mean_abs, rm2, rm4, rm8])
    one_bin = (total > 0) & (inside.max(0, initial=0) == total)
    equal = one_bin & (unsure == 0) & np.isfinite(largest) & np.where(smallest > 0, smallest == largest, same)
    return Values(
        inside, lowest, total, largest, smallest, means, squares, numel, infinite, finite, unsure, mantissa,
        subnormal, equal,
    )  # fmt: skip


def _one_too_high(inside: np.ndarray, lowest: int, largest: np.ndarray) -> bool:
    """Tell whether the highest counted exponent is one more than that of the largest value, in every row."""
    some = slice(0, len(largest), max(1, len(largest) // _SAMPLE))  # most logs are told by a few rows
    if some.step > 1 and not _one_too_high(inside[:, some], lowest, largest[some]):
        return False
    known = np.isfinite(largest) & (inside > 0).any(0)
    if not known.any():
        return False
    counted = inside[:, known] > 0
    zero = -lowest
    below = largest[known] < 0.25  # there column 0 can only be zeros
    counted[zero, below] = False
    some = counted.any(0)
    top = lowest + len(counted) - 1 - np.argmax(counted[::-1], axis=0)
    return bool(some.any()) and bool((top[some] == np.frexp(largest[known][some])[1]).all())


def _inside(table: pd.DataFrame, bins: list[int]) -> np.ndarray:
    """Return counts [exponents, rows] from the first exponent to the last, also of those that have no column."""
    if bins == list(range(bins[0], bins[-1] + 1)) if bins else False:
        in_order = list(table.columns[1:-1]) == bins
        return (table.iloc[:, 1:-1] if in_order else table[bins]).to_numpy().T
    inside = np.zeros((bins[-1] - bins[0] + 1 if bins else 0, len(table)), np.int64)
    for one in bins:
        inside[one - bins[0]] = table[one].to_numpy()
    return inside


def _with_those_above(inside: np.ndarray, lowest: int, above: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Return counts with bins for values beyond the counted exponents: in that of the largest, else the next one."""
    at = np.full(len(above), len(inside))
    known = (above > 0) & np.isfinite(largest)
    at[known] = np.maximum(np.frexp(largest[known])[1] - 1 - lowest, len(inside))
    more = int(at[above > 0].max()) + 1 - len(inside)
    out = np.vstack([inside, np.zeros((more, len(above)), inside.dtype)])
    out[at[above > 0], np.flatnonzero(above > 0)] += above[above > 0].astype(inside.dtype)
    return out


def _scalar(rows: pd.DataFrame, name: str, otherwise: float) -> np.ndarray:
    if ("scalar_stats", name) not in rows.columns:
        return np.full(len(rows), otherwise)
    values = rows[("scalar_stats", name)].to_numpy(np.float64, na_value=np.nan)
    return values if np.isnan(otherwise) else np.where(np.isnan(values), otherwise, values)


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def _tolerance(rows: pd.DataFrame) -> float:
    """Return how far a mean may be off by the number type that the log keeps it in."""
    label = ("scalar_stats", "mean_abs")
    return 4e-7 if label in rows.columns and rows[label].dtype == np.float32 else 1e-12


def _of_dtypes(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the mantissa bits of each row's values and the exponent of the smallest value of its dtype."""
    codes, names = logframe.numbered(rows[("metadata", "dtype")])
    formats = [number_format(name) for name in names]
    mantissa = np.array([one.mantissa_bits for one in formats])[codes]
    measured = _scalar(rows, "mantissa_bits", np.nan)
    if (wrong := (measured < 0) | np.isinf(measured) | (np.floor(measured) < measured)).any():
        first = rows.iloc[int(wrong.argmax())]
        raise SchemaError(
            f"not a tandv log: column ('scalar_stats', 'mantissa_bits') is {float(measured[wrong.argmax()])!r} in "
            f"{int(wrong.sum()):,} rows, first of {first['metadata', 'name']!r} at step {first['metadata', 'step']}; "
            "allowed are whole numbers from 0, and NaN where it is not known; mend or drop this column"
        )
    mantissa = np.fmin(mantissa, measured).astype(np.int64)
    return mantissa, np.array([exponent(one.smallest_subnormal) for one in formats])[codes]
