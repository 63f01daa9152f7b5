"""Ctrl-C while the tracker ends a step, caught as in a notebook: the loop goes on, each step stands in the log once."""

import pytest
import torch
from torch import nn
from torch.optim import SGD

from tandv.curves import read_curves
from tandv.track.common import read_pickle
from tandv.track.torch import track


def interrupt(*_):
    raise KeyboardInterrupt


def once(function):
    """Return a function that raises KeyboardInterrupt at its first call, and then is as before."""
    calls = []

    def interrupted(*arguments, **named):
        calls.append(arguments)
        return interrupt() if len(calls) == 1 else function(*arguments, **named)

    return interrupted


PLACES = ["_take", "end_of_step", "_keep", "drain", "step_over"]


@pytest.mark.parametrize("place", PLACES)
def test_a_step_that_ctrl_c_has_ended_is_over(place):
    model = nn.Linear(2, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = SGD(model.parameters(), lr=0.125)
    with track(model, optimizer=optimizer, offload_inc=1) as tracker:
        for step in range(4):
            if step == 1:
                setattr(tracker, place, once(getattr(tracker, place)))
            optimizer.zero_grad()
            loss = model(torch.ones(2, 2)).sum()
            loss.backward()
            optimizer.step()
            if step == 1:
                with pytest.raises(KeyboardInterrupt):
                    tracker.step(loss=loss)
            else:
                tracker.step(loss=loss)
    log = read_pickle(tracker.out_path)
    weights = log[log["metadata", "tensor_type"] == "Weight"]
    means = dict(zip(weights["metadata", "step"], weights["scalar_stats", "mean"], strict=True))
    means.pop(1, None)  # its rows may have been written, or not
    assert means == {0: 1.0, 2: 0.5, 3: 0.25}  # each step takes 2 * 0.125 off
    assert len(weights) == len(set(weights["metadata", "step"]))
    outputs = log[(log["metadata", "tensor_type"] == "Activation") & (log["metadata", "step"] != 1)]
    assert outputs["scalar_stats", "calls"].tolist() == [1, 1, 1]
    losses = read_curves(tracker.path)["loss"]
    assert {step: loss for step, loss in losses.items() if step != 1} == {0: 4.0, 2: 2.0, 3: 1.0}
