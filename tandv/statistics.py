"""What is measured on one tensor, how measurements merge, and what they say.

A *row* is the measurement of one tensor: counts, sums of powers, extremes, and how many values lie in
each power of two. Rows of the same quantity merge exactly, so that repeated calls of a module,
micro-batches and ranks become one row; statistics are taken from a row only at the very end.

>>> import numpy as np
>>> from tandv.measure import measure
>>> rows = measure([np.array([1.0, 1.9, -4.0, 0.0], dtype="float32")])
>>> float(summarise(rows)["max_abs"][0]), counts_of(rows[0])
(4.0, {-inf: 1, 0: 2, 2: 1})
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# Every binary exponent that a value of at most 32 bits can have: float32's smallest subnormal is 2^-149.
LOWEST, HIGHEST = -149, 127

# The scale of a row that holds no non-zero finite value yet; any real scale is larger.
NO_SCALE = -(1 << 20)

# `mantissa`: one more than the mantissa bits that any finite value uses, so that float32s which were made of bfloat16s
# are known as such; 0 where there is no value other than zero, or a producer does not measure it.
INTEGERS = ("numel", "nans", "infs", "zeros", "calls", "scale", "mantissa")
SUMS = {"sum": 1, "sum_abs": 1, "m2": 2, "sum4": 4, "sum8": 8}  # with the power of 2^-scale that each is times
EXTREMES = ("max_abs", "min_abs")
FLOATS = (*EXTREMES, *SUMS)

# At which of a row's words, of 8 bytes, each field begins.
WORD = {name: i for i, name in enumerate((*INTEGERS, *FLOATS, "counts"))}


def row_dtype(lowest: int = LOWEST, highest: int = HIGHEST) -> np.dtype:
    """Return the layout of a row whose exponent counts go from `lowest` to `highest`.

    Every field has 8 bytes, so a buffer of rows is also one int64 or float64 matrix (a kernel's view).
    Sums are kept of x·2^-scale: `sum`, `sum_abs`, `m2` (centred sum of squares), `sum4`, `sum8`, over the
    finite values; `counts[i]` is the number of values with exponent `lowest + i`.
    """
    integers = [(name, np.int64) for name in INTEGERS]
    floats = [(name, np.float64) for name in FLOATS]
    return np.dtype([*integers, *floats, ("counts", np.int64, (highest - lowest + 1,))])


ROW = row_dtype()
WORDS = ROW.itemsize // 8  # of a row
WIDE_LOWEST, WIDE_HIGHEST = -1074, 1023  # float64 tensors, which reach far beyond float32
WIDE_ROW = row_dtype(WIDE_LOWEST, WIDE_HIGHEST)


def lowest_exponent(rows: np.ndarray | np.void) -> int:
    """Return the exponent that the first count of `rows` stands for."""
    return WIDE_LOWEST if rows["counts"].shape[-1] > HIGHEST - LOWEST + 1 else LOWEST


def clear(rows: np.ndarray) -> np.ndarray:
    """Make every row of `rows` the measurement of nothing, in place, and return `rows`."""
    rows.view(np.int64)[...] = 0
    rows["scale"] = NO_SCALE
    rows["min_abs"] = np.inf
    return rows


def empty_rows(n: int, dtype: np.dtype = ROW) -> np.ndarray:
    """Return `n` rows that have measured nothing yet; merging anything with them gives that thing."""
    return clear(np.zeros(n, dtype))


def widen(rows: np.ndarray) -> np.ndarray:
    """Return `rows` with the exponent range of float64, so that they merge with float64's rows."""
    wide = np.zeros(len(rows), WIDE_ROW)
    for name in INTEGERS + FLOATS:
        wide[name] = rows[name]
    start = lowest_exponent(rows) - WIDE_LOWEST
    wide["counts"][:, start : start + rows["counts"].shape[1]] = rows["counts"]
    return wide


def merge(rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Merge the rows that bear the same group number; the result is in the order of those numbers.

    Counts, sums and extremes combine by addition, maximum and minimum, the centred sum of squares by
    the pairwise update of Chan, Golub and LeVeque (1979), all in float64.

    >>> merge(empty_rows(3), np.array([0, 1, 0])).shape
    (2,)
    """
    if not len(rows):
        return rows.copy()
    order = np.argsort(groups, kind="stable")
    rows, groups = rows[order], np.asarray(groups)[order]
    new = np.concatenate([[True], groups[1:] != groups[:-1]])
    starts = np.flatnonzero(new)
    if len(starts) == len(rows):
        return rows
    member = np.cumsum(new) - 1

    out = np.zeros(len(starts), rows.dtype)
    for name in ("numel", "nans", "infs", "zeros", "calls", "counts"):
        out[name] = np.add.reduceat(rows[name], starts, axis=0)
    out["scale"] = np.maximum.reduceat(rows["scale"], starts)
    out["mantissa"] = np.maximum.reduceat(rows["mantissa"], starts)
    out["max_abs"] = np.maximum.reduceat(rows["max_abs"], starts)
    out["min_abs"] = np.minimum.reduceat(rows["min_abs"], starts)

    shrink = np.ldexp(1.0, rows["scale"] - out["scale"][member])  # at most 1; what vanishes is negligible
    for name, power in SUMS.items():  # all but m2, which follows
        out[name] = np.add.reduceat(rows[name] * shrink**power, starts)
    n = finite(rows)
    mean = rows["sum"] * shrink / np.maximum(n, 1)
    whole_mean = out["sum"] / np.maximum(finite(out), 1)
    out["m2"] = np.add.reduceat(rows["m2"] * shrink**2 + n * (mean - whole_mean[member]) ** 2, starts)
    return out


def merge_aligned(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Merge two sets of rows, each row with the one at its place: what `merge` returns, without sorting.

    >>> merge_aligned(empty_rows(2), empty_rows(2)).shape
    (2,)
    """
    out = np.empty_like(ones)
    for name in ("numel", "nans", "infs", "zeros", "calls", "counts"):
        np.add(ones[name], others[name], out=out[name])
    for name in ("scale", "mantissa", "max_abs"):
        np.maximum(ones[name], others[name], out=out[name])
    np.minimum(ones["min_abs"], others["min_abs"], out=out["min_abs"])
    pair = [(rows, np.ldexp(1.0, rows["scale"] - out["scale"]), finite(rows)) for rows in (ones, others)]
    for name, power in SUMS.items():  # all but m2, which follows
        out[name] = sum(rows[name] * shrink**power for rows, shrink, _ in pair)
    whole_mean = out["sum"] / np.maximum(finite(out), 1)
    out["m2"] = sum(
        rows["m2"] * shrink**2 + n * (rows["sum"] * shrink / np.maximum(n, 1) - whole_mean) ** 2
        for rows, shrink, n in pair
    )
    return out


def finite(rows: np.ndarray) -> np.ndarray:
    """Return how many values of each row are neither NaN nor infinite."""
    return rows["numel"] - rows["nans"] - rows["infs"]


# Each from a row's extremes and the means of its sums, by NumPy or another module with a `sqrt`. Of the finite values;
# `std` is the population's, rm2/rm4/rm8 are power means: (mean |x|^p)^(1/p).
MOMENTS: dict[str, Callable[[Mapping[str, Any], Any], Any]] = {
    "mean": lambda of, xp: of["sum"],
    "std": lambda of, xp: xp.sqrt(of["m2"]),
    "mean_abs": lambda of, xp: of["sum_abs"],
    "max_abs": lambda of, xp: of["max_abs"],
    "min_abs": lambda of, xp: of["min_abs"],
    "rm2": lambda of, xp: xp.sqrt(of["m2"] + of["sum"] * of["sum"]),
    "rm4": lambda of, xp: of["sum4"] ** (1 / 4),
    "rm8": lambda of, xp: of["sum8"] ** (1 / 8),
}


def moments(of: Mapping[str, Any], unscaled: Callable[[Any], Any], xp: Any) -> dict[str, Any]:
    """Return every moment from extremes and means of sums; `unscaled` multiplies by 2^scale what comes of sums."""
    return {name: moment(of, xp) if name in EXTREMES else unscaled(moment(of, xp)) for name, moment in MOMENTS.items()}


# Of all values, as int64; `calls` is how many measurements a row holds.
COUNTS = ("numel", "zeros", "nans", "infs", "calls")


def summarise(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return every scalar statistic of `rows` as one array per name, in a fixed order.

    Moments are float64, counts int64. A row without a single finite value has NaN for its moments. `mantissa_bits` is
    how many bits of the mantissa any value uses, NaN where that is not known.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        n = finite(rows)
        of = {name: rows[name] for name in EXTREMES} | {name: rows[name] / n for name in SUMS}
        found = moments(of, lambda values: np.ldexp(values, rows["scale"]), np)
    bits = np.where(rows["mantissa"] > 0, rows["mantissa"] - 1.0, np.nan)
    return (
        {name: np.where(n > 0, values, np.nan) for name, values in found.items()}
        | {name: rows[name].copy() for name in COUNTS}
        | {"mantissa_bits": bits}
    )


def exponent_range(rows: np.ndarray) -> tuple[int, int]:
    """Return the lowest and highest exponent that any of `rows` counts, (0, 0) if there is none."""
    used = np.flatnonzero(rows["counts"].any(axis=0)) + lowest_exponent(rows)
    return (int(used[0]), int(used[-1])) if len(used) else (0, 0)


def exponent_counts(rows: np.ndarray, lowest: int, highest: int) -> np.ndarray:
    """Return counts [rows, 1 + (highest - lowest + 1) + 1]: below the range, each exponent, above it.

    The first column holds zeros and every value under 2^lowest, the last infinities and every value of
    at least 2^(highest + 1). NaNs are in neither, so that a row's counts and its `nans` add up to `numel`.
    """
    counts, base = rows["counts"], lowest_exponent(rows)
    width = counts.shape[1]
    start, stop = (min(max(edge - base, 0), width) for edge in (lowest, highest + 1))
    out = np.zeros((len(rows), highest - lowest + 3), np.int64)
    out[:, 0] = rows["zeros"] + counts[:, :start].sum(axis=1)
    into = start + base - lowest + 1
    out[:, into : into + stop - start] = counts[:, start:stop]
    out[:, -1] = rows["infs"] + counts[:, stop:].sum(axis=1)
    return out


def counts_of(row: np.void) -> dict[float, int]:
    """Return the exponent counts of one row that are not zero, keyed by exponent, -inf and inf."""
    base = lowest_exponent(row)
    counted = {base + int(i): int(row["counts"][i]) for i in np.flatnonzero(row["counts"])}
    whole = {-np.inf: int(row["zeros"])} | counted | {np.inf: int(row["infs"])}
    return {exponent: count for exponent, count in whole.items() if count}
