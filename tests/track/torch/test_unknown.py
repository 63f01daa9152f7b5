"""The model is checked for modules that are not known to be of it, but not at each call of a teacher or a criterion."""

import torch
from torch import nn

from tandv.track.torch import track
from tandv.track.torch._tree import Tree
from tandv.track.torch._unknown import UnknownModules


def test_in_each_step_64_modules_that_did_not_run_before_are_worth_a_check():
    unknown, teacher = UnknownModules(), [nn.Identity() for _ in range(100)]
    assert sum(unknown.may_be_new(module) for module in teacher) == 64
    unknown.next_step()
    assert sum(unknown.may_be_new(module) for module in teacher) == 1  # now all have run before


def test_a_module_that_has_gone_does_not_stand_for_one_at_its_address():
    unknown, gone = UnknownModules(), nn.Identity()
    unknown.may_be_new(gone)
    unknown.next_step()
    other = nn.Identity()
    unknown.may_be_new(other)
    unknown._earlier[id(other)] = gone
    assert unknown.may_be_new(other)


def test_modules_that_are_left_out_are_known(monkeypatch):
    looks = []
    monkeypatch.setattr(Tree, "look", lambda *_, **__: looks.append(1) is not None)
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with track(model, include="2", track_gradients=False) as tracker:
        looks.clear()
        model(torch.ones(1, 2))
        assert len(looks) == 1  # where the forward pass of what is recorded begins
        tracker.step()
