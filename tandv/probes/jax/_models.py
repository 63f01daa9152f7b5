"""How models of each library of JAX are called on a batch, without anything that lasts."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from tandv.names import natural

Call = Callable[[Any, Any], Any]


class Prepared(NamedTuple):
    """A model that is ready to be called, again and again.

    Args:
        name: of its class, which is the name of its own output.
        build: returns the model in eval mode, a new copy where modules change in place.
        call: calls what `build` returned on a batch.
        like: a hashable value that two models share only if their modules have the same paths and shapes.
        place: where a module stands in the model's definition, by its dotted name; None where calls define it.
    """

    name: str
    build: Callable[[], Any]
    call: Call
    like: Any
    place: Callable[[str], tuple[Any, ...]] | None


def prepared(model: Any, call: Call | None) -> Prepared:
    """Return a model of flax.linen (bound), flax.nnx or equinox, ready to be called."""
    name = type(model).__name__
    if _is_a(model, "flax.nnx"):
        split = sys.modules["flax.nnx"].split(model)
        like = (type(model), call, jax.tree.structure(split[1]), _shapes(split[1]))
        return Prepared(name, lambda: _nnx_copy(model), call or run, like, lambda name: _place(model, name))
    if _is_a(model, "equinox"):
        like = (type(model), call, jax.tree.structure(model), _shapes(model))
        return Prepared(
            name, lambda: _in_inference(model), call or _each_sample, like, lambda name: _place(model, name)
        )
    if not _is_a(model, "flax.linen"):
        raise TypeError(f"{name} is no module of flax.linen, flax.nnx or equinox; give the model itself")
    if model.scope is None:
        raise TypeError(
            f"{name} has no variables yet; give it bound to them: model.bind(variables), as in "
            "get_intermediate_outputs(model.bind({'params': params}), x)"
        )
    linen = sys.modules["flax.linen"]
    module, variables = model.unbind()
    variables = {kind: values for kind, values in variables.items() if kind != "intermediates"}

    def apply(module: Any, batch: Any) -> Any:
        return linen.apply(call or run, module)(variables, batch)

    return Prepared(name, lambda: module, apply, (module, call, _shapes(variables)), None)


@contextlib.contextmanager
def untouched(model: Any) -> Iterator[Any]:
    """Yield the model in eval mode; what changes in place is a copy, so that the original does not change.

    >>> from flax import nnx
    >>> model = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    >>> with untouched(model) as copy:
    ...     copy.deterministic, model.deterministic
    (True, False)

    Args:
        model: a flax.nnx or an equinox module, or a flax.linen module bound to its variables, which stays as it is.
    """
    if _is_a(model, "flax.nnx"):
        yield _nnx_copy(model)
    elif _is_a(model, "equinox"):
        yield _in_inference(model)
    else:
        yield model


def run(model: Any, batch: Any) -> Any:
    """Call a model with an array, a tuple of arguments, or a dict of named ones."""
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, tuple | list) else model(batch)


def _each_sample(model: Any, batch: Any) -> Any:
    """Call a model of equinox, which takes one sample, on each of a batch; one that takes batches as it is."""
    arrays, rest = sys.modules["equinox"].partition(batch, lambda x: isinstance(x, jax.Array | np.ndarray))
    combine = sys.modules["equinox"].combine
    try:
        return jax.vmap(lambda sample: run(model, combine(sample, rest)))(arrays)
    except Exception as of_samples:
        try:
            return run(model, batch)
        except Exception:
            of_samples.add_note(
                "a model of equinox is called on each sample of the batch, by jax.vmap; one that is called in another "
                "way needs call=, such as call=lambda model, x: jax.vmap(model, axis_name='batch')(x)"
            )
            raise of_samples from None


def _is_a(model: Any, library: str) -> bool:
    found = sys.modules.get(library)
    return found is not None and isinstance(model, found.Module)


def _nnx_copy(model: Any) -> Any:
    """Return a copy of a module, in eval mode, that shares the arrays, which are immutable."""
    nnx = sys.modules["flax.nnx"]
    definition, state = nnx.split(model)
    copy = nnx.merge(definition, jax.tree.map(lambda x: x, state))  # variables of the trace in which it is called
    copy.eval()
    return copy


def _in_inference(model: Any) -> Any:
    return sys.modules["equinox"].nn.inference_mode(model)


def _shapes(tree: Any) -> tuple[Any, ...]:
    return tuple((getattr(leaf, "shape", None), str(getattr(leaf, "dtype", ""))) for leaf in jax.tree.leaves(tree))


def _place(model: Any, name: str) -> tuple[Any, ...]:
    """Return the positions of the parts of a name among the attributes of the modules around them."""
    place: list[Any] = []
    one = model
    for part in name.split("."):
        known = [f.name for f in dataclasses.fields(one)] if dataclasses.is_dataclass(one) else list(_vars(one))
        if part in known:
            place.append((known.index(part), []))
            one = getattr(one, part)
        else:
            place.append((len(known), natural(part)))
            one = _item(one, part)
    return tuple(place)


def below(model: Any, name: str) -> Any:
    """Return what has a dotted name in a model."""
    one = model
    for part in name.split("."):
        one = getattr(one, part) if hasattr(one, part) else _item(one, part)
    return one


def _item(container: Any, part: str) -> Any:
    try:
        return container[int(part)] if part.isdigit() else container[part]
    except (TypeError, KeyError, IndexError):
        return None


def _vars(one: Any) -> dict[str, Any]:
    return getattr(one, "__dict__", {})
