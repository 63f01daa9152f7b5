"""`tandv.track.track` finds the tracker by what it is given, and imports no other framework."""

import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen, nnx

from tandv.track import track
from tandv.track.jax import JaxTracker
from tandv.track.torch import TorchTracker

LINEN = linen.Dense(2)
PARAMETERS = LINEN.init(jax.random.key(0), jnp.ones((1, 3)))


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (torch.nn.Linear(3, 2), TorchTracker),
        (torch.compile(torch.nn.Linear(3, 2), backend="eager"), TorchTracker),
        (nnx.Linear(3, 2, rngs=nnx.Rngs(0)), JaxTracker),
        (eqx.nn.Linear(3, 2, key=jax.random.key(0)), JaxTracker),
        (PARAMETERS, JaxTracker),
        ([{"w": jnp.ones(2)}], JaxTracker),
    ],
    ids=["torch", "compiled", "nnx", "equinox", "linen", "pytree"],
)
def test_a_model_finds_its_tracker(model, kind, tmp_path):
    tracker = track(model, path=tmp_path / "run", every=7)
    assert isinstance(tracker, kind)
    assert tracker.settings.every == 7


def test_a_model_that_is_given_by_name():
    assert isinstance(track(model_state=PARAMETERS), JaxTracker)
    assert isinstance(track(module=torch.nn.Linear(3, 2)), TorchTracker)


def test_other_arguments_are_those_of_its_tracker():
    model = torch.nn.Linear(3, 2)
    assert track(model, False).settings.track_gradients is False
    with pytest.raises(TypeError, match="track\\(\\) has no argument 'every_trees'; did you mean 'every'"):
        track(model, every_trees=3)


def test_a_linen_module_is_told_what_its_parameters_are():
    with pytest.raises(ValueError, match=r"what init\(\) returned"):
        track(LINEN)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "cannot track nothing"),
        ([{"w": np.ones(2)}], "cannot track dict {'w'"),
        ([lambda x: x], "cannot track function"),
        ([torch.nn.Linear(1, 1).state_dict()], "a model's state and not the model"),
        ([torch.nn.Linear], "cannot track type"),
    ],
)
def test_what_is_no_model_is_described_with_what_is_allowed(given, words):
    with pytest.raises(TypeError) as error:
        track(*given)
    assert words in str(error.value)
    assert "give a torch.nn.Module, a flax.nnx or equinox model, or a pytree of jax arrays" in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "other"),
    [
        ("import torch; model = torch.nn.Linear(2, 1)", "jax"),
        ("import jax.numpy as jnp; model = {'w': jnp.ones(2)}", "torch"),
    ],
)
def test_the_other_framework_is_not_imported(model, other):
    code = f"{model}\nfrom tandv.track import track\ntrack(model)\nimport sys\nassert {other!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
