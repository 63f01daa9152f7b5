"""One training of JAX by settings, its step jitted, tracked, with the places at which a fault takes hold of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.trainings.jax_nets import JAX_ARCHITECTURES, injected
from tandv.track.jax import track

DEFAULTS = {
    "seed": 0, "optimiser": "adam", "lr": 2e-3, "steps": 80, "precision": "fp32", "clip": 0.0, "decay": 0.0,
    "scale": 1.0, "units": False,
}  # fmt: skip
_DTYPES = {"fp32": None, "bf16": jnp.bfloat16, "fp16": jnp.float16, "bf16_weights": jnp.bfloat16}

OPTIMISERS: dict[str, Callable[[Any, float], optax.GradientTransformation]] = {
    "sgd": lambda rate, decay: optax.sgd(rate),
    "momentum": lambda rate, decay: optax.sgd(rate, momentum=0.9),
    "adam": lambda rate, decay: optax.adam(rate),
    "adamw": lambda rate, decay: optax.adamw(rate, weight_decay=decay),
    "rmsprop": lambda rate, decay: optax.rmsprop(rate),
    "adafactor": lambda rate, decay: optax.adafactor(rate),
    "lion": lambda rate, decay: optax.lion(rate, weight_decay=decay),
}


class JaxRun:
    """A training that faults take hold of: its settings, its parameters, and what is done at places of the loop."""

    def __init__(self, settings: dict[str, Any]):
        self.settings = DEFAULTS | settings
        self.architecture = JAX_ARCHITECTURES[self.settings["architecture"]]
        self.net = self.architecture.build(_DTYPES[self.settings["precision"]])
        example, _ = self.architecture.batch(np.random.default_rng(0))
        injected.changes = {}
        self.params: Any = self.net.init(jax.random.key(self.settings["seed"]), jnp.asarray(example))
        self.state: Any = None
        layers = jax.tree_util.tree_flatten_with_path(self.params["params"])[0]
        self.matrices = [
            ".".join(str(one.key) for one in path[:-1])
            for path, _ in layers
            if path[-1].key == "kernel" and "LSTM" not in str(path)
        ]
        order = {name: at for at, name in enumerate(_in_order(self.net, self.params, example))}
        self.matrices.sort(key=lambda name: order.get(name, -1))
        self.random = np.random.default_rng(self.settings["seed"] + 1000)
        self.truth: dict[str, Any] = {}
        self.rate: Callable[[Any], Any] = lambda count: self.settings["lr"]
        self.left_out: set[str] = set()  # layers that the optimiser does not move
        self.after: list[Callable[[int], None]] = []  # of the step, before the tracker is told of its end
        self.batch: list[Callable[[int, Any], Any]] = []
        self.loss: list[Callable[[Any, Any], Any]] = []  # within the jitted step, which gets its number
        self.gradients: list[Callable[[Any, Any], Any]] = []
        self.changes: dict[str, Callable[[Any, Any], Any]] = {}  # of outputs, by the name of their layer

    def one_of(self, names: list[str]) -> str:
        """Return one of some names, by the seed."""
        return names[int(self.random.integers(len(names)))]

    def sometime(self, low: float = 0.35, high: float = 0.65) -> int:
        """Return a step in the middle of the run, by the seed."""
        return int(self.settings["steps"] * self.random.uniform(low, high))

    def is_true(self, kind: str, layers: list[str] | None = None, step: int | None = 0) -> None:
        """Write down what is wrong: the kind, the layers and the step; None where any is right."""
        self.truth = {"kinds": [kind], "layers": layers, "step": step}

    def of_layer(self, layer: str) -> Any:
        """Return the parameters of a layer, as a dict that may be changed."""
        found = self.params["params"]
        for part in layer.split("."):
            found = found[part]
        return found

    def train(self, folder: Path) -> list[float]:
        """Train, tracked into a folder, beside which the truth is written; return the losses."""
        s = self.settings
        random = np.random.default_rng(s["seed"])
        if s["precision"] == "bf16_weights":
            self.params = jax.tree.map(lambda one: one.astype(jnp.bfloat16), self.params)
        transform = OPTIMISERS[s["optimiser"]](lambda count: self.rate(count), s["decay"])
        if s["clip"]:
            transform = optax.chain(optax.clip_by_global_norm(s["clip"]), transform)
        if self.left_out:
            transform = optax.partition({True: transform, False: optax.set_to_zero()}, self._trained)
        self.state = transform.init(self.params)
        step_fn, losses = self._step(transform), []
        injected.changes = self.changes
        options = {"track_updates": True, "insight": True, "offload_inc": 200, "units": s["units"]}
        with track(
            model_state=self.params, optimizer_state=self.state, path=folder, offload_type=".parquet", **options
        ) as tracker:
            for step in range(s["steps"]):
                batch = self.architecture.batch(random)
                for change in self.batch:
                    batch = change(step, batch)
                given = self.params, self.state, *map(jnp.asarray, batch), jnp.int32(step)
                self.params, self.state, grads, loss = tracker.intercept(step_fn, *given)
                losses.append(float(loss))
                for action in self.after:
                    action(step)
                scale = s["scale"] if s["scale"] != 1 else None
                tracker.step(self.params, self.state, grads, loss=loss, loss_scale=scale)
        kept = {name: value for name, value in s.items() if isinstance(value, str | int | float | bool)}
        (folder / "truth.json").write_text(json.dumps({"settings": kept, "truth": self.truth, "losses": losses}))
        return losses

    def _trained(self, params: Any) -> Any:
        def label(path: Any, _: Any) -> bool:
            return ".".join(str(one.key) for one in path[1:-1]) not in self.left_out

        return jax.tree_util.tree_map_with_path(label, params)

    def _step(self, transform: optax.GradientTransformation) -> Callable[..., Any]:
        scale = self.settings["scale"]

        @jax.jit
        def step(params: Any, state: Any, inputs: Any, targets: Any, now: Any) -> Any:
            def scaled(params: Any) -> Any:
                injected.now = now
                loss = plain = self.architecture.loss(self.net.apply(params, inputs), targets)
                for change in self.loss:
                    loss = change(now, loss)
                return loss * scale, plain

            (_, loss), grads = jax.value_and_grad(scaled, has_aux=True)(params)
            grads = jax.tree.map(lambda one: one / scale, grads)
            for change in self.gradients:
                grads = change(now, grads)
            updates, state = transform.update(grads, state, params)
            return optax.apply_updates(params, updates), state, grads, loss

        return step


def _in_order(net: Any, params: Any, example: Any) -> list[str]:
    """Return the names of the layers in the order in which they return."""
    _, seen = net.apply(params, jnp.asarray(example), capture_intermediates=True)
    flat = jax.tree_util.tree_flatten_with_path(seen["intermediates"])[0]
    return [".".join(str(one.key) for one in path[:-2]) for path, _ in flat]
