"""One weight has one name, in whatever the model is kept; names sort as people do."""

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from tandv.checkpoints import find, weights
from tandv.log.logframe import layers
from tandv.names import module_of, natural, natural_path, of_parameters, of_tree, unwrapped
from tandv.track import SaveRule
from tandv.track.common import read_pickle
from tandv.track.torch import track


def named(*names, root=None, framework="torch"):
    return of_parameters([tuple(name.split(".")) for name in names], framework, root)


def test_the_principal_parameter_bears_the_name_of_its_module():
    assert named("fc.weight", "fc.bias") == ["fc", "fc.bias"]
    flax = ("d.kernel", "d.bias", "e.embedding", "n.scale")
    assert named(*flax, framework="jax") == ["d", "d.bias", "e", "n"]
    assert named(*flax) == list(flax)  # of PyTorch it is `weight` alone


def test_of_several_that_could_be_it_is_one_whatever_their_order():
    assert named("d.scale", "d.kernel", framework="jax") == ["d.scale", "d"]
    assert named("d.scale", "d.weight", framework="jax") == named("d.scale", "d.weight") == ["d.scale", "d"]


def test_the_root_is_called_by_its_name_where_that_is_known():
    assert named("weight", "bias", root="Linear") == ["Linear", "bias"]
    assert named("weight", "bias") == ["weight", "bias"]
    assert of_parameters([("kernel",), ()], "jax", root="model") == ["model", ""]
    assert of_parameters([("kernel",)], "jax", root="") == [""]


def test_names_stay_unique():
    assert named("a", "a.weight") == ["a", "a.weight"]
    assert named("Model", "weight", root="Model") == ["Model", "weight"]


def test_wrappers_vanish():
    assert unwrapped(["_orig_mod.module.fc.weight"]) == ["fc.weight"]
    assert unwrapped(["module.module.fc.weight", "n_averaged"]) == ["fc.weight", "n_averaged"]
    assert unwrapped(["layers.0._checkpoint_wrapped_module.wq.weight"]) == ["layers.0.wq.weight"]
    assert unwrapped(["_fsdp_wrapped_module.a", "b"]) == ["a", "b"]
    assert unwrapped(["module.a", "b"]) == ["module.a", "b"]  # then it is the model's own attribute
    assert unwrapped(["my_orig_mod.a"]) == ["my_orig_mod.a"]
    assert unwrapped(["a", "_orig_mod.a"]) == ["a", "_orig_mod.a"]  # two weights stay two


def test_what_frameworks_of_jax_put_into_a_path_vanishes():
    assert of_tree(("params", "Dense_0", "kernel")) == ("Dense_0", "kernel")
    assert of_tree(("Dense_0", "kernel", "raw_value")) == ("Dense_0", "kernel")
    assert of_tree(("layer", "params")) == ("layer", "params")  # a parameter that is called so


def test_numbers_in_names_are_in_the_order_of_numbers():
    assert sorted(["step_10", "step_2", "a", "10", "9"], key=natural) == ["9", "10", "a", "step_2", "step_10"]
    assert sorted(["x²", "x10", "x2"], key=natural) == ["x2", "x10", "x²"]
    assert sorted([("h", "10"), ("h", "2", "a")], key=natural_path) == [("h", "2", "a"), ("h", "10")]


# ------------------------------------------------------------------- the log and the checkpoint of one model


class Scaled(nn.Module):
    def __init__(self, **parameters):
        super().__init__()
        for name, values in parameters.items():
            setattr(self, name, nn.Parameter(values))

    def forward(self, x):
        return x * sum(parameter.sum() for parameter in self.parameters(recurse=False))


class Bare(Scaled):
    """Has parameters of its own, a module called like a wrapper's, and a buffer called like a weight."""

    def __init__(self):
        super().__init__(weight=torch.ones(2), scale=torch.ones(2))
        self.module = nn.Linear(2, 2)
        self.register_buffer("bar", torch.ones(2))

    def forward(self, x):
        return self.module(super().forward(x)) + self.bar


class Wrapped(nn.Module):  # not by what the rule knows as a wrapper
    def __init__(self):
        super().__init__()
        self.module = nn.Linear(2, 2)

    def forward(self, x):
        return self.module(x)


class DistributedDataParallel(Wrapped):
    """Stands in for PyTorch's, which needs several processes: wrappers are known by the names of their classes."""

    def __init__(self, module):
        super().__init__()
        self.module = module


def tied():
    model = nn.Sequential(nn.Linear(2, 2), Scaled(weight=torch.ones(2, 2), scale=torch.ones(1)))
    model[1].weight = model[0].weight
    return model


MODELS = {
    "scale": lambda: nn.Sequential(nn.Linear(2, 2), Scaled(scale=torch.ones(2))),
    "kernel": lambda: Scaled(kernel=torch.ones(2, 2)),
    "embedding and scale": lambda: nn.Sequential(Scaled(embedding=torch.ones(2), scale=torch.ones(2))),
    "weight and scale": lambda: nn.Sequential(Scaled(scale=torch.ones(2), weight=torch.ones(2))),
    "masks that are trained": lambda: nn.Sequential(Scaled(mask=torch.ones(2), bias=torch.ones(1, 1, 2, 2))),
    "only a root": lambda: nn.Linear(2, 2),
    "bare": Bare,
    "only a module called module": Wrapped,
    "tied": tied,
    "twelve layers": lambda: nn.Sequential(*(nn.Linear(2, 2) for _ in range(12))),
    "normalised": lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)),
    "parametrized": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))),
    "data parallel": lambda: DistributedDataParallel(nn.Sequential(nn.Linear(2, 2))),
    "data parallel of one's own": lambda: type("Mine", (DistributedDataParallel,), {})(nn.Linear(2, 2)),
    "compiled": lambda: torch.compile(nn.Sequential(nn.Linear(2, 2)), backend="eager"),
}


@pytest.mark.filterwarnings("ignore::tandv.checkpoints.Combined")
@pytest.mark.filterwarnings("ignore::tandv.checkpoints.LeftOut")
@pytest.mark.parametrize("kind", MODELS)
def test_the_log_and_the_checkpoint_have_the_same_names(kind, tmp_path):
    torch.manual_seed(0)
    model = MODELS[kind]()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with track(model, optimizer=optimizer, save=SaveRule(every=1), path=tmp_path / "run") as tracker:
        for _ in range(2):
            model(torch.randn(3, 2)).sum().backward()
            optimizer.step()
            tracker.step()
    log = layers(read_pickle(tracker.out_path), "Weight")
    ((_, path), *_) = find(tracker.path / "checkpoints")
    combined = ["0.parametrizations.weight.original0"]  # the length of a weight whose direction bears the name of both
    assert sorted(name for name, _ in weights(path)) == sorted(name for name in log if name not in combined)


@pytest.mark.filterwarnings("ignore::tandv.checkpoints.LeftOut")
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("kind", ["scale", "embedding and scale", "weight and scale", "twelve layers", "normalised"])
def test_a_file_of_anothers_has_the_names_of_the_log(kind, suffix, tmp_path):
    torch.manual_seed(0)
    model = MODELS[kind]()
    with track(model, path=tmp_path / "run") as tracker:
        model(torch.randn(3, 2)).sum().backward()
        tracker.step()
    save = torch.save if suffix == ".pt" else safetensors.torch.save_file
    save(model.state_dict(), tmp_path / f"a{suffix}")
    found = [name for name, _ in weights(tmp_path / f"a{suffix}")]
    assert sorted(found) == sorted(layers(read_pickle(tracker.out_path), "Weight"))


FLAX = {
    "Dense_2": {"kernel": np.ones((2, 2)), "bias": np.ones(2)},
    "Dense_10": {"kernel": np.ones((2, 2)), "scale": np.ones(2)},
    "embed": {"embedding": np.ones((2, 2))},
    "norm": {"scale": np.ones(2)},
    "quantised": {"kernel": np.ones(2, np.int8), "scale": np.ones(2)},
}
OF_FLAX = ["Dense_2.bias", "Dense_2", "Dense_10", "Dense_10.scale", "embed", "norm", "quantised"]


@pytest.mark.filterwarnings("ignore::tandv.checkpoints.LeftOut")
@pytest.mark.parametrize("around", [lambda tree: tree, lambda tree: {"params": tree}], ids=["bare", "params"])
def test_a_tree_of_flax_has_the_same_names_in_the_log_and_in_a_checkpoint_of_orbax(around, tmp_path):
    import orbax.checkpoint as ocp

    from tandv.track.jax import _names

    tree = around({name: {key: jnp.asarray(x) for key, x in module.items()} for name, module in FLAX.items()})
    ocp.PyTreeCheckpointer().save(tmp_path / "a", tree)
    assert [leaf.name for leaf in _names.weights(tree)] == OF_FLAX
    assert sorted(name for name, _ in weights(tmp_path / "a")) == sorted(OF_FLAX)  # in the order of the model


def test_jax_models_have_the_same_names_in_the_log_and_in_their_own_checkpoint(tmp_path):
    from flax import nnx

    import tandv.track.jax as tandv_jax

    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    with tandv_jax.track(model_state=model, save=SaveRule(every=1), path=tmp_path / "run") as tracker:
        for _ in range(2):
            tracker.intercept(lambda model, x: model(x), model, jnp.ones((3, 2)))
            tracker.step(model_state=model)
    log = layers(read_pickle(tracker.out_path), "Weight")
    ((_, path), *_) = find(tracker.path / "checkpoints")
    assert {name for name, _ in weights(path)} == set(log) == {"Linear", "bias"}


def test_a_parameter_is_in_the_innermost_module_that_is_known():
    assert module_of("rnn.weight_ih_l0", ["rnn", "rnn.cell"]) == "rnn"
    assert module_of("head.bias", ["Net"]) is None
