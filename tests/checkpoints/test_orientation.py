"""Outputs are rows: real layers of every layout, and largest outputs by hand."""

from itertools import pairwise

import jax
import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from tandv.checkpoints import evaluate
from tandv.checkpoints.matrices import pieces
from tandv.checkpoints.orientation import layouts, orientations
from tandv.checkpoints.weights import Entry, trained


class Conv1D(nn.Module):
    """A linear layer as GPT-2 of Hugging Face has it, whose weight is inputs × outputs."""

    def __init__(self, outputs, inputs):
        super().__init__()
        self.weight, self.bias = nn.Parameter(0.02 * torch.randn(inputs, outputs)), nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


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


def generator(sizes):
    """Return the transposed convolutions of PyTorch's tutorial of DCGAN, without biases, and with norms between."""
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.ModuleDict({"main": nn.Sequential(*layers[:-2], nn.Tanh())})


@pytest.mark.parametrize("inputs", [100, 16])
def test_the_norms_in_a_sequence_tell_transposed_convolutions(inputs):
    state = generator([inputs, 16, 8, 3]).state_dict()
    for number, expected in ((0, (16, inputs * 16)), (3, (8, 16 * 16)), (6, (3, 8 * 16))):
        assert rows(state, f"main.{number}.weight")[0].shape == expected
    found = orientations({name: tuple(value.shape) for name, value in state.items()})
    # with as many inputs as outputs, only the neighbours tell
    guessed = "taken for transposed convolutions, as others beside them are"
    assert found["main.0.weight"] == ("inputs first", guessed if inputs == 16 else "")


def test_convolutions_with_norms_stay_as_they_are():
    grouped = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8, bias=False))
    before = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3, bias=False), nn.BatchNorm2d(8))
    for model in (grouped, before):
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        assert all(layout in ("outputs first", "elementwise") for layout in layouts(shapes).values())


def test_experts_are_as_their_biases_say_and_biases_are_no_matrices():
    # as in GPT-OSS: experts × inputs × outputs, with as many inputs as outputs behind
    state = {
        "experts.gate_up_proj": np.arange(24.0).reshape(2, 2, 6)[:, :, :4],
        "experts.gate_up_proj_bias": np.ones((2, 4)),
        "experts.down_proj": np.arange(8.0).reshape(2, 2, 2),
        "experts.down_proj_bias": np.ones((2, 2)),
    }
    assert [one.tolist() for one in rows(state, "experts.gate_up_proj")] == [
        [[0, 6], [1, 7], [2, 8], [3, 9]],
        [[12, 18], [13, 19], [14, 20], [15, 21]],
    ]
    assert rows(state, "experts.down_proj")[1].tolist() == [[4, 6], [5, 7]]
    assert rows(state, "experts.down_proj_bias")[0].shape == (1, 4)
    plain = {"experts.gate_up_proj": (2, 8, 6), "experts.down_proj": (2, 6, 4)}  # outputs × inputs, as in Mixtral
    assert set(layouts(plain).values()) == {"stack, outputs first"}
    turned = {"experts.gate_up_proj": (2, 6, 8), "experts.down_proj": (2, 4, 6)}
    assert set(layouts(turned).values()) == {"stack, outputs last"}
    assert orientations({"experts.w": (2, 3, 4)})["experts.w"][1] == (
        "taken for a stack of outputs × inputs, which nothing beside it tells"
    )


def test_heads_are_as_their_biases_say():
    # as in TransformerLens: heads × inputs × outputs, and a bias for each head
    state = {"W_Q": np.arange(12.0).reshape(2, 3, 2), "b_Q": np.ones((2, 2)), "m.weight": np.ones((2, 5, 3))}
    state["m.bias"] = np.ones((2, 5))
    assert [one.tolist() for one in rows(state, "W_Q")] == [[[0, 2, 4], [1, 3, 5]], [[6, 8, 10], [7, 9, 11]]]
    assert [one.shape for one in rows(state, "b_Q")] == [(1, 4)]
    assert [one.shape for one in rows(state, "m.weight")] == [(5, 3)] * 2


def test_biases_of_several_axes_are_vectors():
    state = {"attn.query.kernel": np.ones((6, 2, 3)), "attn.query.bias": np.ones((2, 3)), **norm_of(4, 6)}
    assert rows(state, "attn.query.bias")[0].shape == (1, 6)
    assert [one.shape for one in rows(state, "attn.query.kernel")] == [(3, 6)] * 2
    assert rows(state, "norm.bias")[0].shape == (1, 24)


def norm_of(*shape):
    return {f"norm.{name}": value for name, value in nn.LayerNorm(shape).state_dict().items()}


def test_kernels_of_flax_are_convolutions_whatever_their_module_is_called():
    state = {"embedding.kernel": np.ones((4, 4, 3, 8)), "embedding.bias": np.ones(8), "mix.kernel": np.ones((5, 3, 8))}
    assert rows(state, "embedding.kernel")[0].shape == (8, 48)
    assert len(rows(state, "mix.kernel")) == 5  # many of 3 × 8, or a convolution
    assert rows(state | {"mix.bias": np.ones(8)}, "mix.kernel")[0].shape == (8, 15)
    assert rows({"query.kernel": np.ones((1, 1, 6, 2)), "query.bias": np.ones(2)}, "query.kernel")[0].shape == (2, 6)


def test_an_embedding_has_no_bias():
    shapes = {"class_embed.weight": (3, 8), "class_embed.bias": (3,), "time_embedding.linear_1.weight": (9, 8)}
    shapes |= {"embed.weight": (9, 8), "embeddings.word_embeddings.weight": (9, 8)}
    entries = {name: Entry("float32", shape, lambda: np.zeros(0)) for name, shape in shapes.items()}
    kinds = {
        weight.stored_as: next(pieces("w", weight.stored_as, np.ones(weight.entry.shape), outputs=weight.outputs)).kind
        for weight in trained(entries)[0]
    }
    assert list(kinds.values()) == ["linear", "vector", "linear", "embedding", "embedding"]


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


def test_what_only_others_tell_is_said():
    params = {"w_in": (8, 32), "b_in": (32,), "w_out": (32, 32), "proj.weight": (8, 8), "head.weight": (9, 8)}
    found = orientations(params)
    assert found["w_out"] == ("inputs first", "taken for inputs × outputs, as others beside them are")
    nothing = "taken for outputs × inputs, which nothing beside them tells"
    assert found["proj.weight"] == ("outputs first", nothing)
    assert found["head.weight"] == ("outputs first", "")  # a layer of PyTorch
    both = orientations(params | {"w_mid": (6, 32), "b_mid": (6,)})
    assert both["w_out"] == ("outputs first", nothing)


def test_matrices_written_by_hand_without_biases_follow_each_other():
    found = orientations({"w1": (3, 5), "w2": (5, 4), "w3": (4, 2), "scale": (3,)})
    follows = "taken for inputs × outputs, since each has as many rows as the one before it has columns"
    assert [found[f"w{i}"] for i in (1, 2, 3)] == [("inputs first", follows)] * 3
    for shapes in ({"w1": (5, 3), "w2": (2, 5)}, {"w1": (3, 3), "w2": (3, 3)}, {"w1": (3, 5)}):
        assert set(orientations(shapes).values()) == {("outputs first", "")}


def test_a_kernel_that_may_be_a_convolution_is_said():
    doubt = "taken for many matrices, which a convolution without a bias looks like"
    assert orientations({"mix.kernel": (5, 3, 8)})["mix.kernel"][1] == doubt
    sure = {"conv.kernel": (5, 3, 8), "query.kernel": (6, 2, 3), "mix.kernel": (5, 3, 8), "mix.bias": (8,)}
    assert not any(said for _, said in orientations(sure).values())
