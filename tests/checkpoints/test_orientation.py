"""Outputs are rows: real layers of every layout, and largest outputs by hand."""

import jax
import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from tandv.checkpoints import evaluate
from tandv.checkpoints.matrices import pieces
from tandv.checkpoints.orientation import layouts
from tandv.checkpoints.weights import Entry, trained


def rows(state, name):
    """Return the matrices of one weight as `trained` and `pieces` find them."""
    arrays = {key: np.asarray(value) for key, value in state.items()}
    entries = {key: Entry(array.dtype.name, array.shape, lambda: np.zeros(0)) for key, array in arrays.items()}
    (weight,) = (one for one in trained(entries)[0] if one.stored_as == name)
    return [piece.values for piece in pieces(name, name, arrays[name], weight.layout, weight.outputs)]


def block(width):
    """Return a block of GPT-2 as Hugging Face has it, whose weights are inputs × outputs."""
    return nn.ModuleDict(
        {
            "attn": nn.ModuleDict({"c_attn": Conv1D(3 * width, width), "c_proj": Conv1D(width, width)}),
            "mlp": nn.ModuleDict({"c_fc": Conv1D(4 * width, width), "c_proj": Conv1D(width, 4 * width)}),
        }
    )


def test_weights_of_gpt2_are_inputs_by_outputs_square_ones_too():
    state = nn.ModuleDict({"h": nn.ModuleList([block(4), block(4)]), "head": nn.Linear(4, 4)}).state_dict()
    for name in ("h.0.attn.c_attn", "h.1.attn.c_proj", "h.1.mlp.c_fc", "h.0.mlp.c_proj"):
        weight = state[f"{name}.weight"].numpy()
        assert rows(state, f"{name}.weight")[0].tolist() == weight.T.tolist()
    assert rows(state, "head.weight")[0].tolist() == state["head.weight"].tolist()


def test_the_largest_output_is_of_the_rows_that_are_outputs(tmp_path):
    layer = Conv1D(2, 3)  # three inputs
    layer.weight.data = torch.tensor([[1.0, -2.0], [1.0, -2.0], [1.0, -2.0]])
    for suffix, save in ((".pt", torch.save), (".safetensors", safetensors.torch.save_file)):
        save({f"c_fc.{name}": value for name, value in layer.state_dict().items()}, tmp_path / f"step_1{suffix}")
        found = evaluate([tmp_path / f"step_1{suffix}"], ["max_activation", "log_width"], parallel=1, cache=False)
        assert found.loc[1].tolist() == [6.0, np.log(3)]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("outputs", [2, 4, 6])
def test_transposed_convolutions_have_a_row_for_each_output(outputs, groups):
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(4, outputs, 3, groups=groups)
    name = "up_transpose" if outputs == 4 else "up"  # with as many inputs as outputs, only the name tells
    state = {f"{name}.{key}": value for key, value in layer.state_dict().items()}
    (found,) = rows(state, f"{name}.weight")
    assert found.shape == (outputs, 4 // groups * 9)
    # the response to a single one in each input is the kernel from there: all sums of an output are in its row
    kernels = torch.stack([layer(one)[0] - layer.bias[:, None, None] for one in torch.eye(4).reshape(4, 1, 4, 1, 1)])
    expected = kernels.abs().sum((0, 2, 3)).detach().numpy()
    np.testing.assert_allclose(np.abs(found).sum(1), expected, rtol=1e-5)


def test_convolutions_stay_as_they_are_beside_transposed_ones():
    state = nn.ModuleDict({"conv": nn.Conv2d(4, 4, 3), "down": nn.Conv2d(4, 8, 3), "up": nn.ConvTranspose2d(8, 4, 3)})
    found = layouts({name: tuple(value.shape) for name, value in state.state_dict().items()})
    assert [found[f"{name}.weight"] for name in ("conv", "down", "up")] == [
        "outputs first",
        "outputs first",
        "inputs first",
    ]
    depthwise = {"weight": (8, 1, 3, 3), "bias": (8,)}
    assert layouts(depthwise)["weight"] == "outputs first"


def test_weights_written_by_hand_and_of_haiku_are_inputs_by_outputs():
    keys = jax.random.split(jax.random.key(0), 2)
    params = {
        "w1": jax.random.normal(keys[0], (3, 5)),
        "b1": np.ones(5),
        "w2": jax.random.normal(keys[1], (5, 5)),
        "b2": np.ones(5),
    }
    for name in ("w1", "w2"):
        assert rows(params, name)[0].tolist() == np.asarray(params[name]).T.tolist()
    haiku = {
        "mlp.linear_0.w": np.ones((3, 5)),
        "mlp.linear_0.b": np.ones(5),
        "conv.w": np.ones((2, 2, 3, 7)),
        "conv.b": np.ones(7),
    }
    assert [rows(haiku, name)[0].shape for name in ("mlp.linear_0.w", "conv.w")] == [(5, 3), (7, 12)]


def test_one_rule_for_matrices_with_one_row_or_column():
    layers = {
        "one": nn.Linear(8, 1),
        "point": nn.Conv2d(8, 1, 1),
        "wide": nn.Conv2d(1, 8, 1),
        "scalar": nn.Conv1d(1, 1, 1),
    }
    shapes = {"one": (1, 8), "point": (1, 8), "wide": (8, 1), "scalar": (1, 1)}
    state = nn.ModuleDict(layers).state_dict()
    assert {name: rows(state, f"{name}.weight")[0].shape for name in layers} == shapes


def test_factors_of_each_value_are_no_matrix():
    state = nn.ModuleDict({"norm": nn.LayerNorm([4, 6]), "n2": nn.LayerNorm([2, 3, 4])}).state_dict()
    assert rows(state, "norm.weight")[0].shape == (1, 24)
    assert rows(state, "n2.weight")[0].shape == (1, 24)
    assert rows(
        {"channel_norm.weight": np.ones((8, 1, 1)), "channel_norm.bias": np.ones((8, 1, 1))}, "channel_norm.weight"
    )[0].shape == (1, 8)
    assert rows({"rms_norm.weight": np.ones((8, 1, 1))}, "rms_norm.weight")[0].shape == (1, 8)


def test_recurrent_and_attention_weights_are_outputs_by_inputs():
    state = nn.ModuleDict({"rnn": nn.LSTM(3, 5), "attn": nn.MultiheadAttention(4, 2)}).state_dict()
    for name in ("rnn.weight_ih_l0", "rnn.weight_hh_l0", "attn.in_proj_weight", "attn.out_proj.weight"):
        assert rows(state, name)[0].shape == tuple(state[name].shape)
