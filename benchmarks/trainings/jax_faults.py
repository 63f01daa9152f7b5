"""Faults of JAX runs, each a function that takes hold of a run before it begins and writes down the truth."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.trainings.jax_loop import JaxRun

JaxFault = Callable[[JaxRun], None]


def _first_is(x: jax.Array, value: float) -> jax.Array:
    return x.reshape(-1).at[0].set(value).reshape(x.shape)


def nan_forward(run: JaxRun) -> None:
    """One NaN in the output of a layer, at one step."""
    layer, at = run.one_of(run.matrices), run.sometime()
    run.is_true("not_finite", [layer], at)
    run.changes[layer] = lambda now, output: jnp.where(now == at, _first_is(output, jnp.nan), output)


def nan_backward(run: JaxRun) -> None:
    """One NaN in the gradient of the output of a layer, at one step."""
    layer, at = run.one_of(run.matrices[:-1]), run.sometime()
    run.is_true("not_finite", [layer], at)

    @jax.custom_vjp
    def same(x: Any, now: Any) -> Any:
        return x

    def forward(x: Any, now: Any) -> Any:
        return x, now

    def backward(now: Any, gradient: Any) -> Any:
        return jnp.where(now == at, _first_is(gradient, jnp.nan), gradient), None

    same.defvjp(forward, backward)
    run.changes[layer] = lambda now, output: same(output, now)


def nan_weight_gradient(run: JaxRun) -> None:
    """One NaN in the gradient of a weight, at one step."""
    layer, at = run.one_of(run.matrices), run.sometime()
    run.is_true("not_finite", [layer], at)

    def change(now: Any, grads: Any) -> Any:
        def of(path: Any, one: Any) -> Any:
            here = ".".join(str(key.key) for key in path[1:]) == f"{layer}.kernel"
            return jnp.where(now == at, _first_is(one, jnp.nan), one) if here else one

        return jax.tree_util.tree_map_with_path(of, grads)

    run.gradients.append(change)


def overflow(run: JaxRun) -> None:
    """The output of a layer grows fourfold a step, in float16."""
    run.is_true("overflow", [layer := run.one_of(run.matrices[:-1])], None)
    start = run.sometime(0.2, 0.4)
    run.changes[layer] = lambda now, output: output * jnp.exp2(2.0 * jnp.maximum(0, now - start)).astype(output.dtype)


def underflow(run: JaxRun) -> None:
    """A loss that is far too small for gradients in float16, unscaled."""
    run.is_true("underflow")
    run.loss.append(lambda now, loss: loss * 1e-5)


def underflow_scaled(run: JaxRun) -> None:
    """A loss that is far too small for gradients in float16, with a scale that is too small as well."""
    run.settings["scale"] = 2.0**6
    run.is_true("underflow")
    run.loss.append(lambda now, loss: loss * 1e-7)


def dead_relu(run: JaxRun) -> None:
    """The output of a layer in front of a ReLU falls by 60 for good: no gradient comes back."""
    names = {"mlp": ("fc0", "fc1", "fc2"), "gpt": ("block0.up", "block1.up")}[run.settings["architecture"]]
    layer, at = run.one_of(list(names)), run.sometime()
    run.is_true("dead", [layer], at)
    run.changes[layer] = lambda now, output: output - jnp.where(now >= at, 60.0, 0.0).astype(output.dtype)


def large_initialisation(run: JaxRun) -> None:
    """One weight begins 40 times too large."""
    layer = run.one_of(run.matrices)
    run.is_true("bad_init", [layer])
    run.of_layer(layer)["kernel"] *= 40


def rate_jumps(run: JaxRun) -> None:
    """The learning rate jumps a hundredfold."""
    at, plain = run.sometime(), run.settings["lr"]
    run.is_true("updates_too_large", None, at)
    run.rate = lambda count: plain * jnp.where(count >= at, 100.0, 1.0)


def loss_jumps(run: JaxRun) -> None:
    """One loss is 60 times as large."""
    at = run.sometime()
    run.is_true("spike", None, at)
    run.loss.append(lambda now, loss: loss * jnp.where(now == at, 60.0, 1.0))


def detached(run: JaxRun) -> None:
    """The graph is cut behind a layer."""
    layer = run.one_of(run.matrices[:-1])
    run.is_true("not_trained", [layer])
    run.changes[layer] = lambda now, output: jax.lax.stop_gradient(output)


def left_out(run: JaxRun) -> None:
    """The optimiser leaves out a layer."""
    layer = run.one_of(run.matrices)
    run.is_true("not_trained", [layer])
    run.left_out = {layer}


def second_moment(run: JaxRun) -> None:
    """The second moment of a layer falls a millionfold."""
    run.settings["optimiser"] = "adam"
    layer, at = run.one_of(run.matrices), run.sometime()
    run.is_true("second_moment_collapse", [layer], at)

    def of(path: Any, one: Any) -> Any:
        keys = ".".join(str(getattr(key, "key", getattr(key, "name", ""))) for key in path)
        return one * 1e-6 if keys.endswith(f"nu.params.{layer}.kernel") else one

    def change(step: int) -> None:
        if step == at:
            run.state = jax.tree_util.tree_map_with_path(of, run.state)

    run.after.append(change)


def wrong_sign(run: JaxRun) -> None:
    """The loss is maximised."""
    run.is_true("diverging")
    run.loss.append(lambda now, loss: -loss)


JAX_FAULTS: dict[JaxFault, tuple[str, ...]] = {
    nan_forward: ("mlp", "cnn", "gpt", "lstm"),
    nan_backward: ("mlp", "cnn", "gpt", "lstm"),
    nan_weight_gradient: ("mlp", "gpt"),
    overflow: ("mlp", "cnn", "gpt"),
    underflow: ("mlp", "gpt"),
    underflow_scaled: ("mlp", "gpt"),
    dead_relu: ("mlp", "gpt"),
    large_initialisation: ("mlp", "cnn"),
    rate_jumps: ("mlp", "cnn", "gpt"),
    loss_jumps: ("mlp", "cnn"),
    detached: ("mlp", "gpt", "lstm"),
    left_out: ("mlp", "cnn", "gpt"),
    second_moment: ("mlp", "gpt"),
    wrong_sign: ("mlp", "gpt"),
}
PRECISIONS = {overflow: "fp16", underflow: "fp16", underflow_scaled: "fp16"}

JAX_HEALTHY: list[dict[str, Any]] = [
    {"architecture": "mlp"},
    {"architecture": "mlp", "optimiser": "sgd", "lr": 0.1},
    {"architecture": "mlp", "optimiser": "momentum", "lr": 0.05},
    {"architecture": "mlp", "optimiser": "adamw", "lr": 1e-2, "decay": 0.1},
    {"architecture": "mlp", "precision": "bf16"},
    {"architecture": "mlp", "precision": "fp16", "scale": 2.0**10},
    {"architecture": "mlp", "precision": "bf16_weights", "optimiser": "adamw"},
    {"architecture": "mlp", "optimiser": "adafactor", "lr": 1e-2},
    {"architecture": "mlp", "optimiser": "lion", "lr": 3e-4, "decay": 0.1},
    {"architecture": "tanh", "optimiser": "rmsprop", "lr": 1e-3},
    {"architecture": "cnn"},
    {"architecture": "cnn", "optimiser": "momentum", "lr": 0.05},
    {"architecture": "cnn", "precision": "bf16"},
    {"architecture": "gpt"},
    {"architecture": "gpt", "optimiser": "adamw", "lr": 5e-3, "clip": 1.0, "decay": 0.1},
    {"architecture": "gpt", "precision": "fp16", "scale": 2.0**10},
    {"architecture": "gpt", "optimiser": "sgd", "lr": 0.3},
    {"architecture": "lstm"},
    {"architecture": "lstm", "optimiser": "sgd", "lr": 1.0, "clip": 1.0},
    {"architecture": "autoencoder"},
    {"architecture": "autoencoder", "optimiser": "lion", "lr": 3e-4},
]
