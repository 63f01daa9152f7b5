"""The order of execution is read as the tracker kept it, with the gradients of weights at their true place."""

import json

import pytest
from stored import stored

from tandv.log.execution import guessed_order
from tandv.log.logframe import example_log
from tandv.log.opened import Log
from tandv.log.order import execution_order, order_of
from tandv.log.reading import read
from tandv.log.store import layers

ACT, GRAD, WEIGHT, OF_WEIGHT = "Activation", "Gradient", "Weight", "Weight_Gradient"
# In the order of the model, in which the modules are declared.
TENSORS = [
    *((ACT, name) for name in ("Net", "last", "first")),
    *((GRAD, name) for name in ("Net", "last", "first")),
    *((kind, name) for kind in (WEIGHT, OF_WEIGHT) for name in ("scale", "last", "last.bias", "first")),
    ("Optimiser_State.mu", "first"),
    ("Weight_Update", "first"),
]
CALLED = [(ACT, "first"), (ACT, "last"), (ACT, "Net"), (GRAD, "Net"), (GRAD, "last"), (GRAD, "first")]


@pytest.fixture
def run(tmp_path):
    layers.write(tmp_path, TENSORS, {0: CALLED, 40: [(ACT, "last"), (ACT, "first"), *CALLED[2:]]})
    return tmp_path


def test_gradients_of_weights_follow_those_of_their_own_modules_output(run):
    assert execution_order(run) == [
        *((WEIGHT, name) for name in ("scale", "last", "last.bias", "first")),
        *CALLED[:4],
        *((GRAD, "last"), (OF_WEIGHT, "last"), (OF_WEIGHT, "last.bias")),
        *((GRAD, "first"), (OF_WEIGHT, "first")),
        (OF_WEIGHT, "scale"),  # of the model itself, whose name is another
        *(("Optimiser_State.mu", "first"), ("Weight_Update", "first")),
    ]


@pytest.mark.parametrize(("step", "first"), [(None, "first"), (0, "first"), (39, "first"), (40, "last"), (99, "last")])
def test_each_step_has_the_order_that_was_valid_then(run, step, first):
    assert next(name for kind, name in execution_order(run, step) if kind == ACT) == first


def test_what_never_came_at_its_own_time_comes_after_the_rest_of_the_pass(tmp_path):
    layers.write(tmp_path, TENSORS[:3], {0: [(ACT, "last"), (ACT, "first")]})
    assert [name for _, name in execution_order(tmp_path)] == ["last", "first", "Net"]


def test_any_form_of_the_log_has_the_order_of_its_run(run):
    stored(example_log(layers=2, steps=3), run)
    layers.write(run, TENSORS, {0: CALLED})
    expected = execution_order(run)
    assert expected is not None and expected == execution_order(read(run)) == execution_order(Log(run))


@pytest.mark.parametrize(
    "found",
    [
        {"tensors": TENSORS},
        {"tensors": TENSORS, "order": []},
        {"tensors": TENSORS, "order": [{"step": 0, "places": [0]}]},
        {"tensors": TENSORS, "order": [{"step": 0}]},
        {"order": [{"step": 0, "places": []}]},
    ],
)
def test_a_run_without_an_order_has_none(tmp_path, found):
    (tmp_path / layers.NAME).write_text(json.dumps(found))
    assert execution_order(tmp_path) is None


def test_a_table_in_memory_has_none():
    assert execution_order(example_log(layers=2, steps=2)) is None


def test_the_place_of_each_is_that_of_the_run_and_others_come_behind_as_guessed(run):
    tensors = [*TENSORS, ("Activation", "later.inner"), ("Activation", "later")]
    order = order_of(run, tensors)
    ordered = sorted(order, key=order.__getitem__)
    assert ordered == [*execution_order(run), ("Activation", "later.inner"), ("Activation", "later")]
    (run / layers.NAME).unlink()
    assert order_of(run, tensors) == guessed_order(tensors)
