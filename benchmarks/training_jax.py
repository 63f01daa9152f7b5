"""What `overhead.py --framework jax` runs: two models with their jitted training step, and the ways to track them."""

import contextlib
import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from tandv.demo.jax_gpt import GPT, loss_of
from tandv.track.jax import track

Step = Callable[[], None]


class MLP(nnx.Module):
    """Four layers of 1024 units."""

    def __init__(self, rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(1024, 1024, rngs=rngs) for _ in range(4)])

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = nnx.relu(layer(x))
        return x


def _square_of(model: MLP, batch: jax.Array) -> jax.Array:
    return jnp.square(model(batch)).mean()


class Training:
    """A model with its optimiser and one jitted training step; two of them are equal."""

    def __init__(self, workload: str):
        random = np.random.default_rng(0)
        if workload == "mlp":
            self.model: nnx.Module = MLP(nnx.Rngs(0))
            self.batch = jnp.asarray(random.standard_normal((256, 1024)), jnp.float32)
            self._loss: Callable[..., jax.Array] = _square_of
        else:
            self.model = GPT(layers=4, width=256, heads=8, context=128)
            self.batch = jnp.asarray(random.integers(256, size=(8, 129)), jnp.int32)
            self._loss = loss_of
        self.optimizer = nnx.Optimizer(self.model, optax.adamw(1e-4), wrt=nnx.Param)
        self.update = self._jitted()

    def _jitted(self) -> Callable[..., jax.Array]:
        of = self._loss

        @nnx.jit
        def update(model: nnx.Module, optimizer: nnx.Optimizer, batch: jax.Array) -> jax.Array:
            loss, grads = nnx.value_and_grad(of)(model, batch)
            optimizer.update(model, grads)
            return loss

        return update


@contextlib.contextmanager
def bare(training: Training) -> Iterator[Step]:
    def step() -> None:
        training.update(training.model, training.optimizer, training.batch).block_until_ready()

    yield step


def tandv(**arguments) -> Callable[[Training], contextlib.AbstractContextManager[Step]]:
    @contextlib.contextmanager
    def tracked(training: Training) -> Iterator[Step]:
        with track(training.model, training.optimizer, **arguments) as tracker:

            def step() -> None:
                loss = tracker.intercept(training.update, training.model, training.optimizer, training.batch)
                tracker.step()
                loss.block_until_ready()

            yield step

    return tracked


# what is measured, and the steps of a round: as many as lie between two flushes to disk, so that each has one
WAYS = {
    "bare beside bare (the noise)": (bare, 10),
    "everything at every step": (tandv(), 10),
    "activations and gradients at every step": (tandv(every_trees=lambda _: False), 10),
    "everything at every 10th step": (tandv(every=10), 100),
    "a step that is not tracked": (tandv(every=lambda _: False), 10),
}
NEEDS: dict[object, str] = {}
NAMES = {"mlp": "MLP 4 × 1024, batch 256", "gpt": "GPT 4 layers, d = 256, sequence 128, batch 8"}
PACKAGES = ("jax", "flax", "optax", "numba")
TITLE = "Overhead of tracking JAX"
THREADS = "XLA with all cores"


def compile_ratio(workload: str) -> float:
    """Return how much longer the first step takes tracked than bare: tracing, compiling, and one step."""
    seconds = []
    for way in (bare, tandv()):
        training = Training(workload)
        jax.clear_caches()
        with way(training) as step:
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
    return seconds[1] / seconds[0]
