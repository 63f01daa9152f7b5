"""Run a model of JAX once, and return the outputs of its modules by name."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tandv.probes._layers import chosen, numbered
from tandv.probes.jax._interpreter import Seen, interpret, layers_in
from tandv.probes.jax._models import Prepared, prepared
from tandv.track.jax.marked import Mark, marked_program, outputs_of_calls, text

Call = Callable[[Any, Any], Any]


def get_intermediate_outputs(model: Any, x: Any, layers: Any = None, call: Call | None = None) -> dict[str, np.ndarray]:
    """Return the outputs of layers as arrays by name; see `tandv.probes.get_intermediate_outputs`.

    >>> from flax import nnx
    >>> get_intermediate_outputs(nnx.Linear(4, 2, rngs=nnx.Rngs(0)), jnp.ones((3, 4)))["Linear"].shape
    (3, 2)

    Args:
        model: a flax.nnx or an equinox module, or a flax.linen module bound to its variables.
        x: the input: an array, a tuple of positional arguments, or a dict of keyword arguments.
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        call: `call(model, x)` runs the model, for models that take their input in another way.
    """
    ready = prepared(model, call)
    seen, problem = run_seen(ready, x)
    if problem is not None:
        warnings.warn(
            f"{ready.name} looks at values, so that JAX cannot trace it ({type(problem).__name__}): it was run as it "
            "is, and what runs inside its jitted parts is not seen",
            UserWarning,
            stacklevel=4,
        )
    found: dict[str, dict[str, np.ndarray]] = {}
    times: dict[tuple[str, str], int] = {}
    for mark, turns, array in seen.outputs:
        whole = text(mark.name, turns)
        layer = whole.partition("[")[0]
        time = times[layer, whole] = times.get((layer, whole), -1) + 1
        found.setdefault(layer, {})[numbered(whole, layer, time)] = as_numpy(array)
    names = in_model_order(found, ready)
    return {name: array for layer in chosen(names, layers) for name, array in found[layer].items()}


def run_seen(ready: Prepared, batch: Any) -> tuple[Seen, Exception | None]:
    """Run a model, and return what was seen; and why, if JAX could not trace it, only its modules' outputs were."""
    leaves, structure = jax.tree.flatten(batch)
    is_array = [isinstance(leaf, jax.Array) or _numbers(leaf) for leaf in leaves]

    def with_arrays(inputs: Sequence[Any]) -> Any:
        rest = iter(inputs)
        return jax.tree.unflatten(structure, [next(rest) if a else x for x, a in zip(leaves, is_array, strict=True)])

    inputs = [leaf for leaf, a in zip(leaves, is_array, strict=True) if a]
    try:
        program = marked_program(ready.build, lambda model, x: ready.call(model, with_arrays(x)), inputs, ready.like)
    except jax.errors.JAXTypeError as problem:
        seen = Seen()

        def receive(array: Any, mark: Mark) -> None:
            seen.outputs.append((mark, layers_in((), mark.layers), array))

        outputs_of_calls(ready.build, lambda model: ready.call(model, batch), receive)
        return seen, problem
    return interpret(program, inputs), None


def in_model_order(names: Iterable[str], ready: Prepared) -> list[str]:
    """Return names of modules in the order of the model's definition, each before what is in it.

    Where calls define the modules, as in flax.linen, it is the order in which they were called.
    """
    listed = list(names)
    if ready.place is not None:
        place = ready.place
        return sorted(listed, key=lambda name: () if name == ready.name else place(name))
    first: dict[tuple[str, ...], int] = {}
    for turn, name in enumerate(listed):
        parts = tuple(name.split("."))
        for end in range(1, len(parts) + 1):
            first.setdefault(parts[:end], turn)

    def key(name: str) -> list[int]:
        parts = tuple(name.split("."))
        return [] if name == ready.name else [first[parts[:end]] for end in range(1, len(parts) + 1)]

    return sorted(listed, key=key)


def as_numpy(array: Any) -> np.ndarray:
    """Return an array of NumPy; of formats with less than 32 bits as float32."""
    if jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.itemsize < 4:
        array = array.astype(jnp.float32)
    return np.array(array)


def _numbers(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and (leaf.dtype.kind in "biuf" or leaf.dtype.name == "bfloat16")
