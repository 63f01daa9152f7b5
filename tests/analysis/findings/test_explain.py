"""What came before a spike of the loss, on logs whose course is made by hand."""

import numpy as np
import pytest
from analysis.findings.made import log

from tandv.analysis.findings import explain
from tandv.analysis.findings.explain import sentence
from tandv.log.files import write_parquet

N = 90
EVENT = 80


def noisy(seed, **leaves):
    """Return a tensor whose size wanders by a tenth of a bit, and by `bits` more from `at` on."""
    wander = 0.1 * np.random.default_rng(seed).standard_normal(N)
    if leaves:
        wander += np.where(np.arange(N) >= leaves["at"], leaves["bits"] * (np.arange(N) - leaves["at"] + 1), 0.0)
    return {"rm2": 2.0**wander, "max_abs": 3 * 2.0**wander}


def run(**leaves):
    """Return a log of four layers, of which some leave their course at (step, bits a step)."""
    tensors = {}
    for number, name in enumerate(("a", "b", "c", "d")):
        at, bits = leaves.get(name, (N, 0.0))
        tensors["Activation", name] = noisy(number, at=at, bits=bits)
        tensors["Weight", name] = noisy(10 + number)
    return log(N, tensors)


def test_the_first_to_leave_its_course_is_ranked_first():
    found = explain(run(c=(72, 2.0), b=(76, 2.0)), EVENT)
    assert [(one.layer, one.tensor_type, one.step, one.lead) for one in found.departures] == [
        ("c", "Activation", 72, 8), ("b", "Activation", 76, 4),
    ]  # fmt: skip
    assert found.departures[0].score > found.limit
    assert found.quiet == 61 - 12  # from where a course is known to 20 steps before and with the event


def test_of_one_step_the_order_of_execution_decides():
    found = explain(run(d=(75, 2.0), b=(75, 2.0)), EVENT)
    assert [one.layer for one in found.departures] == ["b", "d"]


def test_nothing_is_ranked_where_nothing_happens():
    found = explain(run(), EVENT)
    assert (found.departures, found.notes) == ([], ["Nothing left its course before it."])
    assert found.limit > 1


def test_a_straight_course_is_no_departure_however_steep():
    ramp = {"rm2": 2.0 ** (0.3 * np.arange(N)), "max_abs": 2.0 ** (0.3 * np.arange(N))}
    assert explain(log(N, {("Weight", "a"): ramp}), EVENT).departures == []


def test_what_is_not_finite_has_left_its_course():
    tensors = {("Activation", "a"): {**noisy(0), "nans": (np.arange(N) >= 79).astype(int)}}
    [found] = explain(log(N, tensors), EVENT).departures
    assert sentence(found) == "The output of 'a' left its course at step 79, 1 step before: it is not finite."


def test_chance_needs_quiet_steps():
    found = explain(run(c=(38, 2.0)), 40)
    assert found.departures == []
    assert found.notes == [
        "Only 9 quiet recorded steps lie before it; 15 are needed to know chance.",
        "Give a later step; `tandv check` needs fewer, and names what is not finite.",
    ]


def test_a_step_that_is_not_recorded():
    with pytest.raises(ValueError, match="step 200 is not recorded; the nearest are 88 and 89"):
        explain(run(), 200)


def words(loss):
    """Return losses as a file of curves spells them."""
    return [{"nan": "NaN", "inf": "Infinity"}.get(str(value), value) for value in loss.tolist()]


@pytest.fixture
def with_loss(tmp_path):
    """Return what writes a run with some losses."""

    def write(loss):
        write_parquet(run(c=(72, 2.0)), tmp_path / "log.parquet")
        (tmp_path / "run.json").write_text("{}")
        lines = [f'{{"step": {step}, "loss": {value}}}\n' for step, value in enumerate(loss)]
        (tmp_path / "curves.jsonl").write_text("".join(lines))
        return tmp_path

    return write


def test_the_spike_of_the_loss_is_found_by_itself(with_loss):
    found = explain(with_loss(np.where(np.arange(N) == EVENT, 2.0, 1.0)))
    assert (found.step, found.spikes) == (EVENT, [EVENT])
    assert [one.layer for one in found.departures] == ["c"]


def test_without_a_spike_there_is_nothing_to_explain(with_loss):
    found = explain(with_loss(np.linspace(2.0, 1.0, N)))
    assert (found.step, found.departures) == (None, [])
    assert found.notes == ["The loss has no spike: there is nothing to explain."]
    assert explain(run()).notes == ["The run has no loss in which a spike could be found; give a step."]


@pytest.mark.parametrize(
    ("value", "note"),
    [(np.nan, "The loss is NaN from step 80 on."), (np.inf, "The loss is infinite first at step 80.")],
)
def test_a_loss_that_is_no_longer_finite_is_the_event(with_loss, value, note):
    found = explain(with_loss(words(np.where(np.arange(N) >= EVENT, value, 1.0))))
    assert (found.step, [one.layer for one in found.departures]) == (EVENT, ["c"])
    assert found.notes == [note]


def test_a_loss_that_is_lost_after_a_spike_is_said(with_loss):
    steps = np.arange(N)
    found = explain(with_loss(words(np.where(steps >= 85, np.nan, np.where(steps == EVENT, 2.0, 1.0)))))
    assert (found.step, found.notes) == (EVENT, ["The loss is NaN from step 85 on; step 85 explains that."])


def test_a_loss_that_is_never_a_number_is_said(with_loss):
    found = explain(with_loss(words(np.full(N, np.nan))))
    assert (found.step, found.notes[0]) == (0, "The loss is NaN at every recorded step.")
    assert found.notes[1].startswith("Only 0 quiet recorded steps lie before it")


def test_a_loss_that_is_not_given_at_the_end_is_not_lost(with_loss):
    given = np.where(np.arange(N) % 10 == 0, 1.0, np.nan)  # the last one is at step 80, as all are 10 apart
    assert explain(with_loss(words(given))).notes == [
        "The loss has 9 values, and a spike is told from 25 before it: give a step, or record more steps."
    ]


@pytest.mark.parametrize(("skipped", "many"), [(0.0, 1), (1.0, 0)])
def test_gradients_of_a_step_that_a_scaler_skipped_have_left_no_course(skipped, many):
    there = np.arange(N) == 79
    gradient = {**noisy(0), "infs": there.astype(int), "skipped": skipped * there, "loss_scale": 2.0}
    assert len(explain(log(N, {("Weight_Gradient", "a"): gradient}), EVENT).departures) == many


def short(tensors, loss, tmp_path):
    """Return a run of 27 steps, whose loss is lost near its end."""
    write_parquet(log(27, tensors), tmp_path / "log.parquet")
    (tmp_path / "run.json").write_text("{}")
    lines = [f'{{"step": {at}, "loss": {value}}}\n' for at, value in enumerate(words(loss))]
    (tmp_path / "curves.jsonl").write_text("".join(lines))
    return explain(tmp_path)


def test_of_a_loss_that_is_nan_to_the_end_of_a_short_run_what_was_first_is_told(tmp_path):
    late = np.arange(27) >= 25
    found = short({("Activation", "a"): {"nans": 4 * late}}, np.where(late, np.nan, 1.0), tmp_path)
    assert (found.step, found.departures) == (25, [])
    assert found.notes[-1].startswith(
        "What was not finite first is known without it: The output of 'a' (Linear, float32) has 4 NaN among 100 values "
        "first at step 25. To do: Check what goes into 'a'"
    )
    assert not any("Give a later step" in note for note in found.notes)


def test_of_a_loss_that_alone_is_lost_its_formula_is_to_be_looked_at(tmp_path):
    found = short({("Activation", "a"): {}}, np.where(np.arange(27) >= 25, np.nan, 1.0), tmp_path)
    assert found.notes[-1] == "No tensor of the recorded steps has NaN or infinity: look at how the loss is computed."
