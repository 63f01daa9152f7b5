"""Exponents that are counted in windows: as many of each as there are, wherever the windows lie."""

import ml_dtypes
import numpy as np
import pytest

from reference import reference_counts
from tandv import statistics
from tandv.measure import measure

BLOCK = 4096
RANDOM = np.random.default_rng(0)


def powers(*exponents: int, each: int = BLOCK) -> np.ndarray:
    """Return blocks of values of one power of two each, of both signs."""
    values = np.repeat(2.0 ** np.array(exponents), each)
    return (values * RANDOM.choice(np.array([-1, 1]), values.size)).astype(np.float32)


def spread(low: int, high: int, blocks: int) -> np.ndarray:
    return np.ldexp(RANDOM.uniform(1, 2, blocks * BLOCK), RANDOM.integers(low, high, blocks * BLOCK)).astype(np.float32)


CASES = {
    "one value, in more blocks than a plane counts": powers(3, each=300 * BLOCK),
    "a normal distribution": RANDOM.standard_normal(19 * BLOCK + 1).astype(np.float32),
    "one element too few for a window": spread(-5, 5, 1)[1:],
    "exactly a window of 32": spread(-16, 16, 9),
    "two windows": spread(-40, 20, 9),
    "three windows": spread(-95, 1, 20),
    "more than three windows": spread(-126, 128, 9),
    "larger and larger values": powers(-126, -120, -60, -57, -56, 0, 3, 4, 127),
    "smaller and smaller values": powers(127, 120, 99, 98, 60, 35, 34, 3, 2, -30, -126),
    "the smallest and the largest in turn": powers(*[-126, 127] * 8),
    "zeros between": np.where(RANDOM.random(9 * BLOCK) < 0.5, 0, RANDOM.standard_normal(9 * BLOCK)).astype(np.float32),
    "nothing but zeros in some blocks": np.concatenate([powers(1), np.zeros(3 * BLOCK), powers(2)]).astype(np.float32),
    "a window that reaches below the smallest field": np.concatenate([powers(-126, each=9 * BLOCK), np.zeros(BLOCK)]),
    "subnormals in one block": np.concatenate([powers(-120, -126), np.full(BLOCK, 3e-42), powers(-100, 0)]),
    "NaN and infinity": np.concatenate([powers(127, 126), np.full(BLOCK, np.inf), [np.nan], powers(127, 127)]),
}


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_every_value_is_counted_once_in_its_power_of_two(values):
    (row,) = measure([values.astype(np.float32)])
    assert statistics.counts_of(row) == reference_counts(values.astype(np.float32))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_counted_so_as_well(dtype):
    values = (RANDOM.standard_normal(11 * BLOCK + 5) * 1e-2).astype(getattr(ml_dtypes, dtype, dtype))
    assert statistics.counts_of(measure([values])[0]) == reference_counts(values)


def test_counts_of_one_tensor_are_not_left_to_the_next():
    tensors = [*CASES.values(), *reversed(CASES.values()), np.array([1, 0, 2], np.float32)]
    rows = measure([values.astype(np.float32) for values in tensors])
    for row, values in zip(rows, tensors, strict=True):
        assert statistics.counts_of(row) == reference_counts(values.astype(np.float32))
