import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from tandv.analysis.passages import first_passage
from tandv.analysis.transitions import DETECTORS, Transition, find_transitions, p_value, transitions
from tandv.analysis.transitions.wording import in_words

STEPS = np.arange(1000)


def noise(seed=0, n=1000):
    return np.random.default_rng(seed).standard_normal(n)


def logistic(middle, rate, steps=STEPS):
    return 1 / (1 + np.exp(-rate * (steps - middle)))


def found(values, steps=None, name="loss", **choices):
    return transitions(pd.Series(values, index=steps, name=name), nulls=0, **choices)


def test_a_logistic_curve_is_found_from_a_tenth_to_nine_tenths():
    [one] = found(3 + 2 * logistic(400, 0.1), name="norm")
    # 1 / (1 + exp(-k t)) is 0.1 and 0.9 at t = -+ log(9) / k = 21.97; its slowest tails do not count
    assert (one.quantity, one.step) == ("norm", 400)
    assert (one.start, one.end) == (pytest.approx(378, abs=3), pytest.approx(422, abs=3))
    assert (one.before, one.after) == (pytest.approx(3, abs=0.05), pytest.approx(5, abs=0.05))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_of_six_sigma_lies_between_two_points(sign):
    [one] = found(sign * 6.0 * (STEPS >= 300) + noise())
    assert abs(one.step - 299.5) <= 3
    assert one.evidence.effect == pytest.approx(6, rel=0.2)
    assert one.evidence.noise == pytest.approx(1, rel=0.2)


def test_steps_are_steps_and_not_rows():
    [one] = found(logistic(50, 0.3, np.arange(100)), steps=np.arange(100) * 250 + 1000)
    assert one.step == 13_500


def test_uneven_steps_are_no_transition_where_the_curve_is_straight():
    uneven = np.concatenate([np.arange(0, 100), np.arange(100, 10_000, 100), np.arange(10_000, 10_100)])
    assert found(0.01 * uneven, steps=uneven) == []
    [one] = found(0.0001 * uneven + 5 * (uneven > 5000), steps=uneven)
    assert 5000 <= one.step <= 5100


def test_rows_in_any_order_and_gaps_change_nothing():
    values = logistic(400, 0.1)
    gaps = pd.Series(values, name="loss").iloc[::-1].copy()
    gaps[[10, 390, 405, 900]] = [np.nan, np.nan, np.inf, -np.inf]
    with pytest.warns(UserWarning, match="loss: 2 of 1000 values are infinite, the first at step 405; they are left"):
        assert abs(transitions(gaps, nulls=0)[0].step - found(values)[0].step) <= 1


def test_several_changes_are_several_transitions():
    curve = 4.0 * logistic(200, 0.2) + 3 * logistic(500, 0.1) - 5 * (STEPS > 800) + 0.2 * noise(1)
    assert [round(t.step, -1) for t in found(curve)] == [200, 500, 800]


def test_overlapping_stages_of_a_noiseless_loss_are_told_apart():
    # Modes of a deep linear network: s / (1 + (s / a - 1) exp(-2 s t)), squared errors added up.
    rate, start = 0.005, 0.001
    modes = [s / (1 + (s / start - 1) * np.exp(-2 * s * rate * STEPS)) for s in (10, 5)]
    loss = sum((s - mode) ** 2 / 2 for s, mode in zip((10, 5), modes, strict=True))
    half = [np.log(s / start - 1) / (2 * s * rate) for s in (10, 5)]
    steps = [t.step for t in found(loss)]
    assert len(steps) == 2 and all(abs(a - b) < 15 for a, b in zip(steps, half, strict=True))


X = STEPS / 1000
PLAIN = {
    "exponential decay": np.exp(-5 * X),
    "power law": (1 + 100 * X) ** -0.5,
    "two exponentials": np.exp(-3 * X) + np.exp(-60 * X),
    "line": X,
    "accelerating": X**2,
    "oscillation": np.sin(8 * X),
    "constant": np.ones(1000),
    "rounding": 1 + 1e-12 * noise(),
    "decay with noise that decays": 30 * np.exp(-5 * X) + (0.15 + np.exp(-5 * X)) * noise(2),
    "white noise": noise(3),
    "louder and louder": noise(4) * np.exp(2 * X),
    "random walk": np.cumsum(noise(5)),
    "one wild value": 50.0 * (STEPS == 400) + noise(6),
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_has_no_transition_has_none(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found(PLAIN[name]) == []


def test_decays_recorded_at_powers_of_two_have_none_until_the_axis_is_logarithmic():
    steps = np.unique(np.round(2 ** np.arange(0, 16, 0.25)).astype(int))
    decay = np.exp(-steps / 1000)
    assert found(decay, steps=steps) == []
    [one] = found(decay, steps=steps, axis="log")
    assert one.step == pytest.approx(1000 * np.log(2), rel=0.1)  # half of it has happened


@pytest.mark.parametrize("values", [[], [1.0], [0.0] * 3 + [1.0] * 4, [np.nan] * 50, [2.0] * 50])
def test_too_few_values_and_constants_have_none(values):
    assert found(np.array(values, dtype=float)) == []


def test_twelve_checkpoints_are_enough():
    [one] = found([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.47, 0.63, 0.99, 1.0, 1.0, 1.0], np.arange(12) * 1000, "accuracy")
    assert 5000 <= one.start <= one.step <= one.end <= 8000


def test_an_accuracy_that_ticks_at_chance_has_not_learned():
    ticks = np.where(STEPS < 500, 0.01, 0.03)
    assert found(ticks, name="test_acc") == []
    assert len(found(ticks, name="share")) == 1


def test_long_curves_are_averaged_to_fewer_points():
    steps = np.arange(40_000)
    [one] = found(logistic(9000, 0.02, steps) + 0.1 * noise(0, 40_000), steps=steps)
    assert abs(one.step - 9000) < 100


def test_a_sure_change_has_a_small_p_and_few_false_alarms():
    curve = pd.Series(6.0 * (STEPS >= 300) + noise(), name="loss")
    [one] = transitions(curve)
    assert one.evidence.p < 1e-6 and one.evidence.false_alarms == pytest.approx(1000 * one.evidence.p / 999)
    assert p_value(curve) == one.evidence.p
    assert p_value(pd.Series(noise())) > 0.05 and p_value(pd.Series([2.0] * 50)) == 1


def test_every_curve_of_a_table_is_searched_and_sorted_by_step():
    table = {"a": np.where(STEPS < 700, 0.0, 1.0), "b": np.where(STEPS < 200, 0.0, 1.0), "c": np.zeros(1000)}
    assert [(t.quantity, t.step) for t in find_transitions(table, nulls=0)] == [("b", 200), ("a", 700)]


def test_a_detector_is_a_name_or_a_function():
    mine = Transition("loss", 1, 2, 3, 0.0, 1.0, transitions(pd.Series(np.where(STEPS < 9, 0.0, 1.0)), nulls=0)[0][6])
    assert find_transitions({"loss": [1.0, 2.0]}, lambda curve, axis: [mine]) == [mine]
    with pytest.raises(ValueError, match="detector='best' is not one of 'transitions', 'relative_jumps'"):
        find_transitions({"loss": [1.0]}, "best")


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_takes_the_same_and_returns_transitions(name):
    curve = pd.Series(np.where(STEPS[:80] < 40, 1.0, 3.0), index=STEPS[:80] * 10, name="loss")
    [one] = DETECTORS[name](curve, axis="linear", nulls=0)
    assert (one.quantity, one.before, one.after) == ("loss", 1.0, 3.0)
    assert 380 <= one.start <= one.step <= one.end <= 410 and 390 <= one.step <= 400
    assert DETECTORS[name](pd.Series([], dtype=float), axis="linear", nulls=0) == []
    assert DETECTORS[name](pd.Series([2.0] * 60), axis="linear", nulls=0) == []


@pytest.mark.parametrize("unit", [1e-310, 1e-300, 1e300, -1e306])
def test_very_large_and_small_values_change_nothing_but_their_unit(unit):
    values = 1.0 + (STEPS[:200] >= 100) + 0.05 * noise(n=200)
    [one], [scaled] = found(values), found(values * unit)
    assert (one.step, scaled.step) == (100, 100)
    assert scaled.after == pytest.approx(one.after * unit, rel=1e-9, abs=0)
    assert scaled.evidence.noise == pytest.approx(one.evidence.noise * abs(unit), rel=1e-9, abs=0)


@pytest.mark.parametrize("level", [1e6, 1e9, 1e12])
def test_a_step_on_a_high_level_is_found(level):
    assert [t.step for t in found(level + (STEPS[:200] >= 100) + 0.05 * noise(n=200))] == [100]


@pytest.mark.parametrize("unit", [1e-9, 0.125, 1000, 10**12])
def test_the_unit_of_the_steps_makes_no_difference(unit):
    values = 1.0 + (STEPS[:200] >= 100) + 0.05 * noise(n=200)
    [one], [other] = found(values), found(values, steps=STEPS[:200] * unit)
    assert other[1:4] == pytest.approx([step * unit for step in one[1:4]], rel=1e-12, abs=0)
    assert {other.start, other.step, other.end} <= set(STEPS[:200] * unit)


def test_an_end_in_minus_infinity_is_no_rise():
    values = np.append(1 + 0.01 * noise(n=200), [-np.inf] * 5)
    [one] = found(values)
    assert in_words(one) == f"loss falls from {one.before:.4g} to -inf at step 200 (steps 199 to 200), " + (
        "no longer finite, over 1,000 times the noise"
    )


def test_what_cannot_be_searched_is_said():
    with pytest.warns(UserWarning, match="loss: 20 of 20 values are infinite, the first at step 0"):
        assert found([np.inf] * 20) == []
    with pytest.raises(ValueError, match="values of loss are complex; give"):
        found(np.ones(20) * 1j)
    with pytest.raises(ValueError, match="column 'loss' holds complex numbers; give"):
        find_transitions({"loss": np.ones(20) * 1j})
    with pytest.raises(ValueError, match=r"steps of loss are datetime64.*; give numbers"):
        found(np.ones(20), steps=pd.date_range("2026", periods=20))


def test_one_kind_may_be_given_as_a_word():
    values = 8.0 * (STEPS >= 300) + noise()
    assert found(values, kinds="step") == found(values, kinds=("step",)) != []
    with pytest.raises(ValueError, match="kinds='tooth' is not one of 'step', 'ramp'"):
        found(values, kinds="tooth")


@pytest.mark.parametrize("memory", [0.8, 0.95])
@pytest.mark.parametrize("points", [40, 60])
def test_short_curves_that_remember_rarely_have_one(memory, points):
    red = [np.asarray(lfilter([1.0], [1, -memory], noise(seed, 560)))[-points:] for seed in range(15)]
    assert sum(bool(found(curve)) for curve in red) <= 5  # of 15; nearly all, were their noise taken as white


@pytest.mark.parametrize("points", [40, 50, 60])
def test_a_step_of_ten_sigma_in_a_short_curve_is_found(points):
    steps = [found(noise(seed, points) + 10 * (np.arange(points) >= points // 2)) for seed in range(10)]
    assert sum(any(abs(t.step - points // 2) <= 2 for t in one) for one in steps) >= 8


@pytest.mark.parametrize(
    "curve", [{"step": [0, 1], "loss": [2.0, 1.0]}, pd.DataFrame({"loss": [2.0, 1.0]}), [2.0, 1.0]]
)
@pytest.mark.parametrize("detector", [*DETECTORS.values(), p_value, lambda curve: first_passage(curve, 1.5)])
def test_what_is_no_curve_is_said(detector, curve):
    with pytest.raises(TypeError, match=f"a curve is one pandas Series .* not a {type(curve).__name__}; .* give one"):
        detector(curve)
