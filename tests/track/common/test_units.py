"""Units that give nothing for long, and one that gives far more than the others, counted from step to step."""

import numpy as np

from tandv.track.common.units import LASTING, UnitHistory, Units

KEY = ("Activation", "act", "")


def step(*largest):
    values = np.array(largest, np.float32)
    return {KEY: Units(values, values**2)}


def dead(history, *largest, steps=1):
    return [history.columns(step(*largest))["dead_units"][0] for _ in range(steps)][-1]


def test_a_unit_is_dead_when_it_was_zero_at_all_of_the_last_steps():
    history = UnitHistory()
    assert np.isnan(dead(history, 0, 0, 1, steps=LASTING - 1))  # not known yet
    assert dead(history, 0, 0, 1) == 2
    assert dead(history, 3, 0, 1) == 1  # it has come back
    assert dead(history, 0, 0, 1, steps=LASTING - 1) == 1
    assert dead(history, 0, 0, 1) == 2


def test_other_units_that_are_zero_at_each_step_are_not_dead():
    history = UnitHistory()
    for at in range(2 * LASTING):
        found = history.columns(step(at % 2, (at + 1) % 2))
    assert (found["zero_units"], found["dead_units"]) == ([1.0], [0.0])


def test_a_layer_of_another_width_begins_again():
    history = UnitHistory()
    dead(history, 0, 1, steps=LASTING)
    assert np.isnan(dead(history, 0, 0, 1))


def test_nan_is_not_zero_and_leaves_no_largest_unit():
    found = UnitHistory().columns(step(*[np.nan] * 4, *[1.0] * 8))
    assert found["zero_units"] == [0.0] and np.isnan(found["largest_unit"][0])


def test_the_largest_unit_is_held_against_the_median_of_those_that_are_not_zero():
    found = UnitHistory().columns(step(0, 0, 0, *[1.0] * 8, 60.0))
    assert (found["units"], found["largest_unit"], found["largest_unit_ratio"]) == ([12.0], [11.0], [60.0])
    few = UnitHistory().columns(step(0, 1, 60.0))
    assert np.isnan(few["largest_unit_ratio"][0])  # of three there is no typical one
