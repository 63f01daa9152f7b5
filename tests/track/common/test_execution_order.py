"""The order of execution that a run keeps is that of the calls, not of the declaration."""

import json

import pytest
import torch
from torch import nn

from tandv.log.order import execution_order
from tandv.track.common.execution_order import ExecutionOrder
from tandv.track.torch import track

A, B, C = (("Activation", name) for name in "abc")


class Net(nn.Module):
    """Calls its layers in another order than it declares them in; the other order in evaluation."""

    def __init__(self):
        super().__init__()
        self.zlast, self.alpha, self.mid = (nn.Linear(2, 2) for _ in range(3))

    def forward(self, x):
        layers = [self.mid, self.alpha, self.zlast]
        for layer in layers if self.training else reversed(layers):
            x = torch.relu(layer(x))
        return x


def trained(steps, model=None, **arguments):
    model = Net() if model is None else model
    with track(model, only_stash_during_training=False, **arguments) as tracker:
        for update in steps:
            update(model)
            tracker.step()
    return tracker


def one_pass(model):
    model.train()
    model(torch.ones(1, 2)).sum().backward()


def names(order, kind):
    return [name for one, name in order if one == kind]


def test_outputs_are_in_the_order_of_the_calls_and_gradients_in_reverse():
    order = execution_order(trained([one_pass] * 2).path)
    assert names(order, "Activation") == ["mid", "alpha", "zlast", "Net"]
    assert names(order, "Gradient") == ["Net", "zlast", "alpha", "mid"]
    at = order.index(("Gradient", "alpha"))
    assert order[at + 1 : at + 3] == [("Weight_Gradient", "alpha"), ("Weight_Gradient", "alpha.bias")]


@pytest.mark.parametrize(
    "arguments",
    [{"stash_value": lambda x: {"largest": x.abs().max()}}, {"async_offload": False}, {"include": "alpha|zlast"}],
    ids=["own statistics", "in the thread of training", "some layers"],
)
def test_any_way_to_measure_keeps_it(arguments):
    order = execution_order(trained([one_pass], **arguments).path)
    assert [name for name in names(order, "Activation") if name in ("alpha", "zlast")] == ["alpha", "zlast"]


def test_a_model_that_changes_its_order_has_one_from_that_step_on():
    def backwards(model):
        model.eval()
        model(torch.ones(1, 2)).sum().backward()

    tracker = trained([one_pass, one_pass, backwards, backwards])
    kept = json.loads((tracker.path / "layers.json").read_text())["order"]
    assert [one["step"] for one in kept] == [0, 2]
    assert names(execution_order(tracker.path, 1), "Activation")[:3] == ["mid", "alpha", "zlast"]
    assert names(execution_order(tracker.path, 3), "Activation")[:3] == ["zlast", "alpha", "mid"]


def test_a_module_that_is_called_again_keeps_its_first_place():
    def twice(model):
        model.alpha(model.mid(model.alpha(torch.ones(1, 2)))).sum().backward()

    assert names(execution_order(trained([twice]).path), "Activation") == ["alpha", "mid"]


def told(*steps):
    order = ExecutionOrder()
    out = []
    for step in steps:
        order.note(step)
        out.append(order.end_of_step())
    return out


def test_it_is_told_when_it_changes():
    assert told([A, B, C], [A, B, C], [A, C]) == [[A, B, C], None, None]
    assert told([A, B], [B, A], [B, A]) == [[A, B], [B, A], None]


def test_what_a_step_lacks_stays_after_what_it_came_after():
    assert told([A, C], [A, B]) == [[A, C], [A, C, B]]
    assert told([A, B, C], [C, B]) == [[A, B, C], [A, C, B]]


def test_weights_have_no_place_of_their_own():
    assert told([("Weight", "a"), A, ("Weight_Gradient", "a")]) == [[A]]


def test_a_model_that_changes_it_again_and_again_is_told_a_hundred_times():
    assert sum(one is not None for one in told(*[[A, B], [B, A]] * 100)) == 100
