"""Parts as bytes."""

import numpy as np
import pytest

from tandv import statistics
from tandv.measure import measure
from tandv.track.ranks.packing import label_of, packed, unpacked
from tandv.track.ranks.part import ANY, NO_GROUP, part_of


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_packed_comes_back(dtype):
    values = [[0.0], [1.0, -3.0, 1e-30], [np.nan, np.inf], [], [2.0**100]]
    rows = measure([np.array(one, dtype) for one in values])
    rows["counts"][1, rows["counts"].shape[1] // 2] = 1 << 40
    labels = [(2**64 - 1 - i, NO_GROUP if i % 2 else 2**63, ANY if i % 2 else i) for i in range(5)]
    part = part_of(12, 900, labels, rows)
    message = packed(part)
    assert label_of(message) == (12, 1 << 900)
    back = unpacked(message)
    assert (back.step, back.who) == (12, 1 << 900)
    for name in ("ids", "groups", "whose", "pieces"):
        assert np.array_equal(getattr(back, name), getattr(part, name)), name
    if dtype == np.float32:
        assert np.array_equal(back.rows, part.rows)
    else:  # of float64, where no exponent is beyond those of float32
        assert np.array_equal(statistics.widen(back.rows), part.rows)


def test_no_rows_are_a_part_too():
    back = unpacked(packed(part_of(3, 1, [], measure([]))))
    assert (back.step, back.who, len(back.rows)) == (3, 2, 0)


def test_a_row_takes_few_bytes():
    rows = measure([np.random.default_rng(0).normal(size=1000).astype(np.float32)] * 100)
    message = packed(part_of(0, 0, [(i, NO_GROUP, ANY) for i in range(100)], rows))
    assert len(message) < 100 * 230
