"""Weights that a file holds in parts: what is measured is what the layers of PyTorch compute with."""

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from tandv.checkpoints import Combined, LeftOut, evaluate, weights
from tandv.checkpoints.effective import effective
from tandv.checkpoints.weights import Entry


def saved(model, folder, suffix):
    save = torch.save if suffix == ".pt" else safetensors.torch.save_file
    save(model.state_dict(), folder / f"step_1{suffix}")
    with pytest.warns(Combined) as said:
        found = dict(weights(folder / f"step_1{suffix}"))
    return found, [str(one.message) for one in said if one.category is Combined]


def old_weight_norm(layer):
    with pytest.warns(FutureWarning, match="deprecated"):
        return nn.utils.weight_norm(layer)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    "change",
    [
        lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
        lambda layer: prune.ln_structured(layer, "weight", 0.25, n=2, dim=0),
        lambda layer: nn.utils.spectral_norm(layer, n_power_iterations=5),
        parametrizations.spectral_norm,
        old_weight_norm,
        parametrizations.weight_norm,
        lambda layer: parametrizations.weight_norm(layer, dim=None),
        lambda layer: parametrizations.spectral_norm(parametrizations.weight_norm(layer)),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(6, 4),
        lambda: nn.Linear(1, 4),
        lambda: nn.Conv2d(3, 5, 2),
        lambda: nn.Conv2d(1, 5, 1),
        lambda: nn.ConvTranspose2d(4, 4, 3),
    ],
)
def test_the_weight_that_the_layer_uses_is_measured(make, change, suffix, tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(change(make()))
    inputs = (
        torch.ones(1, model[0].in_features)
        if isinstance(model[0], nn.Linear)
        else torch.ones(1, model[0].in_channels, 4, 4)
    )
    model(inputs)
    model.eval()
    model(inputs)  # old norms compute the weight when they are called
    found, _ = saved(model, tmp_path, suffix)
    assert sorted(found) == ["0", "0.bias"]
    np.testing.assert_allclose(found["0"], model[0].weight.detach().numpy(), rtol=2e-6)


def test_a_pruned_model_is_as_sparse_as_its_mask(tmp_path):
    model = nn.Linear(64, 32, bias=False)
    prune.l1_unstructured(model, "weight", 0.9)
    torch.save(model.state_dict(), tmp_path / "step_1.pt")
    with pytest.warns(Combined, match="step_1.pt: pruned, measured with the mask applied: weight"):
        measured = evaluate(tmp_path, ["sparsity", "dead_neurons"], parallel=1, per_tensor=True)
    zeros = 1843 / 2048  # round(0.9 · 2048) of them
    assert measured.loc[1, ["dead_neurons", "dead_neurons:weight"]].tolist() == [100 * zeros] * 2
    assert measured.loc[1, "sparsity"] >= zeros


def test_pruned_biases_and_masks_of_parametrisations(tmp_path):
    class Masked(nn.Module):
        def __init__(self, mask):
            super().__init__()
            self.register_buffer("mask", mask)

        def forward(self, weight):
            return weight * self.mask

    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    prune.random_unstructured(model[0], "bias", 1)
    parametrize.register_parametrization(model[1], "weight", Masked(torch.eye(2)))
    found, said = saved(model, tmp_path, ".pt")
    assert list(found) == ["0", "0.bias", "1.bias", "1"]
    assert found["0.bias"].tolist() == model[0].bias.tolist()
    assert found["1"].tolist() == model[1].weight.tolist()
    assert said == ["step_1.pt: pruned, measured with the mask applied: 0.bias, 1.weight"]


def test_other_parametrisations_are_measured_as_stored_which_is_said(tmp_path):
    class Doubled(nn.Module):
        def forward(self, weight):
            return 2 * weight

    model = nn.Linear(2, 2)
    parametrize.register_parametrization(model, "weight", Doubled())
    found, said = saved(model, tmp_path, ".pt")
    assert found["weight"].tolist() == model.parametrizations.weight.original.tolist()
    assert said == ["step_1.pt: parametrised by code that is not in the file, measured as stored: weight"]


def test_a_parametrisation_among_those_that_are_known_is_said(tmp_path):
    class Negative(nn.Module):
        def forward(self, weight):
            return -weight

    model = nn.Linear(2, 2)
    parametrize.register_parametrization(model, "weight", Negative())
    parametrizations.spectral_norm(model)
    found, said = saved(model, tmp_path, ".pt")
    assert list(found) == ["bias", "weight"]
    assert said == ["step_1.pt: parametrised by code that is not in the file, measured as stored: weight"]


def test_layers_that_peft_replaced_are_measured_and_the_old_ones_are_not():
    values = {"m.original_module.weight": 9.0, "m.modules_to_save.default.weight": 1.0}
    kept, said = effective({name: Entry("float64", (), lambda v=v: np.array(v)) for name, v in values.items()})
    assert {name: float(entry.read()) for name, entry in kept.items()} == {"m.weight": 1.0}
    assert said == ["replaced by fine-tuning (modules_to_save), measured as what replaces it: m.weight"]


def test_the_arithmetic_by_hand():
    def of(**arrays):
        kept, _ = effective(
            {name: Entry("float64", np.shape(a), lambda a=a: np.array(a, np.float64)) for name, a in arrays.items()}
        )
        return {name: entry.read().tolist() for name, entry in kept.items()}

    # diag(3, 2) has σ = 3 with u = v = e₁
    spectral = {"weight_orig": [[3.0, 0.0], [0.0, 2.0]], "weight_u": [1.0, 0.0], "weight_v": [1.0, 0.0]}
    assert of(**spectral) == {"weight": [[1.0, 0.0], [0.0, 2 / 3]]}
    del spectral["weight_v"]  # as of old versions
    assert of(**spectral) == {"weight": [[1.0, 0.0], [0.0, 2 / 3]]}
    assert of(weight_g=[[10.0]], weight_v=[[3.0, 4.0]]) == {"weight": [[6.0, 8.0]]}
    assert of(weight_g=10.0, weight_v=[[3.0], [4.0]]) == {"weight": [[6.0], [8.0]]}
    assert of(weight_mask=[1.0, 0.0], weight_orig=[5.0, 7.0]) == {"weight": [5.0, 0.0]}


def test_names_that_only_look_alike_stay():
    shapes = {"a_orig": (2,), "a_mask": (3,), "key_g": (2,), "key_v": (2,), "b_orig": (4, 2), "b_u": (3,)}
    given = {name: Entry("float32", shape, lambda: np.zeros(0)) for name, shape in shapes.items()}
    assert effective(given) == (given, [])


def test_what_was_applied_is_not_said_to_be_left_out(tmp_path):
    model = nn.Linear(2, 2)
    prune.identity(model, "weight")
    torch.save(model.state_dict() | {"running_mean": torch.ones(2)}, tmp_path / "step_1.pt")
    with pytest.warns(LeftOut, match="running_mean") as said, pytest.warns(Combined):
        list(weights(tmp_path / "step_1.pt"))
    assert not any("weight_mask" in str(one.message) for one in said if one.category is LeftOut)
