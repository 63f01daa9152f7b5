"""`track` inside of the training loop, and a run that was left open, are said; several runs of a model are not."""

import gc
import warnings
import weakref

import pytest
import torch
from torch import nn
from torch.optim import SGD

from tandv.track.common.loops import IN_LOOP, LEFT_OPEN, OneStepRuns
from tandv.track.torch import track

ones = torch.ones(2, 2)


def train(model, tracker, steps=1):
    optimizer = SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(ones).sum().backward()
        optimizer.step()
        tracker.step()


def in_blocks(model, tracked=1, **arguments):
    with track(model, **arguments) as tracker:
        train(model, tracker, tracked)


def open_ended(model, kept, **arguments):
    tracker = track(model, **arguments).start()
    kept.append(tracker)
    train(model, tracker)


def said_of(loop, calls):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for at in range(calls):
            loop(at)
    return [str(one.message) for one in said if "tandv" in str(one.message)]


@pytest.mark.parametrize("calls, times", [(2, 0), (3, 1), (6, 1)])
def test_a_block_inside_of_the_loop_is_told_once(calls, times):
    model = nn.Linear(2, 1)
    assert said_of(lambda _: in_blocks(model), calls) == times * [f"tandv: {IN_LOOP}"]


def closed(loop):
    kept = []
    try:
        return loop(kept), kept
    finally:
        for tracker in kept:
            tracker.close()


def test_trackers_that_are_started_in_the_loop_and_never_closed():
    model = nn.Linear(2, 1)
    said, kept = closed(lambda kept: said_of(lambda _: open_ended(model, kept), 5))
    left = [f"tandv: {LEFT_OPEN}{tracker.path}" for tracker in kept]
    assert said == [left[0], left[1], left[2], f"tandv: {IN_LOOP}", left[3]]


@pytest.mark.parametrize(
    "one, other, is_told",
    [
        ({}, {}, True),
        ({"every": 2}, {"every": 2}, True),
        ({}, {"every": 2}, False),
        ({"formats": ["mxfp4"]}, {"formats": ["nvfp4"]}, False),
        ({"name": "one"}, {"name": "other"}, False),
    ],
)
def test_a_run_that_was_left_open_is_told_where_the_same_is_asked_again(one, other, is_told):
    model = nn.Linear(2, 1)

    def twice(kept):
        kept.append(track(model, **one).start())
        return said_of(lambda _: kept.append(track(model, **other).start()), 1)

    said, kept = closed(twice)
    assert said == is_told * [f"tandv: {LEFT_OPEN}{kept[0].path}"]


class Refusing:
    """Settings with something inside that is neither equal nor not."""

    name = path = None

    def __eq__(self, other):
        raise ValueError("ambiguous")

    __hash__ = None


class Run:
    is_on, took_one_step, asked, path = True, False, None, "run"

    def __init__(self):
        self.settings = Refusing()


def test_what_cannot_be_compared_is_not_the_same():
    runs, model, kept = OneStepRuns(), nn.Linear(2, 1), [Run(), Run()]
    assert [runs.said_at_beginning(model, run) for run in kept] == [[], []]


def other_models(_):
    in_blocks(nn.Linear(2, 1))


@pytest.mark.parametrize("kind", ["models", "steps", "names", "questions"])
def test_several_runs_are_no_mistake(kind):
    model = nn.Linear(2, 1)
    loops = {
        "models": other_models,
        "steps": lambda at: in_blocks(model, tracked=1 + at % 2),
        "names": lambda at: in_blocks(model, name=f"run-{at}"),
        "questions": lambda _: answer(model),
    }
    assert said_of(loops[kind], 6) == []


def answer(model):
    with track(model) as tracker, torch.no_grad():
        model(ones)
        tracker.step()


def test_no_model_is_kept_alive():
    model = nn.Linear(2, 1)
    in_blocks(model)
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None
