"""Run a model of any framework once on a batch; the model's class tells the framework."""

import contextlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from tandv.messages import named_arguments
from tandv.probes._random_state import parts_of_loader, saved

Layers = str | re.Pattern[str] | Sequence[str | re.Pattern[str]]
Call = Callable[[Any, Any], Any]


@named_arguments
def get_intermediate_outputs(
    model: Any, x: Any, layers: Layers | None = None, *, call: Call | None = None
) -> dict[str, np.ndarray]:
    """Return the outputs of the layers of a model on a batch, as arrays by the layers' names in model order.

    The model runs in eval mode and without gradients; its buffers, training flags, hooks and the random state are
    restored. A layer with several outputs has `lstm[0]`, `lstm[1][0]`, ..., one that is called several times `fc`,
    `fc@1`, ...; half precision is converted to float32.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU())
    >>> {name: array.shape for name, array in get_intermediate_outputs(model, torch.ones(3, 4)).items()}
    {'Sequential': (3, 2), '0': (3, 2), '1': (3, 2)}

    Args:
        model: a PyTorch module, a flax.nnx or an equinox module, or a flax.linen module bound to its variables
            (`model.bind(variables)`). One of equinox is called on each sample of the batch, by `jax.vmap`.
        x: the input: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        layers: a layer's name, a compiled pattern, or a list of these; None for all. Names are those of a tracker's
            log.
        call: `call(model, x)` runs the model, for models that take their input in another way.

    Raises LookupError with the nearest names for a layer that the model does not have or does not call.
    """
    _check_batch(x, call)
    return _backend(model).get_intermediate_outputs(model, x, layers, call)


@named_arguments
def attention_patterns(
    model: Any, batch: Any, layers: Layers | None = None, *, call: Call | None = None
) -> dict[str, np.ndarray]:
    """Return the attention probabilities of every attention layer: arrays (batch, heads, query, key) by its name.

    They are read from a softmax, from `nn.MultiheadAttention` or from Hugging Face models. Fused kernels such as
    `scaled_dot_product_attention` do not store them: there they are recomputed from query, key, mask and scale in
    float32, in `flex_attention` from its score_mod and mask_mod. In JAX every softmax over keys of the batch that
    averages values is found, in `jit` and `scan` as well. A router's softmax or an output's is none. Dropout is left
    out. A row that attends to no key is all zeros. The model is left unchanged.

    >>> import torch
    >>> model = torch.nn.TransformerEncoderLayer(8, nhead=2, batch_first=True)
    >>> {name: array.shape for name, array in attention_patterns(model, torch.ones(3, 5, 8)).items()}
    {'self_attn': (3, 2, 5, 5)}

    Args:
        model: as in `get_intermediate_outputs`.
        batch: the input: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        layers: a layer's name, a compiled pattern, or a list of these; None for all. Names are those of a tracker's
            log.
        call: `call(model, batch)` runs the model, for models that take their input in another way.

    Raises ValueError if no attention is found, or if rows do not sum to 1.
    """
    _check_batch(batch, call)
    return _backend(model).attention_patterns(model, batch, layers, call)


def untouched(model: Any) -> contextlib.AbstractContextManager[Any]:
    """Return a context that yields `model` ready for inspection and restores whatever it changes."""
    return _backend(model).untouched(model)


@contextlib.contextmanager
def same_random_numbers(*loaders: Any) -> Iterator[None]:
    """Restore after the block the state of every random generator, so that a loader may be read without a trace.

    >>> import random
    >>> random.seed(0)
    >>> with same_random_numbers([1, 2]):
    ...     inside = random.random()
    >>> random.random() == inside
    True

    Args:
        loaders: iterables of batches that are read in the block, which may hold generators of their own.
    """
    holders = [part for loader in loaders for part in parts_of_loader(loader)]
    if "torch" in sys.modules:
        from tandv.probes import torch

        restore = torch.generators(holders)
    else:
        restore = saved(holders)
    try:
        yield
    finally:
        restore()


def with_weights(model: Any, state: Mapping[str, Any]) -> Call:
    """Return a function `call(model, batch)` that runs a model with the weights of a checkpoint, leaving its own.

    >>> import torch
    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> with_weights(layer, {"weight": [[3.0]]})(layer, torch.ones(1, 1)).item()
    3.0

    Args:
        model: a PyTorch module; or anything with `apply(weights, batch)`, as a flax.linen module; or such a function.
        state: the weights: a `state_dict`, or what the function takes as its first argument.

    Raises ValueError for a `state_dict` of another model, TypeError for anything else.
    """
    packages = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if "torch" in packages:
        from tandv.probes import torch

        return torch.with_weights(model, state)
    run = getattr(model, "apply", model)
    if not callable(run):
        raise TypeError(
            f"a {type(model).__name__} cannot be run with weights; give a model, or a function of weights and batch"
        )
    return lambda _, batch: run(state, batch)


def reader(
    model: Any, names: Sequence[str], batch: Any, call: Call | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of an array that passes it through some modules of a model, one after the other.

    The model is run on `batch` where its modules exist only while it is called, as in flax.linen.
    """
    return _backend(model).reader(model, names, batch, call)


def matrices(model: Any, shape: tuple[int, int]) -> list[np.ndarray]:
    """Return the parameters of a model that have a shape."""
    return _backend(model).matrices(model, shape)


def is_tensor(value: Any) -> bool:
    """Tell whether a value is an array or tensor of any library.

    >>> is_tensor(np.ones(3)), is_tensor("model")
    (True, False)

    Args:
        value: anything.
    """
    return hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "ndim")


def _check_batch(batch: Any, call: Call | None) -> None:
    if call is None and hasattr(batch, "dataset") and hasattr(batch, "__iter__"):
        raise TypeError(
            f"a {type(batch).__name__} gives batches and is none; give the inputs of one, such as next(iter(loader))[0]"
        )


def _backend(model: Any) -> ModuleType:
    if is_tensor(model):
        raise TypeError("the model comes first, then the batch, such as probe(model, batch); a tensor is no model")
    packages = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if "torch" in packages:
        from tandv.probes import torch

        return torch
    if packages & {"flax", "equinox"}:
        from tandv.probes import jax

        return jax
    raise TypeError(
        f"cannot look into a {type(model).__module__}.{type(model).__qualname__}; give a torch.nn.Module, a flax.nnx "
        "or an equinox module, or a flax.linen module bound to its variables: model.bind(variables)"
    )
