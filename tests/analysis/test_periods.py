"""Periods in which layers move together, beside layers that move as often on their own."""

import numpy as np
import pandas as pd
import pytest

from tandv.analysis.periods import critical_periods


def jumps(places: list[list[int]], rows: int = 200, seed: int = 0) -> pd.DataFrame:
    """Return the curves of layers, each of which rises by 1 at its own places."""
    rng = np.random.default_rng(seed)
    steps = np.arange(rows)
    curves = [sum(1.0 * (steps >= at) for at in each) + 0.01 * rng.standard_normal(rows) for each in places]
    return pd.DataFrame({f"fc{i}": curve for i, curve in enumerate(curves)}, index=pd.Index(10 * steps, name="step"))


def test_layers_that_move_together_are_found_with_their_share_and_names():
    [found] = critical_periods(jumps([[120], [120], [120], [120], [40]]))
    assert (found.start, found.end, found.share) == (1190, 1200, 0.8)
    assert found.moved == ("fc0", "fc1", "fc2", "fc3")
    assert found.p <= 0.05 and found.lift == found.share / found.base_rate > 10


def test_layers_that_move_as_often_but_each_at_its_own_time_have_none():
    assert critical_periods(jumps([[20, 130], [50, 170], [80, 110], [30, 150], [65, 95]])) == []


def test_least_share_is_of_all_layers():
    four_of_five = jumps([[120], [120], [120], [120], [40]])
    assert critical_periods(four_of_five, least_share=0.9) == []


def test_what_is_too_little_is_said():
    with pytest.raises(ValueError, match="1 layers are known together at 5 steps; give 2 layers and 20 steps or more"):
        critical_periods({"fc": [0.0] * 5})
    with pytest.raises(ValueError, match="least_share=0 is not above 0 and at most 1; 1 layers"):
        critical_periods({"fc": [0.0] * 5}, least_share=0)
