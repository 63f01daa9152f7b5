"""Casts of a plan in a model: values by hand, every bfloat16 against ml_dtypes, and the model as it was afterwards."""

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn

from tandv.formats import custom_format, dtype, number_format
from tandv.probes.torch import apply_plan, rounded


@pytest.mark.parametrize("name", ["e4m3", "e5m2", "e2m3", "e3m2", "e2m1", "fp16"])
def test_every_bfloat16_is_rounded_as_by_a_cast(name):
    x = np.arange(65536, dtype=np.uint16).view(ml_dtypes.bfloat16).astype(np.float32)
    x = x[np.isfinite(x)]
    to = number_format(name)
    cast = np.clip(x, -to.max, to.max).astype(dtype(to.name)).astype(np.float32)
    assert np.array_equal(rounded(torch.from_numpy(x), to).numpy(), cast)
    like = custom_format(4, 3, largest=448)
    if name == "e4m3":
        assert np.array_equal(rounded(torch.from_numpy(x), like).numpy(), cast)


def layer(weight):
    one = nn.Linear(len(weight), 1, bias=False)
    with torch.no_grad():
        one.weight.copy_(torch.tensor([weight]))
    return one


def test_input_weight_and_gradient_are_cast_and_gradients_pass_through():
    model = nn.Sequential(layer([0.3, 5.0]))
    plan = {"scale": "none", "layers": {"0": {"Input": "e2m1", "Weight": "e2m1", "Gradient": "e2m1"}}}
    x = torch.tensor([[1.2, 0.2]], requires_grad=True)
    applied = apply_plan(model, plan)
    assert applied.layers == {"0": {"Input": "e2m1", "Weight": "e2m1", "Gradient": "e2m1"}} and applied.left_out == []
    out = model(x)  # inputs 1 and 0, weights 0.5 and 4
    assert out.item() == 0.5
    out.backward(torch.tensor([[2.4]]))  # cast to 2
    assert x.grad.tolist() == [[1.0, 8.0]]  # times the weights that were cast
    assert model[0].weight.grad.tolist() == [[2.0, 0.0]]
    assert model[0].weight.tolist()[0] == pytest.approx([0.3, 5.0])  # the parameter itself is kept


def test_a_format_of_ones_own_is_that_of_the_plan():
    own = {"quarters": custom_format(2, 2, largest=3.5, name="quarters")._asdict()}
    plan = {"scale": "none", "layers": {"0": {"Weight": "quarters"}}, "own_formats": own}
    model = nn.Sequential(layer([0.3, 5.0]))
    with apply_plan(model, plan):
        assert model(torch.ones(1, 2)).item() == 0.25 + 3.5  # its values are 0, 0.25, ..., 3.5


def test_the_model_is_as_it_was_when_the_plan_is_removed():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2, 1))
    x = torch.randn(1, 1, 3, 3)
    before, keys = model(x), list(model.state_dict())
    with apply_plan(model, {"scale": "max", "layers": {"0": {"Weight": "e2m1"}, "2": {"Input": "e2m1"}}}):
        assert not torch.equal(model(x), before)
        assert list(model.state_dict()) == keys
    assert torch.equal(model(x), before)


def test_a_delayed_scale_looks_at_the_values_before():
    model = nn.Sequential(layer([1.0]))
    plan = {"scale": "delayed:1", "layers": {"0": {"Input": "e2m1"}}}
    with apply_plan(model, plan):
        assert model(torch.tensor([[0.2]])).item() == 0  # no value before: a scale of 1
        assert model(torch.tensor([[0.1]])).item() == pytest.approx(0.1)  # the scale of 0.2: 30, 3 is a value of e2m1
        assert model(torch.tensor([[9.0]])).item() == pytest.approx(0.1)  # saturates at the largest before


def test_what_is_left_out_is_said():
    model = nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 1))
    applied = apply_plan(
        model, {"layers": {"0": {"Weight": "e4m3"}, "1": {"Weight": None}, "head": {"Weight": "e4m3"}}}
    )
    assert applied.layers == {}
    assert applied.left_out == [
        "0: LayerNorm is neither linear nor a convolution",
        "head: the model has no such layer",
    ]
    with pytest.raises(ValueError, match="no layer of the plan is in the model: fc"):
        apply_plan(model, {"layers": {"fc": {"Weight": "e4m3"}}})


def test_a_forward_pass_of_ones_own_is_neither_replaced_nor_lost():
    class Tripled(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 3

    model = nn.Sequential(Tripled(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    own = model[1].forward
    model[1].forward = lambda x: own(x) + 1
    x = torch.randn(1, 2)
    before = model(x)
    applied = apply_plan(model, {"layers": {name: {"Weight": "e2m1"} for name in "012"}})
    assert applied.left_out == [
        f"{i}: {kind} has a forward pass of its own" for i, kind in enumerate(("Tripled", "Linear"))
    ]
    assert list(applied.layers) == ["2"]
    with pytest.raises(ValueError, match=r"2: casts of a plan are there already; call its remove\(\) first"):
        apply_plan(model, {"layers": {"2": {"Weight": "e5m2"}}})
    applied.remove()
    assert torch.equal(model(x), before)


def test_names_are_those_of_a_log_whatever_wraps_the_model():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    compiled = torch.compile(nn.Sequential(model[0], torch.compile(model[1], backend="eager")), backend="eager")
    with apply_plan(
        nn.DataParallel(compiled), {"layers": {"0": {"Weight": "e2m1"}, "1": {"Input": "e2m1"}}}
    ) as applied:
        assert list(applied.layers) == ["0", "1"] and hasattr(model[1].forward, "casts_of_plan")
        assert model[1](input=torch.zeros(1, 2)).shape == (1, 2)


def test_what_is_read_past_a_forward_pass_is_cast_or_said():
    block = nn.TransformerEncoderLayer(4, 1, 8, 0.0, batch_first=True).eval()
    shared = nn.ModuleDict({"block": block, "again": block.linear1})
    x = torch.randn(1, 3, 4)
    names = ("block.linear1", "block.self_attn.out_proj", "again")
    with torch.no_grad():
        before = block(x)
        with apply_plan(shared, {"layers": {name: {"Weight": "e2m1"} for name in names}}) as applied:
            assert not torch.allclose(block(x), before, atol=1e-3)
        assert torch.equal(block(x), before)
    assert applied.left_out == [
        "block.self_attn.out_proj: the attention that holds it reads its weights without calling it",
        "again: it is the same module as one before, which has casts",
    ]
