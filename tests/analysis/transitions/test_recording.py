import numpy as np
import pandas as pd
import pytest

from tandv.analysis.transitions.recording import averaged_down, broken_end, without_held


def test_the_first_step_that_is_not_finite_after_the_last_that_is():
    curve = pd.Series([1.0, 2.0, np.nan, np.nan], index=[0, 10, 20, 30], name="loss")
    assert broken_end("loss", curve)[0] == 20 and broken_end("loss", curve)[2] == (2, 0)
    assert broken_end("loss", curve[:2])[0] is None
    with pytest.warns(UserWarning, match="loss: 1 of 4 values are infinite, the first at step 0"):
        at, last, _ = broken_end("loss", pd.Series([np.inf, 1.0, 2.0, -np.inf]))
    assert (at, last) == (3, -np.inf)


def test_values_that_are_held_count_once():
    steps = np.arange(80.0)
    at, values = without_held(steps, np.repeat(np.arange(20.0) ** 2, 4))
    assert at.tolist() == list(range(0, 80, 4)) and values.tolist() == [k**2 for k in range(20)]
    at, values = without_held(steps, np.repeat(np.arange(20.0), [3, 5] * 10))
    assert at.tolist()[:4] == [0, 3, 8, 11] and values.tolist() == list(range(20))


def test_values_that_come_back_and_a_curve_that_stands_still_at_last_are_not_held():
    steps = np.arange(80.0)
    shares = np.repeat(np.tile([0.5, 0.52], 10), [3, 5] * 10)
    assert len(without_held(steps, shares)[1]) == 80
    frozen = np.append(np.arange(40.0) ** 2, np.full(40, 1521.0))
    assert len(without_held(steps, frozen)[1]) == 80
    assert len(without_held(steps, np.append(np.repeat(np.arange(12.0), 2), np.full(56, 11.0)))[1]) == 80


def test_many_values_are_averaged():
    steps, values = averaged_down(np.arange(8000.0), np.arange(8000.0) % 2)
    assert len(steps) == 4000 and steps[0] == 0.5 and set(values) == {0.5}
