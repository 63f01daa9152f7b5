"""Findings in a run that goes on."""

import numpy as np

from tandv.track.common.measurements import Block, Quantity
from tandv.track.common.numbers import known
from tandv.track.common.watching import Watching

ORDINARY = {
    "mean": 0.0, "mean_abs": 0.8, "max_abs": 3.0, "min_abs": 1e-3, "rm2": 1.0, "rm4": 1.3, "rm8": 1.9,
    "numel": 100, "zeros": 0, "nans": 0, "infs": 0, "calls": 1,
}  # fmt: skip


def block(step, tensors, phase="", order=None):
    """Return the rows of a step: {(tensor type, name): {a statistic: its value}}, the others ordinary."""
    quantities = [Quantity((at,), name, "Linear", kind, phase=phase) for at, (kind, name) in enumerate(tensors)]
    names = dict.fromkeys([*ORDINARY, *(name for one in tensors.values() for name in one)])
    scalars = {
        name: np.array([one.get(name, ORDINARY.get(name, np.nan)) for one in tensors.values()]) for name in names
    }
    counts = np.zeros((len(tensors), 3), np.int64)
    return Block(step, quantities, ["float32"] * len(tensors), scalars, counts, 0, order=order)


def told(watching):
    return [(one.kind, one.layer, one.step) for one in watching.news()]


def test_what_is_not_finite_is_told_with_its_own_step():
    watching = Watching(dict)
    for step in range(3):
        watching.add(block(step, {("Activation", "up"): {}, ("Weight", "up"): {}}))
    assert told(watching) == []
    watching.add(block(3, {("Activation", "up"): {"nans": 4}, ("Weight", "up"): {}}))
    assert told(watching) == [("not_finite", "up", 3)]


def test_behind_it_nothing_is_told():
    watching = Watching(dict)
    for step in range(40):
        watching.add(block(step, {("Activation", "up"): {"nans": step > 3}, ("Weight", "up"): {"nans": step > 4}}))
    watching.close(None)
    assert told(watching) == [("not_finite", "up", 4)]


def gradients(step, bad, weight_bad=False, **more):
    tensors = {("Activation", "up"): {}, ("Weight", "up"): {"nans": weight_bad}, ("Weight_Gradient", "up"): {}}
    tensors["Weight_Gradient", "up"] = {"nans": bad}
    return block(step, {one: values | more for one, values in tensors.items()})


def test_gradients_alone_wait_for_the_next_step_which_is_wanted():
    watching = Watching(dict)
    watching.add(gradients(0, False))
    watching.add(gradients(1, True))
    assert watching.wants_next
    assert told(watching) == []
    watching.add(gradients(2, True, weight_bad=True))
    assert not watching.wants_next
    assert told(watching) == [("not_finite", "up", 1)]


def test_a_skipped_update_is_no_finding():
    watching = Watching(dict)
    for step in range(8):
        watching.add(gradients(step, step in (2, 5)))
    watching.close(None)
    assert [one for one in watching.news() if one.severity != "note"] == []


def test_a_step_that_a_scaler_skipped_is_none_and_wants_nothing():
    watching = Watching(dict)
    for step in range(3):
        watching.add(gradients(step, step == 1, skipped=float(step == 1), loss_scale=65536.0))
        assert not watching.wants_next
    assert told(watching) == []


def test_gradients_that_are_bad_at_the_end_are_told_when_the_run_closes():
    watching = Watching(dict)
    watching.add(gradients(0, False))
    watching.add(gradients(1, True))
    watching.close(None)
    assert told(watching) == [("not_finite", "up", 1)]


def test_a_loss_that_is_infinite_is_told_at_once():
    watching = Watching(dict)
    for step, loss in enumerate([1.0, 1.0, np.inf]):
        watching.add_numbers(step, {"loss": known(loss), "lr": known(0.1)})
        watching.add(block(step, {("Activation", "up"): {}}))
    assert told(watching) == [("not_finite", "*", 2)]


def test_a_state_is_told_once_however_long_it_lasts():
    watching = Watching(dict)
    found = []
    for step in range(300):
        dead = {"zeros": 100 if step >= 50 else 0}
        watching.add(block(step, {("Activation", "act"): dead, ("Activation", "out"): {}, ("Weight", "out"): {}}))
        found += told(watching)
    watching.close(None)
    assert [*found, *told(watching)] == [("dead", "act", 50)]


def test_what_follows_from_what_was_told_is_its_consequence():
    watching = Watching(dict)
    for step in range(40):
        watching.add(block(step, {("Activation", "a"): {"zeros": 100 * (step >= 5)}, ("Activation", "b"): {}}))
    for step in range(40, 100):
        growing = {"rm2": 100.0 if step >= 70 else 1.0}
        watching.add(block(step, {("Activation", "a"): {"zeros": 100}, ("Activation", "b"): growing}))
    watching.close(None)
    assert told(watching) == [("dead", "a", 5)]  # the spike of b is not told


def test_rows_of_a_phase_are_looked_at_where_all_are_in_one():
    watching = Watching(dict)
    watching.add(block(0, {("Activation", "up"): {"nans": 1}}, phase="rollout"))
    assert told(watching) == [("not_finite", "up", 0)]
    watching = Watching(dict)
    watching.add(block(0, {("Activation", "up"): {}}))
    watching.add(block(1, {("Activation", "up"): {"nans": 1}}, phase="rollout"))
    assert told(watching) == []


def test_the_first_is_the_first_in_the_order_of_execution():
    order = [("Activation", "late"), ("Activation", "early")]
    watching = Watching(dict)
    watching.add(block(0, {("Activation", "early"): {}, ("Activation", "late"): {}}, order=order))
    watching.add(block(1, {("Activation", "early"): {"nans": 1}, ("Activation", "late"): {"nans": 1}}))
    assert told(watching) == [("not_finite", "late", 1)]


def test_a_rule_that_fails_ends_the_looking_and_says_so():
    watching = Watching(dict)
    for step in range(3):
        watching.add(block(step, {("Activation", "up"): {"nans": np.nan if step else 0}}))
    watching._recent = None  # pyright: ignore
    watching.add(block(3, {("Activation", "up"): {"nans": 1}}))
    assert watching.failure.startswith("no more findings are looked for: AttributeError")
    watching.add(block(4, {("Activation", "up"): {}}))
