"""Weights before a step and updates of it, where a model is changed between its steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import tandv
from tandv.track.jax import track

pytestmark = pytest.mark.slow


class Net(nnx.Module):
    def __init__(self):
        self.layers = nnx.List([nnx.Linear(2, 2, use_bias=False, rngs=nnx.Rngs(0))])

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def linear(*kernel):
    layer = nnx.Linear(2, len(kernel), use_bias=False, rngs=nnx.Rngs(0))
    layer.kernel[...] = jnp.array(kernel, float).T
    return layer


def step(model):
    """Subtract 1 from each weight."""
    grads = nnx.grad(lambda model: model(jnp.ones((1, 2))).sum())(model)
    nnx.update(model, jax.tree.map(lambda weight: weight - 1, nnx.state(model, nnx.Param)))
    return grads


def set_weights(model):
    model.layers[0].kernel[...] = jnp.full((2, 2), 7.0)


def replace_the_layer(model):
    model.layers[0] = linear([7, 7])


def add_a_layer(model):
    model.layers[0], _ = linear([7, 7], [7, 7]), model.layers.append(linear([5, 5]))


@pytest.mark.parametrize("change", [set_weights, replace_the_layer, add_a_layer])
@pytest.mark.parametrize("insight", [False, True])
def test_weights_that_are_changed_between_steps_are_read_when_they_are_used(change, insight, tmp_path):
    model = Net()
    with track(model=model, path=tmp_path / "run", track_updates=True, insight=insight) as tracker:
        for number in range(2):
            if number == 1:
                change(model)
            grads = tracker.intercept(step, model)
            tracker.step(model, grads=grads)
    log = tandv.read(tracker.path)
    log = log[log["metadata", "step"] == 1].set_index([("metadata", "name"), ("metadata", "tensor_type")])
    found = log["scalar_stats", "mean"]
    size = model.layers[0].kernel[...].size
    assert found["layers.0", "Weight"] == 7 and log["scalar_stats", "numel"]["layers.0", "Weight"] == size
    assert found["layers.0", "Weight_Update"] == -1
    assert ("layers.1", "Weight") in found.index if len(model.layers) > 1 else len(found) > 3


def test_an_update_of_another_shape_is_left_out_and_said(tmp_path):
    first = {"a": jnp.ones(2), "b": jnp.ones(3)}
    with track(model_state=first, path=tmp_path / "run", track_updates=True) as tracker:
        with pytest.warns(UserWarning, match="weights with another shape after the step than before have no update: b"):
            tracker.step({"a": jnp.full(2, 3.0), "b": jnp.ones(4)})
        tracker.step({"a": jnp.full(2, 3.0), "b": jnp.ones(4)})
    log = tandv.read(tracker.path)
    updates = log[log["metadata", "tensor_type"] == "Weight_Update"]
    assert list(zip(updates["metadata", "step"], updates["metadata", "name"], strict=True)) == [
        (0, "a"), (1, "a"), (1, "b"),
    ]  # fmt: skip
    assert updates["scalar_stats", "mean"].tolist() == [2, 0, 0]


def test_parameters_that_hold_a_tree_or_no_array_stop_nothing(tmp_path):
    class Odd(nnx.Module):
        def __init__(self):
            self.scale, self.none = nnx.Param(1.5), nnx.Param(None)
            self.tree = nnx.Param({"a": jnp.ones(2), "b": np.ones(3, np.float32)})

        def __call__(self, x):
            return x * self.scale * self.tree["a"]

    model = Odd()
    with track(model=model, path=tmp_path / "run") as tracker:
        for _ in range(2):
            tracker.intercept(lambda model: model(jnp.ones((1, 2))), model)
            tracker.step(model)
    assert tandv.read(tracker.path)["metadata"]["step"].nunique() == 2
