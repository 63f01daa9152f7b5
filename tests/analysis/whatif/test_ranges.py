"""Sums of casts written as values with their ranges and bounds, by hand."""

import numpy as np
import pytest

from tandv.analysis.whatif._ranges import CELLS, GUESSED, LEAST, MOST, PER_VALUE, ROOM, SIGNAL, SQUARE, write


def written(**sums):
    """Return the 20 numbers of a cast of 100 values."""
    room, out = np.zeros(ROOM), np.full((20, 3), -1, np.float32)
    room[PER_VALUE * CELLS] = 0.01
    kinds = {"signal": SIGNAL, "square": SQUARE, "most": MOST, "least": LEAST, "guessed": GUESSED}
    for name, value in sums.items():
        room[kinds[name] * CELLS if name in kinds else int(name[1:]) * CELLS] = value
    write(room, 1, out, np.array([1]))
    assert (out[:, [0, 2]] == -1).all()
    return out[:, 1].tolist()


def test_a_share_is_kept_within_its_bounds():
    # 10 values are predicted, 4 are for sure, 8 more may be, the first may be off by 3
    found = written(_0=10, _1=4, _2=8, _3=3)
    assert found[:5] == pytest.approx([0.1, 0.07, 0.12, 0.04, 0.12])
    assert written(_0=4, _1=4, _2=0, _3=3)[:5] == pytest.approx([0.04] * 5)  # nothing is in doubt


def test_an_sqnr_is_ten_logarithms_of_a_ratio_with_its_bounds():
    found = written(signal=np.log2(100.0), square=1, most=2, least=0.5)[15:]
    assert found == pytest.approx([20, 19.5, 20.5, 20 - 3.0103, 20 + 3.0103], abs=1e-4)
    guessed = written(signal=np.log2(100.0), square=1, most=1, least=1, guessed=1)[15:]
    assert guessed == pytest.approx([20, 18.5, 21.5, 16, 23], abs=1e-4)


def test_no_error_is_an_infinite_sqnr_and_errors_as_large_as_values_are_none_at_all():
    assert written(signal=1.0)[15:] == [np.inf] * 5
    assert written(signal=0.0, square=4, most=4, least=4)[15:] == [0] * 5
    assert np.isnan(written(signal=np.nan)[15:]).all()  # there is no value
