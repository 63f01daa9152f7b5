import numpy as np
import pandas as pd
import pytest

from tandv.analysis.transitions.segments import segments


def test_stages_are_parted_where_the_level_changes():
    rng = np.random.default_rng(0)
    curve = pd.Series(np.repeat([3.0, 1.0, 2.0], [60, 40, 50]) + 0.05 * rng.standard_normal(150), name="loss")
    curve.index = curve.index * 10
    found = segments(curve)
    assert [(s.start, s.end) for s in found] == [(0, 590), (600, 990), (1000, 1490)]
    assert [s.level for s in found] == pytest.approx([3.0, 1.0, 2.0], abs=0.03)
    assert {s.quantity for s in found} == {"loss"}


def test_the_slope_is_per_step():
    [one] = segments(pd.Series([1.0, 2.0, 3.0], index=[0, 10, 20]))
    assert (one.start, one.end, one.level, one.slope) == (0, 20, 2.0, pytest.approx(0.1))


def test_a_larger_penalty_makes_fewer_stages():
    decay = pd.Series(np.exp(-np.arange(300) / 60))
    assert len(segments(decay, penalty=1)) > len(segments(decay, penalty=10))


def test_short_constant_and_empty_curves():
    assert segments(pd.Series([], dtype=float)) == []
    [flat] = segments(pd.Series([2.0] * 30))
    assert (flat.start, flat.end, flat.level, flat.slope) == (0, 29, 2.0, pytest.approx(0, abs=1e-12))
    assert [s.level for s in segments(pd.Series([np.nan, 5.0]))] == [5.0]
