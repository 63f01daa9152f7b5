"""One forward and backward pass of a JAX model, recorded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tandv.track.jax._track import track


def one_pass(model: Any, batch: Any, loss: Callable[[Any], Any] | None, folder: Path, seed: int) -> None:
    """Write the log of one forward and backward pass of a model into a folder.

    What an nnx model keeps, such as statistics of a norm and counts of random numbers, is put back to what it was.

    >>> from flax import linen
    >>> from tandv import logframe
    >>> net = linen.Dense(1)
    >>> one_pass((net, net.init(jax.random.key(0), jnp.ones((1, 2)))), np.ones((3, 2)), None, Path("once-jax"), seed=0)
    >>> logframe.tensor_types("once-jax")
    ['Activation', 'Gradient', 'Weight', 'Weight_Gradient']

    Args:
        model: an nnx or equinox model, or a flax.linen module with its variables as a tuple of both.
        batch: what it is called with: one argument, a tuple of them, or a dict of those that have names.
        loss: a function of what the model returns, which returns one number; None for the mean square of all of it.
        folder: where the log is written.
        seed: of the random numbers of a linen module's dropout.
    """
    arguments, named = ((), batch) if isinstance(batch, dict) else (batch if isinstance(batch, tuple) else (batch,), {})
    arguments = tuple(_array(one) for one in arguments)
    named = {name: _array(one) for name, one in named.items()}
    of = mean_square if loss is None else loss
    if isinstance(model, tuple):
        module, variables = model
        trained = variables.get("params", variables)
        rest = {name: value for name, value in variables.items() if name != "params" and "params" in variables}
        keys = {"dropout": jax.random.key(seed)}

        def call(weights: Any) -> Any:
            given = {"params": weights, **rest}
            if not rest:
                return of(module.apply(given, *arguments, **named, rngs=keys))
            return of(
                module.apply(given, *arguments, **named, rngs=keys, mutable=list(rest))[0]
            )  # statistics of a norm
    else:
        trained = model

        def call(weights: Any) -> Any:
            return of(weights(*arguments, **named))

    with _put_back(trained), track(model_state=trained, path=folder, offload_type=".parquet") as tracker:
        gradients = tracker.intercept(_gradient(trained, call), trained)
        tracker.step(trained, None, gradients)


def mean_square(returned: Any) -> jax.Array:
    """Return a loss of whatever a model returns: the mean square of each array of floating point numbers, summed.

    >>> float(mean_square({"logits": jnp.array([3.0, 4.0]), "ids": jnp.array([1])}))
    12.5

    Args:
        returned: arrays, or containers of them.

    Raises ValueError if there is nothing in it that a gradient could flow from.
    """
    found = [jnp.asarray(one) for one in jax.tree.leaves(returned)]
    means = [jnp.square(one.astype(jnp.float32)).mean() for one in found if jnp.issubdtype(one.dtype, jnp.floating)]
    if not means:
        raise ValueError(
            "the model returns no array of floating point numbers; give loss=, a function of what it returns"
        )
    return jnp.stack(means).sum()


@contextmanager
def _put_back(model: Any) -> Iterator[None]:
    """Put the state of an nnx model back as it was; other models cannot be changed."""
    if not _is_of("flax", model):
        yield
        return
    from flax import nnx

    was = jax.tree.map(lambda one: one, nnx.state(model))
    try:
        yield
    finally:
        nnx.update(model, was)


def _is_of(package: str, model: Any) -> bool:
    return package in {base.__module__.partition(".")[0] for base in type(model).__mro__}


def _gradient(model: Any, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    if _is_of("flax", model):
        from flax import nnx

        return nnx.grad(call)
    if _is_of("equinox", model):
        import equinox  # type: ignore[import-not-found]

        return equinox.filter_grad(call)
    return jax.grad(call)


def _array(value: Any) -> Any:
    return jnp.asarray(np.asarray(value)) if hasattr(value, "__array__") else value
