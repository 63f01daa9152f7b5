"""compare(): where two models part in one pass of a batch."""

import copy
import dataclasses
from collections import UserDict

import numpy as np
import pytest
import torch
from torch import nn

from tandv import compare

BATCH = torch.linspace(-2, 2, 32).reshape(8, 4)


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 2))


def test_a_copy_is_the_same_to_the_last_bit():
    found = compare(model(), model(), BATCH)
    assert not found.parts and found.words.startswith("A and B are the same to the last bit: ")


def scaled(one):
    with torch.no_grad():
        one[3].weight[0, 0] += 1e-3


def coarse(one):
    one[2].eps = 1e-2


def tanh(one):
    one[1].approximate = "tanh"


@pytest.mark.parametrize(
    ("change", "kind", "layer"), [(scaled, "Weight", "3"), (coarse, "Activation", "2"), (tanh, "Activation", "1")]
)
def test_a_change_is_named(change, kind, layer):
    a, b = model(), model()
    change(b)
    found = compare(a, b, BATCH)
    assert (found.first.tensor_type, found.first.layer) == (kind, layer)
    assert "Before it everything is the same to the last bit." in found.words


def test_models_stay_as_they_are():
    a = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    a[0].weight.grad = torch.full_like(a[0].weight, 3.0)
    before, state = copy.deepcopy(a.state_dict()), torch.get_rng_state()
    found = compare(a, copy.deepcopy(a), BATCH)
    assert not found.parts, "both draw the same dropout"
    assert torch.equal(torch.get_rng_state(), state)
    assert (a[0].weight.grad == 3).all() and a[0].bias.grad is None
    assert all(torch.equal(value, before[name]) for name, value in a.state_dict().items())


def test_models_whose_names_differ_are_paired_by_size_and_it_is_said():
    class Named(nn.Module):
        def __init__(self, of):
            super().__init__()
            self.inner, self.act, self.norm, self.out = of

        def forward(self, x):
            return self.out(self.norm(self.act(self.inner(x))))

    found = compare(model(), Named(model()), BATCH)
    assert not found.parts and "0 → inner" in found.words
    found = compare(model(), Named(model()), BATCH, names={"0": "inner", "3": "out"})
    assert not found.parts and {name for _, name in found.aligned.tensors} >= {"0", "0.bias", "3", "3.bias"}


def test_named_arguments_and_a_loss():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 1)

        def forward(self, x, *, scale):
            return {"out": self.fc(x) * scale, "ids": torch.arange(3)}

    torch.manual_seed(0)
    one = Two()
    batch = {"x": BATCH.numpy(), "scale": 2.0}
    assert not compare(one, copy.deepcopy(one), batch).parts
    losses = (lambda out: out["out"].sum(), lambda out: 2 * out["out"].sum())
    found = compare(one, copy.deepcopy(one), batch, loss=losses)
    assert found.first.tensor_type in ("Gradient", "Weight_Gradient")


def test_what_is_no_model_is_said():
    with pytest.raises(TypeError, match="model_b is a dict; give a torch.nn.Module"):
        compare(model(), {}, BATCH)


@pytest.mark.slow
def test_a_model_of_pytorch_and_one_of_flax():
    import jax.numpy as jnp
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Linear(4, 8, rngs=rngs), nnx.Linear(8, 2, rngs=rngs)])

        def __call__(self, x):
            return self.layers[1](jnp.tanh(self.layers[0](x)))

    torch.manual_seed(0)
    a, b = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)), Net(nnx.Rngs(0))
    for i, layer in ((0, a[0]), (1, a[2])):
        b.layers[i].kernel[...] = jnp.asarray(layer.weight.detach().numpy().T)
        b.layers[i].bias[...] = jnp.asarray(layer.bias.detach().numpy())
    batch, names = np.asarray(BATCH), {"0": "layers.0", "2": "layers.1"}
    assert not compare(a, b, batch, names=names).parts
    b.layers[1].bias[...] += 1e-3
    found = compare(a, b, batch, names=names)
    assert (found.first.tensor_type, found.first.layer) == ("Weight", "2.bias")


class Replaces(nn.Module):
    """A module that assigns a new buffer, has one whose values share memory, writes into its input, and may fail."""

    def __init__(self, fails=False):
        super().__init__()
        self.fc, self.norm, self.fails = nn.Linear(4, 4), nn.BatchNorm1d(4), fails
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("place", torch.arange(4.0).expand(8, 4))

    def forward(self, x):
        x += 1
        x = self.norm(self.fc(x + self.place))
        self.mean = 0.9 * self.mean + x.detach().mean(0)
        if self.fails:
            raise KeyError("of the model")
        return x


def test_replaced_and_shared_buffers_and_the_batch_stay_as_they_are_also_after_an_error():
    torch.manual_seed(0)
    one, batch = Replaces(), BATCH.clone()
    held, before = one.mean, copy.deepcopy(one.state_dict())
    assert not compare(one, copy.deepcopy(one), batch).parts
    one.fails = True
    with pytest.raises(KeyError, match="of the model"):
        compare(Replaces(), one, batch)
    assert torch.equal(batch, BATCH) and torch.equal(held, torch.zeros(4))
    assert all(torch.equal(value, before[name]) for name, value in one.state_dict().items())


def test_the_gradient_of_the_batch_is_left_alone():
    batch = BATCH.clone().requires_grad_()
    assert not compare(model(), model(), batch).parts and batch.grad is None


def test_what_has_nothing_to_train_is_compared_by_its_forward_pass():
    one, other = (nn.Sequential(nn.GELU(approximate=how)) for how in ("none", "tanh"))
    found = compare(one, other, BATCH)
    assert (found.first.tensor_type, found.first.layer) == ("Activation", "0")
    frozen, changed = model().requires_grad_(False), model().requires_grad_(False)
    coarse(changed)
    assert compare(frozen, changed, BATCH).first.layer == "2"


def test_batches_in_mappings_containers_and_float64_and_dataclasses_that_are_returned():
    @dataclasses.dataclass
    class Out:
        logits: torch.Tensor

    class Takes(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model()

        def forward(self, given):
            return Out(self.inner(given["x"]))

    batch = UserDict(given={"x": np.asarray(BATCH, np.float64)})
    assert not compare(Takes(), Takes(), batch).parts
    other = Takes()
    coarse(other.inner)
    assert compare(Takes(), other, batch).first.layer == "inner.2"


def test_a_loss_that_is_no_number_is_said():
    with pytest.raises(ValueError, match=r"loss returned a tensor of shape \(8, 2\); it is a function"):
        compare(model(), model(), BATCH, loss=lambda returned: returned)


@pytest.mark.slow
def test_the_state_of_an_nnx_model_is_put_back_and_linen_may_keep_statistics():
    import jax
    from flax import linen, nnx

    rngs = nnx.Rngs(0)
    net = nnx.Sequential(nnx.BatchNorm(4, rngs=rngs), nnx.Dropout(0.5, rngs=rngs), nnx.Linear(4, 1, rngs=rngs))
    batch = np.asarray(BATCH)
    assert not compare(net, net, batch).parts, "both draw the same dropout"
    assert (np.asarray(net.layers[0].mean[...]) == 0).all()
    norms = [linen.BatchNorm(use_running_average=False, epsilon=epsilon) for epsilon in (1e-5, 1e-2)]
    a, b = ((norm, norm.init(jax.random.key(0), batch)) for norm in norms)
    assert not compare(a, a, batch).parts and compare(a, b, batch).first.tensor_type == "Activation"


def normed():
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))


def test_buffers_that_a_pass_in_training_does_not_show_are_told():
    torch.manual_seed(0)
    a = normed()
    b = copy.deepcopy(a)
    b[1].running_mean[2] = 0.5
    found = compare(a, b, BATCH)
    assert found.parts and (found.first.tensor_type, found.first.layer, found.first.size) == (
        "Buffer", "1.running_mean", 1.0,
    )  # fmt: skip
    assert found.words.startswith("A and B part in their buffers: 1.running_mean (0 in A, 0.5 in B). In this pass no ")
    assert "same to the last bit" in found.words and b[1].running_mean[2] == 0.5
    assert not compare(a, copy.deepcopy(a), BATCH).parts


def test_buffers_are_a_note_where_tensors_part_and_names_are_mapped():
    torch.manual_seed(0)
    a = normed()
    b = nn.ModuleDict({"lin": copy.deepcopy(a[0]), "norm": copy.deepcopy(a[1])})
    b.forward = lambda x: b["norm"](b["lin"](x))
    b["norm"].running_var[0] = 3
    with torch.no_grad():
        b["lin"].weight += 1
    found = compare(a, b, BATCH, names={"0": "lin", "1": "norm"})
    assert found.first.tensor_type == "Weight" and "Buffers differ: 1.running_var (1 in A, 3 in B)." in found.words
    a[0].register_buffer("mask", torch.ones(2))
    assert "Only A has the buffers 0.mask." in compare(a, b, BATCH, names={"0": "lin", "1": "norm"}).words
