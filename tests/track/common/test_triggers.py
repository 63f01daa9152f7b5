"""Rules that watch a number: they fire where something happens to it, and not where nothing does."""

import math

import numpy as np
import pytest

from tandv.track import crossing_of, jumps_of


def fired(trigger, values) -> list[int]:
    watch = trigger.begin()
    return [step for step, value in enumerate(values) if watch(step, float(value))]


STEPS = np.arange(1000)


@pytest.mark.parametrize(
    "quiet",
    [
        4 * np.exp(-STEPS / 100) + 1,  # a decay is fastest at its beginning
        np.full(1000, 0.5),
        STEPS / 10.0,
        1 + 1e-9 * np.sin(STEPS),  # rounding
    ],
    ids=["decay", "constant", "steady", "rounding"],
)
def test_nothing_happens(quiet):
    assert fired(jumps_of("loss"), quiet) == []


def test_noise_alone_does_not_fire():
    alarms = [fired(jumps_of("loss"), 1 + 0.1 * np.random.default_rng(seed).normal(size=5000)) for seed in range(4)]
    assert alarms == [[], [], [], []]


def test_a_step_fires_at_once_and_once():
    values = np.where(STEPS < 400, 2.0, 1.0) + 0.01 * np.random.default_rng(0).normal(size=1000)
    (step,) = fired(jumps_of("loss"), values)
    assert step in (400, 401)  # the mean of two values is compared


@pytest.mark.parametrize("width", [3, 10, 30])
def test_a_slower_change_fires_while_it_happens(width):
    noise = 0.01 * np.random.default_rng(1).normal(size=1000)
    found = fired(jumps_of("accuracy"), 0.1 + 0.8 / (1 + np.exp(-(STEPS - 500) / width)) + noise)
    assert found and 500 - 4 * width <= found[0] <= 500 + 2 * width


def test_a_number_that_is_no_longer_finite_fires_once_until_it_is_finite_again():
    values = [1.0, 1.0, math.nan, math.nan, math.inf, 1.0, math.nan]
    assert fired(jumps_of("loss"), values) == [2, 6]
    assert fired(jumps_of("loss"), [math.nan, 1.0]) == []  # what was never finite has not changed


def test_what_is_small_can_be_let_pass():
    values = np.where(STEPS < 400, 2.0, 1.8)
    assert fired(jumps_of("loss", least=0.05), values) == [401]  # at 400 the mean is a twentieth lower, not more
    assert fired(jumps_of("loss", least=0.2), values) == []


def test_values_that_were_seen_long_ago_are_forgotten_without_harm():
    values = np.concatenate([np.ones(20_000), np.full(10, 5.0)])
    assert fired(jumps_of("loss"), values) == [20_000]


def test_a_level_is_crossed_upwards_and_downwards():
    assert fired(crossing_of("acc", 0.5), [0.1, 0.5, 0.6, math.nan, 0.4, 0.4, 0.9]) == [1, 4, 6]
    assert fired(crossing_of("acc", 0.5), [0.9, 0.9]) == []


def test_each_run_has_a_watch_of_its_own():
    rule = crossing_of("acc", 0.5)
    first, second = rule.begin(), rule.begin()
    first(0, 0.1)
    assert second(0, 0.9) is None
    assert first(1, 0.9) == "acc crossed 0.5 by step 1"
