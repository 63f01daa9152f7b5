"""The gradient with respect to a tensor as it was, whatever is done to it in place afterwards."""

import pytest
import torch
from torch import nn

from tandv.track.torch._gradients import on_gradient

VIEWS = {
    "no view": lambda h: h,
    "whole": lambda h: h.view(2, 12),
    "transposed": lambda h: h.t(),
    "slice": lambda h: h[:, 1:4],
    "row": lambda h: h[2],
    "view of a view": lambda h: h.view(24)[3:9].view(2, 3),
}


def left_alone(y):
    return y


def divided(y):
    y /= 4
    return y


def partly_zeroed(y):
    y[0] = 0
    return y


def used_before_and_after(y):
    z = y + 1
    y /= 4
    return z + y


def changed_twice(y):
    return y.add_(1).mul_(2)


CHANGES = [left_alone, divided, partly_zeroed, used_before_and_after, changed_twice]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("view", VIEWS)
def test_it_is_given_once_and_is_that_of_a_tensor_of_its_own(view, change):
    weight = torch.arange(24.0).reshape(4, 6).requires_grad_()
    x = VIEWS[view](weight * 2)
    own = x.detach().clone().requires_grad_()
    change(own * 1).square().sum().backward()
    found = []
    on_gradient(x, found.append)
    change(x).square().sum().backward()
    (gradient,) = found
    assert own.grad is not None
    assert gradient.flatten().sort().values.tolist() == own.grad.flatten().sort().values.tolist()


def test_what_another_view_of_the_same_tensor_is_used_for_does_not_count():
    h = torch.ones(4, requires_grad=True) * 1
    left, found = h[:2], []
    on_gradient(left, found.append)
    (3 * left).sum().backward(retain_graph=True)
    (5 * h[2:]).sum().backward()
    assert [gradient.tolist() for gradient in found] == [[3.0, 3.0]]


def test_a_linear_layer_on_three_axes():
    layer = nn.Linear(1, 1)
    out, found = layer(torch.ones(2, 1, 1)), []
    on_gradient(out, found.append)
    out *= torch.tensor([[[2.0]], [[4.0]]])
    out.sum().backward()
    assert [gradient.flatten().tolist() for gradient in found] == [[2.0, 4.0]]


def test_it_keeps_no_memory_alive():
    h = torch.ones(4, requires_grad=True) * 1
    x = h.view(2, 2)
    on_gradient(x, lambda gradient: None)
    storage = torch.multiprocessing.reductions.StorageWeakRef(h.untyped_storage())
    loss = (x + 1).sum()
    del h, x
    assert storage.expired()
    loss.backward()
