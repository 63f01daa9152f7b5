"""How many mantissa bits values use: the same by every producer, and merged by the larger one."""

import ml_dtypes
import numpy as np
import pytest
import torch

from tandv import statistics
from tandv.measure import measure

from tandv.measure import _numpy  # isort: skip
from tandv.measure import torch_operations

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "none": (np.zeros(5, np.float32), np.nan),
    "powers of two": (np.float32([1, -4, 0, np.inf]), 0),
    "five": (np.float32([5, np.nan, 2]), 2),
    "float32": (RANDOM.standard_normal(5000).astype(np.float32), 23),
    "float32 of bfloat16": (RANDOM.standard_normal(5000).astype(ml_dtypes.bfloat16).astype(np.float32), 7),
    "bfloat16": (RANDOM.standard_normal(5000).astype(ml_dtypes.bfloat16), 7),
    "many float16": (RANDOM.standard_normal(700_000).astype(np.float16), 10),
    "float8": (RANDOM.standard_normal(500).astype(ml_dtypes.float8_e4m3fn), 3),
    "subnormal": (np.float32([3 * 2.0**-149, 1]), 23),
}


def by_numpy(x):
    row = statistics.empty_rows(1)
    _numpy.add(x, row)
    return row


def by_torch(x):
    rows = torch_operations.clear(torch.empty(1, statistics.WORDS, dtype=torch.int64))
    torch_operations.add([torch.from_numpy(x.astype(np.float32))], [0], rows)
    return rows.numpy().view(statistics.ROW)[:, 0]


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("producer", [lambda x: measure([x]), by_numpy, by_torch], ids=["numba", "numpy", "torch"])
def test_the_bits_that_any_value_uses(producer, name):
    x, bits = ARRAYS[name]
    found = statistics.summarise(producer(x))["mantissa_bits"][0]
    assert found == bits or (np.isnan(found) and np.isnan(bits))


def test_float64_has_52():
    assert statistics.summarise(measure([np.array([1 / 3])]))["mantissa_bits"].tolist() == [52]


def test_merged_rows_use_the_bits_of_both():
    rows = measure([np.float32([1.5]), np.float32([1.25]), np.float32([0])])
    assert statistics.summarise(statistics.merge(rows, np.zeros(3, int)))["mantissa_bits"].tolist() == [2]
    both = measure([np.float32([1.5])])
    measure_again = by_numpy(np.float32([1.25]))
    assert statistics.merge(np.concatenate([both, measure_again]), np.zeros(2, int))["mantissa"].tolist() == [3]
