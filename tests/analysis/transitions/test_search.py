import numpy as np
import pandas as pd
import pytest

from tandv.analysis.transitions import find_transitions, transitions
from tandv.analysis.transitions.search import scheduled, search

N = 600
STEPS = np.arange(N)
RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal(N)
DECAY = np.exp(-STEPS / 60)


def kinds(values, **choices):
    return [(t.evidence.kind, t.step) for t in search(pd.Series(values, name="loss"), **choices).events]


def test_a_jump_is_a_step_and_a_slow_change_a_ramp():
    [(kind, at)] = kinds(8.0 * (STEPS >= 300) + NOISE)
    assert kind == "step" and abs(at - 300) <= 1
    [(kind, at)] = kinds(12 / (1 + np.exp(-(STEPS - 300) / 15)) + NOISE)
    assert kind == "ramp" and abs(at - 300) <= 6


def test_spikes_and_teeth_are_events_but_no_transitions():
    spike = DECAY + 0.02 * NOISE + np.where(STEPS >= 300, np.exp(-np.maximum(STEPS - 300, 0) / 4), 0)
    assert kinds(spike) == [("spike", 300)]
    teeth = DECAY + 0.3 * (STEPS % 60) / 60 + 0.02 * NOISE
    assert kinds(teeth) == [("teeth", 60)]
    for values, kind in ((spike, "spike"), (teeth, "teeth")):
        assert transitions(pd.Series(values)) == []
        assert [t.evidence.kind for t in transitions(pd.Series(values), kinds=[kind])] == [kind]


def test_divergence_is_cut_off_and_what_was_before_is_found():
    values = 2 - (STEPS >= 200) + 0.02 * NOISE
    values[580:] += np.linspace(0.2, 6, 20)
    first, second = search(pd.Series(values, name="loss")).events
    assert (first.evidence.kind, first.step) == ("step", 200)
    assert second.evidence.kind == "divergence" and 575 <= second.start <= 581 and second.end == 599


@pytest.mark.parametrize("end", [np.inf, np.nan])
def test_an_end_that_is_not_finite_is_divergence(end):
    values = DECAY + 0.02 * NOISE
    values[500:] = end
    [one] = transitions(pd.Series(values, name="loss"))
    assert (one.evidence.kind, one.start, one.step, one.end) == ("divergence", 499, 500, 500)
    assert not np.isfinite(one.after) and not one.evidence.p > 1e-9


def test_a_curve_that_is_recorded_less_often_did_not_diverge():
    table = pd.DataFrame({"loss": DECAY + 0.02 * NOISE, "test_loss": DECAY + 0.02 * NOISE[::-1]})
    table.loc[table.index % 10 != 0, "test_loss"] = np.nan  # ends with nine NaNs
    assert find_transitions(table) == []
    table = pd.DataFrame({"loss": np.append(DECAY + 0.02 * NOISE, np.nan), "final": [np.nan] * N + [0.5]})
    assert find_transitions(table) == []


def test_an_accuracy_that_rises_at_the_end_does_not_diverge():
    values = 0.1 + 0.01 * NOISE
    values[580:] += np.linspace(0.05, 0.8, 20)
    found = search(pd.Series(np.clip(values, 0, 1), name="test_acc")).events
    assert all(t.evidence.kind != "divergence" for t in found)


@pytest.mark.parametrize("above", [1e-9, 0.05])
def test_an_accuracy_that_smoothing_or_noise_takes_above_1_is_no_percent(above):
    noise = 0.01 * np.random.default_rng(0).standard_normal(500)
    accuracy = 0.1 + 0.85 / (1 + np.exp(-(np.arange(500) - 300) / 8)) + noise
    accuracy[400] = 1 + above
    [found] = find_transitions({"test_acc": accuracy})
    assert abs(found.step - 300) <= 2 and found.after > 0.8


@pytest.mark.parametrize("name", ["test_acc", "reward"])
@pytest.mark.parametrize("ends", [340, 400, 450])
def test_a_rise_that_has_arrived_is_no_part_of_the_nans_at_the_end(name, ends):
    noise = 0.5 * np.random.default_rng(1).standard_normal(500)
    values = 10 + 85 / (1 + np.exp(-(np.arange(500) - 300) / 5)) + noise
    values[ends:] = np.nan
    risen, ended = find_transitions({name: values})
    assert abs(risen.step - 300) <= 2 and risen.before < 25 and risen.after > 80
    assert ended.evidence.kind == "divergence" and ended.step == ends and ended.before > 80


def test_several_runs_are_gone_through_one_by_one():
    with pytest.raises(TypeError, match=r"several runs, 'a', 'b', .*\{name: f\(run\) for name, run in runs.items"):
        find_transitions({"a": {"loss": [2.0, 1.0]}, "b": {"loss": [2.0, 1.0]}})


def test_proportional_noise_is_judged_on_logarithms():
    values = 3 * np.exp(-STEPS / 40) * (1 + 0.05 * NOISE) + 1e-9
    assert kinds(values) == []
    jump = np.exp(0.5 * NOISE) * np.where(STEPS < 300, 1.0, 55.0)
    [one] = transitions(pd.Series(jump, name="grad_norm"))
    assert one.evidence.values == "log" and abs(one.step - 300) <= 1
    assert one.after / one.before == pytest.approx(55, rel=0.5)
    [one] = transitions(pd.Series(jump, name="grad_norm"), values="log")
    assert one.evidence.values == "log"


def test_what_the_learning_rate_explains_is_said():
    values = 1 + DECAY - 0.4 / (1 + np.exp(-(STEPS - 303) / 1.5)) + 0.03 * NOISE
    lr = pd.Series(np.where(STEPS < 300, 0.1, 0.01))
    assert [kind for kind, _ in kinds(values)] == ["ramp"]
    assert [kind for kind, _ in kinds(values, lr=lr)] == ["schedule"]
    assert [kind for kind, _ in kinds(values, lr=0.1 * 0.99 ** pd.Series(STEPS))] == ["ramp"]
    table = {"loss": values, "lr": lr.to_numpy()}
    assert [t.evidence.kind for t in find_transitions(table, lr="lr")] == ["schedule"]
    with pytest.raises(LookupError, match="no curve 'rate'"):
        find_transitions(table, lr="rate")
    assert not scheduled(pd.Series([0.1]), STEPS, 1, 2)


def test_steps_that_are_fractions_keep_their_value_and_order_makes_no_difference():
    values, epochs = 8.0 * (STEPS >= 300) + 0.1 * NOISE, STEPS / 40 + 0.125
    table = pd.DataFrame({"step": epochs, "loss": values})
    [one] = find_transitions(table)
    assert one.step in (7.6, 7.625) and {one.start, one.end} <= set(epochs)  # rows 299 and 300, divided by 40
    assert find_transitions(table.sample(frac=1, random_state=1)) == [one]
    assert find_transitions({"step": epochs, "loss": values}) == [one]
    assert find_transitions(pd.Series(values, index=epochs, name="loss")) == [one]


def test_steps_that_come_twice_are_said_and_averaged():
    values = 8.0 * (STEPS >= 300) + NOISE
    twice = pd.concat([pd.Series(values + 1, name="loss"), pd.Series(values[290:310] - 1, index=STEPS[290:310])])
    twice.name = "loss"
    with pytest.warns(UserWarning, match="loss: 20 of 600 steps come more than once, the first is 290; the mean"):
        [one] = transitions(twice)
    assert abs(one.step - 300) <= 1
    with pytest.warns(UserWarning, match="20 of 600 steps come more than once, the first is 290; the mean"):
        assert find_transitions(twice) == [one]
    table = {"step": twice.index / 8, "loss": twice.to_numpy(), "gap": np.where(twice.index < 5, np.nan, 1.0)}
    with pytest.warns(UserWarning, match="20 of 600 steps come more than once, the first is 36.25"):
        assert [t.step * 8 for t in find_transitions(table)] == [one.step]


def test_of_many_curves_only_the_surer_stay():
    table = pd.DataFrame({f"noise {k}": np.random.default_rng(k).standard_normal(N) for k in range(30)})
    table["weak"] = 3.2 * (STEPS >= 300) + NOISE
    table["sure"] = 15.0 * (STEPS >= 300) + NOISE
    found = find_transitions(table)
    assert [t.quantity for t in found if t.quantity == "sure"] == ["sure"]
    assert {t.quantity for t in found} <= {t.quantity for t in find_transitions(table, false_discoveries=None)}


def test_options_of_the_default_are_of_the_default():
    with pytest.raises(ValueError, match="lr, values: only detector='transitions' takes this"):
        find_transitions({"loss": [1.0, 2.0], "lr": [1.0, 1.0]}, "jumps", values="log", lr="lr")
    with pytest.raises(ValueError, match="kinds='tooth' is not one of"):
        transitions(pd.Series([1.0] * 20), kinds=["tooth"])


def test_values_held_between_evaluations_are_no_stairs():
    evaluated = 2 * np.exp(-np.arange(30) / 8) + 0.05 * NOISE[:30]
    assert kinds(np.repeat(evaluated, 20)) == []
    assert kinds(np.repeat(evaluated, 20)[7:]) == []
    evaluated[15:] += 1
    [(_, at)] = kinds(np.repeat(evaluated, 20))
    assert 280 <= at <= 300  # between two evaluations


def test_a_change_of_a_short_curve_is_there_on_both_scales():
    x = np.arange(50)
    level = 3 * np.exp(-x / 8) + 0.5  # with noise in proportion, which so few values do not tell
    for seed in range(20):
        assert transitions(pd.Series(level * (1 + 0.05 * np.random.default_rng(seed).standard_normal(50)))) == []
    [(_, at)] = kinds((1 + (x >= 30)) * (1 + 0.05 * NOISE[:50]))
    assert at == 30


def test_short_curves_that_remember_rarely_have_a_transition():
    found = 0
    for seed in range(60):
        shocks = np.random.default_rng(seed).standard_normal(250)
        wandering = [0.0]
        for shock in shocks:
            wandering.append(0.9 * wandering[-1] + shock)
        found += bool(transitions(pd.Series(wandering[-40 - seed % 20 :])))
    assert found <= 2
