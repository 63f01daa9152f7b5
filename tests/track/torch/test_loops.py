"""`track` inside of the training loop makes a run of each step, which is said; several runs of a model are not."""

import gc
import warnings
import weakref

import pytest
import torch
from torch import nn
from torch.optim import SGD

from tandv.track.common.loops import IN_LOOP
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


def test_trackers_that_are_started_in_the_loop_and_never_closed():
    model, kept = nn.Linear(2, 1), []
    try:
        assert said_of(lambda _: open_ended(model, kept), 5) == [f"tandv: {IN_LOOP}"]
    finally:
        for tracker in kept:
            tracker.close()


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
