"""Layer outputs and attention of flax modules. Nothing has to be restored: linen is functional, nnx runs in a copy."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

from tandv.names import key_text
from tandv.probes._layers import chosen

Call = Callable[[Any, Any], Any]
_ATTENTION = "attention_weights"  # the name under which flax stores them


@contextlib.contextmanager
def untouched(model: Any) -> Iterator[Any]:
    """Yield the model; an nnx module as a copy in eval mode, so that the original does not change.

    >>> from flax import nnx
    >>> model = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    >>> with untouched(model) as copy:
    ...     copy.deterministic, model.deterministic
    (True, False)

    Args:
        model: a flax.nnx module, or a flax.linen module bound to its variables.
    """
    yield _copy(model) if isinstance(model, nnx.Module) else model


def get_intermediate_outputs(model: Any, x: Any, layers: Any = None, call: Call | None = None) -> dict[str, np.ndarray]:
    """Return the outputs of layers as arrays by name; see `tandv.probes.get_intermediate_outputs`.

    >>> from flax import nnx
    >>> get_intermediate_outputs(nnx.Linear(4, 2, rngs=nnx.Rngs(0)), jnp.ones((3, 4)))["Linear"].shape
    (3, 2)

    Args:
        model: a flax.nnx module, or a flax.linen module bound to its variables.
        x: the input: an array, a tuple of positional arguments, or a dict of keyword arguments.
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        call: `call(model, x)` runs the model, for models that take their input in another way.
    """
    outputs, _ = _run_captured(model, x, call or run)
    found = {layer: dict(_arrays(layer, values)) for layer, values in outputs.items()}
    return {name: array for layer in chosen(list(found), layers) for name, array in found[layer].items()}


def attention_patterns(model: Any, batch: Any, layers: Any = None, call: Call | None = None) -> dict[str, np.ndarray]:
    """Return attention probabilities (batch, heads, query, key) by layer; see `tandv.probes.attention_patterns`.

    >>> from flax import nnx
    >>> model = nnx.MultiHeadAttention(num_heads=2, in_features=8, decode=False, rngs=nnx.Rngs(0))
    >>> attention_patterns(model, jnp.ones((3, 5, 8)))["MultiHeadAttention"].shape
    (3, 2, 5, 5)

    Args:
        model: a flax.nnx module, or a flax.linen module bound to its variables.
        batch: the input: an array, a tuple of positional arguments, or a dict of keyword arguments.
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        call: `call(model, batch)` runs the model, for models that take their input in another way.

    Raises ValueError if no attention is found, or if rows do not sum to 1.
    """
    _, attention = _run_captured(model, batch, call or run)
    found = {name: array for layer, values in attention.items() for name, array in _arrays(layer, values)}
    found = {name: array.reshape(-1, *array.shape[-3:]) for name, array in found.items() if array.ndim >= 3}
    if not found:
        raise ValueError(
            f"no attention is seen in {type(model).__name__}: it has no attention module of flax, or one whose "
            "attention_fn keeps its weights to itself"
        )
    if wrong := [name for name, array in found.items() if not np.allclose(array.sum(-1), 1, atol=0.01)]:
        raise ValueError(f"attention rows of {', '.join(map(repr, wrong))} do not sum to 1")
    return {name: found[name] for name in chosen(list(found), layers, "attention layer")}


def run(model: Any, batch: Any) -> Any:
    """Call a model with an array, a tuple of arguments, or a dict of named ones."""
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, tuple | list) else model(batch)


Calls = dict[str, list[Any]]  # by layer, the output of each of its calls


def _run_captured(model: Any, x: Any, call: Call) -> tuple[Calls, Calls]:
    """Return the outputs and the attention weights of every layer."""
    if isinstance(model, nnx.Module):
        return _of_nnx(_copy(model), x, call)
    if not isinstance(model, linen.Module) or model.scope is None:
        raise TypeError(
            f"{type(model).__name__} has no variables yet; give it bound to them: model.bind(variables), as in "
            "get_intermediate_outputs(model.bind({'params': params}), x)"
        )
    module, variables = model.unbind()
    variables = {name: values for name, values in variables.items() if name != "intermediates"}
    capturing = linen.apply(call, module, mutable=["intermediates"], capture_intermediates=True)
    with linen.intercept_methods(_sow):
        _, state = capturing(variables, x)
    outputs: Calls = {}
    attention: Calls = {}

    def collect(tree: Mapping[str, Any], path: tuple[str, ...]) -> None:
        name = ".".join(path) or type(module).__name__
        for key, into in (("__call__", outputs), (_ATTENTION, attention)):
            if isinstance(tree.get(key), tuple):
                into[name] = list(tree[key])
        for key, below in tree.items():
            if isinstance(below, Mapping):
                collect(below, (*path, key))

    collect(state.get("intermediates", {}), ())
    return outputs, attention


def _sow(method: Any, args: Any, kwargs: Any, context: Any) -> Any:
    """Make linen's attention modules store their weights."""
    if isinstance(context.module, linen.MultiHeadDotProductAttention) and context.method_name == "__call__":
        kwargs = {**kwargs, "sow_weights": True}
    return method(*args, **kwargs)


def _copy(model: nnx.Module) -> nnx.Module:
    """Return a copy of a module, in eval mode, that shares the arrays, which are immutable."""
    copy = nnx.merge(*nnx.split(model))
    copy.eval()
    return copy


def _of_nnx(copy: nnx.Module, x: Any, call: Call) -> tuple[Calls, Calls]:
    names: dict[int, str] = {}
    for path, module in sorted(_modules(copy), key=lambda entry: len(entry[0])):
        names.setdefault(id(module), ".".join(map(str, path)) or type(copy).__name__)
    order = {name: position for position, name in enumerate(names.values())}
    modules = [module for _, module in _modules(copy)]
    outputs: Calls = {}
    with contextlib.ExitStack() as after:
        calls = {type(module): getattr(type(module), "__call__", None) for module in modules}  # noqa: B004
        for kind, original in calls.items():
            if original is not None:
                after.callback(_restore, kind, vars(kind).get("__call__"))
                kind.__call__ = _recording(original, names, outputs)
        after.enter_context(warnings.catch_warnings())
        warnings.filterwarnings(
            "ignore", "Using 'Module.sow", DeprecationWarning
        )  # older versions of flax have no other way
        call(copy, x)
    attention = {
        names[id(module)]: list(weights)
        for module in modules
        if isinstance(module, nnx.MultiHeadAttention) and (weights := _sown(module)) is not None
    }
    return dict(sorted(outputs.items(), key=lambda entry: order[entry[0]])), attention


def _recording(original: Any, names: dict[int, str], outputs: Calls) -> Any:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, nnx.MultiHeadAttention):
            kwargs["sow_weights"] = True
        name = names.pop(id(self), None)  # removed until it returns: super().__call__ may be recorded too
        output = original(self, *args, **kwargs)
        if name is not None:
            names[id(self)] = name
            outputs.setdefault(name, []).append(output)
        return output

    return __call__


def _restore(kind: type, original: Any) -> None:
    if original is None:
        del kind.__call__  # type: ignore[attr-defined]
    else:
        kind.__call__ = original  # type: ignore[method-assign]


def _sown(module: Any) -> tuple[Any, ...] | None:
    found = getattr(module, _ATTENTION, None)
    return None if found is None else tuple(found.get_value() if hasattr(found, "get_value") else found.value)


def _arrays(layer: str, calls: list[Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and array of every output of every call of a layer."""
    for time, output in enumerate(calls):
        base = f"{layer}@{time}" if time else layer
        for keys, leaf in jax.tree_util.tree_flatten_with_path(output)[0]:
            if isinstance(leaf, jax.core.Tracer):
                raise TypeError(
                    f"{layer!r} runs inside a jax transform (jit, scan, remat): its output cannot be recorded"
                )
            array = leaf
            if jnp.issubdtype(getattr(leaf, "dtype", int), jnp.floating) and leaf.dtype.itemsize < 4:
                array = leaf.astype(jnp.float32)
            yield base + "".join(f"[{key_text(key)}]" for key in keys), np.array(array)


def _modules(model: nnx.Module) -> list[tuple[tuple[Any, ...], nnx.Module]]:
    """Return the path and the module of each module of a model, itself included."""
    if hasattr(nnx, "iter_modules"):
        return list(nnx.iter_modules(model))
    return list(model.iter_modules())  # until flax 0.12.0
