"""Measure arrays with NumPy alone: works for every float type, everywhere."""

import numpy as np

from tandv import statistics

_BLOCK = 16_384  # elements; float64 copies of a block stay in the second-level cache


def add(x: np.ndarray, row: np.ndarray) -> None:
    """Merge the measurement of `x`, any float dtype and shape, into `row` (an array of length 1).

    >>> row = statistics.empty_rows(1)
    >>> add(np.array([0.5, np.nan]), row)
    >>> int(row["nans"][0]), float(row["max_abs"][0])
    (1, 0.5)
    """
    flat = x.reshape(-1)
    starts = range(0, flat.size, _BLOCK)
    parts = statistics.empty_rows(1 + len(starts), row.dtype)
    parts[0] = row[0]
    parts["calls"][0] += 1
    for part, start in zip(parts[1:], starts, strict=True):
        _measure_block(flat[start : start + _BLOCK].astype(np.float64), part)
    row[...] = statistics.merge(parts, np.zeros(len(parts), np.int64))


def _measure_block(values: np.ndarray, part: np.void) -> None:
    # As float64 all values of at most 32 bits are normal numbers, so their exponents can be read off.
    bits = values.view(np.int64) & 0x7FFF_FFFF_FFFF_FFFF
    fields = np.bincount(bits >> 52, minlength=2048)
    lowest = statistics.lowest_exponent(part)
    counts = part["counts"]
    part["numel"] = values.size
    normal = fields[1:2047]
    first = max(lowest, -1022)
    counts[first - lowest :] = normal[first + 1022 : first + 1022 + len(counts) - (first - lowest)]

    magnitude = np.abs(values)
    if fields[0]:
        part["zeros"] = np.count_nonzero(bits == 0)
        if fields[0] > part["zeros"]:
            tiny = magnitude[(bits >> 52 == 0) & (bits != 0)]
            np.add.at(counts, np.frexp(tiny)[1] - 1 - lowest, 1)
    if fields[2047]:
        part["nans"] = np.count_nonzero(np.isnan(values))
        part["infs"] = fields[2047] - part["nans"]
        known = np.isfinite(values)
        values, magnitude = values[known], magnitude[known]
    if not values.size:
        return

    part["mantissa"] = _mantissa(magnitude, lowest == statistics.WIDE_LOWEST)
    part["min_abs"] = magnitude.min()
    part["max_abs"] = largest = magnitude.max()
    if largest == 0:
        return
    exponent = int(np.frexp(largest)[1]) - 1
    if not -100 <= exponent <= 120:  # 8th powers would leave the range of float64
        values, magnitude = np.ldexp(values, -exponent), np.ldexp(magnitude, -exponent)
    part["scale"] = 0 if -100 <= exponent <= 120 else exponent
    squares = values * values
    fourth = squares * squares
    part["sum"] = total = values.sum()
    part["sum_abs"] = magnitude.sum()
    part["sum4"] = fourth.sum()
    part["sum8"] = np.dot(fourth, fourth)
    part["m2"] = np.square(values - total / values.size).sum()


def _mantissa(magnitude: np.ndarray, wide: bool) -> int:
    """Return one more than the mantissa bits that values use, as float64 or as float32; 0 if all are zero."""
    patterns = magnitude.view(np.int64) if wide else magnitude.astype(np.float32).view(np.int32).astype(np.int64)
    used, bits = int(np.bitwise_or.reduce(patterns)), 52 if wide else 23
    mantissa = used & ((1 << bits) - 1)
    return (bits + 2 - (mantissa & -mantissa).bit_length() if mantissa else 1) if used else 0
