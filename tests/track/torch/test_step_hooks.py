"""A tracker that begins or ends in another thread, or within a hook, leaves the steps of optimisers alone."""

import threading
import warnings

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim import optimizer as optimizers
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from tandv.track.torch import _step_hooks, track


def test_hooks_wait_for_one_that_runs_in_another_thread(monkeypatch):
    monkeypatch.setattr(_step_hooks, "_AT_MOST", 60.0)
    inside, go_on, order = threading.Event(), threading.Event(), []

    @_step_hooks.counted
    def hook():
        inside.set()
        go_on.wait(60)
        order.append("hook")

    def begin():
        hooks = _step_hooks.put(lambda *_: None, lambda *_: None)
        order.append("put")
        _step_hooks.removed(hooks)

    threads = [threading.Thread(target=hook)]
    threads[0].start()
    assert inside.wait(60)
    threads.append(threading.Thread(target=begin))
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert order == ["hook", "put"]


@pytest.mark.parametrize("late", [False, True], ids=["before the step", "after it"])
def test_a_tracker_that_ends_within_a_hook_leaves_the_hooks_of_others_in_place(late):
    model, called = nn.Linear(2, 1), []
    optimizer = SGD(model.parameters(), lr=0.1)

    def fails(*_):
        raise RuntimeError("of the tracker")

    with warnings.catch_warnings(record=True) as said, track(model, optimizer=optimizer, insight=True) as tracker:
        warnings.simplefilter("always")
        others = [
            register_optimizer_step_pre_hook(lambda *_: called.append("before")),
            register_optimizer_step_post_hook(lambda *_: called.append("after")),
        ]
        insight = tracker._parameters.insight
        setattr(insight, "after_step" if late else "before_step", fails)
        for _ in range(2):
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            tracker.step()
        for other in others:
            other.remove()
    assert called == ["before", "after"] * 2
    assert ["tracking stopped at step 0" in str(one.message) for one in said] == [True]
    assert not _step_hooks._inside and not _step_hooks._later
    assert not tracker_hooks(tracker)


def tracker_hooks(tracker):
    of = [*optimizers._global_optimizer_pre_hooks.values(), *optimizers._global_optimizer_post_hooks.values()]
    return [one for one in of if getattr(one, "__self__", None) is tracker._parameters]
