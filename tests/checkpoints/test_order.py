"""The first and the last matrix of a model, whatever format it was saved in."""

import re

import pytest
import safetensors.torch
import torch
from torch import nn

from tandv.checkpoints import Guessed, evaluate
from tandv.checkpoints.order import model_order


@pytest.mark.parametrize(
    "names",
    [
        ["embed", "layers.0.attn", "layers.1.attn", "layers.10.attn", "lm_head"],
        ["wte", "wpe", "h.0.attn", "head"],
        ["stem", "blocks.0", "norm", "classifier"],
        ["conv1", "layer1", "layer2", "fc"],
        ["conv1", "conv2", "fc1", "fc2"],
        ["0", "2", "10"],
        ["model.embed_tokens", "model.layers.0.up", "lm_head"],
        ["Embed_0", "Dense_0", "Dense_1"],
        ["input_proj", "body", "out"],
        ["shared", "encoder.block.0", "decoder.block.0", "lm_head"],
    ],
)
def test_numbers_and_words_tell_the_order(names):
    weights = [f"{name}.weight" for name in names]
    assert model_order(sorted(weights), weights) == (weights, True)


@pytest.mark.parametrize(
    "names",
    [
        ["alpha", "beta"],
        ["a.b", "a.c", "head"],
        ["embed", "up", "down"],
        ["h.0.c_fc", "h.0.c_proj"],
        ["conv", "embed"],
        ["fc1", "fc21", "fc22", "fc3", "fc4"],
        ["fc1", "fc2", "fc11"],
    ],
)
def test_names_that_do_not_tell_are_known_not_to(names):
    assert not model_order(names, names)[1]


def test_numbers_with_small_gaps_are_an_order():
    for numbers in (range(13), range(0, 30, 3), [0, 2, 5, 7, 10, 12, 14], [8, 9, 10], [0, 3, 6, 10]):
        names = [f"conv{number}" for number in numbers]
        assert model_order(names, names) == (names, True)
    frozen = [f"layers.{number}" for number in (1, 2, 40)]
    assert model_order(frozen, frozen) == (frozen, True)


def network(names):
    """Return matrices of ones of sizes 1, 2, 3, ..., in the order of their names."""
    model = nn.ModuleDict({name: nn.Linear(i, i, bias=False) for i, name in enumerate(names, 1)})
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    return model.state_dict()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_the_ratio_of_norms_is_the_same_in_every_format(suffix, tmp_path):
    save = torch.save if suffix == ".pt" else safetensors.torch.save_file
    save(network(["embed", "body", "a_head"]), tmp_path / f"step_1{suffix}")
    assert evaluate(tmp_path, "norm_ratio", parallel=1)["norm_ratio"].tolist() == [3.0]


def test_a_guessed_order_is_said_where_a_metric_depends_on_it(tmp_path):
    safetensors.torch.save_file(network(["up", "down"]), tmp_path / "step_1.safetensors")
    evaluate(tmp_path, "weight_norm", parallel=1)
    words = "norm_ratio is of the matrices that are first and last by their names: the file does not say their order"
    with pytest.warns(Guessed, match=re.escape(words)):
        assert evaluate(tmp_path, "norm_ratio", parallel=1)["norm_ratio"].tolist() == [0.5]
