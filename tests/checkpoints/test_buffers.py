"""Parameters and buffers of real modules: what a file lets one know of which is which."""

import pytest
import torch
from torch import nn

from tandv.checkpoints import Guessed, LeftOut, evaluate, weights
from tandv.checkpoints.buffers import verdicts
from tandv.checkpoints.weights import Entry

NAMES = (
    "pe", "queue", "queue_ptr", "cos", "sin", "cos_cached", "inv_freq", "mean", "std", "pixel_mean", "anchors", "grid",
    "freqs_cis", "rotary_freqs", "window", "alphas_cumprod", "betas", "center", "ema_weights", "cluster_size",
    "sinusoid_table", "running_scale_var", "attn_mask",
)  # fmt: skip


class Buffered(nn.Module):
    """A layer with buffers and parameters of any name, all of the same shape."""

    def __init__(self, buffers, parameters=()):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        for name in parameters:
            self.register_parameter(name, nn.Parameter(torch.ones(3)))
        for name in buffers:
            self.register_buffer(name, torch.ones(3))


def stepped(model, parameters=None):
    optimiser = torch.optim.AdamW(model.parameters() if parameters is None else parameters, lr=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    return optimiser


def of_file(model, path, optimiser=None):
    torch.save({"model": model.state_dict()} | ({"opt": optimiser.state_dict()} if optimiser else {}), path)
    return [name for name, _ in weights(path)]


def test_names_that_buffers_have_are_left_out_and_said(tmp_path):
    names = [name for name in NAMES if name != "running_scale_var"]
    with (
        pytest.warns(
            LeftOut, match="left out were taken for buffers, which are not trained, by their names: pe, cos, sin"
        ),
        pytest.warns(LeftOut, match="left out were buffers, which are not trained: queue, queue_ptr, cos_cached"),
    ):
        assert of_file(Buffered(names), tmp_path / "a.pt") == ["fc", "fc.bias"]


def test_an_optimiser_tells_parameters_from_buffers_whatever_they_are_called(tmp_path):
    model = Buffered(["limits", "mean", "table"], parameters=["std", "slope"])
    with pytest.warns(LeftOut, match="left out were not updated by the optimiser in the file: limits, mean, table"):
        # a module's own parameters come before its buffers, and those before its children
        assert of_file(model, tmp_path / "a.pt", stepped(model)) == ["std", "slope", "fc", "fc.bias"]


def test_groups_of_parameters_in_another_order_tell_by_the_number_of_each_shape(tmp_path):
    model = Buffered(["limits"], parameters=["slope"])
    model.register_buffer("corner", torch.ones(7))
    model.register_parameter("knob", nn.Parameter(torch.ones(5)))
    groups = [{"params": [model.knob, model.fc.bias]}, {"params": [model.fc.weight, model.slope]}]
    with pytest.warns(LeftOut, match="not updated by the optimiser in the file: corner"):
        # `limits` and `slope` have one shape, of which one more than the bias is updated: that stays open
        assert of_file(model, tmp_path / "a.pt", stepped(model, groups)) == ["slope", "knob", "limits", "fc", "fc.bias"]


class WithLoss(nn.Module):
    def __init__(self, positions):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.criterion = nn.CrossEntropyLoss(weight=torch.tensor([100.0, 200.0]))
        self.register_buffer("weight_epsilon", torch.ones(3, 3))
        self.register_buffer("A", torch.ones(4))
        if positions == "trained":
            self.pos_embed = nn.Parameter(torch.ones(1, 5, 3))
        else:
            self.register_buffer("pos_embed", torch.ones(1, 5, 3))


@pytest.mark.parametrize("positions", ["trained", "fixed"])
def test_buffers_whose_names_parameters_have_too_are_told_by_the_optimiser(positions, tmp_path):
    model = WithLoss(positions)
    with pytest.warns(LeftOut, match="not updated by the optimiser in the file: weight_epsilon, A"):
        found = of_file(model, tmp_path / "a.pt", stepped(model))
    assert found == ["pos_embed"] * (positions == "trained") + ["fc", "fc.bias"]


def test_weights_of_classes_and_noise_are_no_parameters_by_their_names(tmp_path):
    with pytest.warns(LeftOut, match="by their names: weight_epsilon, criterion.weight"):
        assert of_file(WithLoss("fixed"), tmp_path / "a.pt") == ["A", "pos_embed", "fc", "fc.bias"]


def test_embeddings_of_positions_that_never_change_are_said(tmp_path):
    for step in (1, 2):
        torch.save({"pos_embed": torch.ones(1, 5, 3), "fc.weight": torch.ones(2, 2)}, tmp_path / f"step_{step}.pt")
    with pytest.warns(Guessed, match="the same in all checkpoints.*: pos_embed"):
        evaluate(tmp_path, "mean", parallel=1)


def test_frozen_weights_of_layers_stay_although_no_optimiser_has_them(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    assert of_file(model, tmp_path / "a.pt", stepped(model, model[1].parameters())) == ["0", "0.bias", "1", "1.bias"]


def test_orders_by_hand():
    def found(names, updated):
        entries = {name: Entry("float32", shape, lambda: None) for name, shape in names.items()}
        return [verdict for name, verdict in verdicts(entries, updated and [updated]).items() if "weight" not in name]

    names = {"a.weight": (2,), "x": (2,), "b.weight": (3,), "y": (3,)}
    assert found(names, None) == ["trained", "trained"]  # one letter is a name that parameters have
    names = {"a.weight": (2,), "limit": (2,), "b.weight": (3,), "bound": (3,)}
    assert found(names, None) == ["unknown", "unknown"]
    assert found(names, [(2,), (3,)]) == ["not updated", "not updated"]
    assert found(names, [(2,), (3,), (3,)]) == ["not updated", "trained"]
    assert found(names, [(2,), None, (3,), None]) == ["trained", "trained"]
    assert found(names, [None, None]) == ["not updated", "not updated"]
    assert found(names, [(2,), None, (3,)]) == ["unknown", "unknown"]
    in_one = {"weight": (2,), "limit": (3,), "bound": (3,), "fc.weight": (3,)}  # parameters come before buffers
    assert found(in_one, [(2,), (3,), (3,)]) == ["trained", "not updated"]
    assert found(names, [None, None, None]) == ["unknown", "unknown"]  # one of them
    assert found(names, [(3,), (2,), (3,)]) == ["not updated", "trained"]  # in another order
    assert found(names, [(5,)]) == ["unknown", "unknown"]  # of another model


def test_what_never_changes_and_may_be_no_parameter_is_said(tmp_path):
    model = Buffered(["limits"], parameters=["slope"])
    for step in (1, 2):
        torch.save(model.state_dict(), tmp_path / f"step_{step}.pt")
        stepped(model)
    words = "the same in all checkpoints, and measured with the weights although they may be no parameters: limits"
    for _ in range(2):  # also from the cache
        with pytest.warns(Guessed, match=words):
            evaluate(tmp_path, "mean", parallel=1)
