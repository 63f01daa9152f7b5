"""`track` for a model of any framework: it calls that of PyTorch or of JAX, by the class of the model."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tandv.track.common.tracker import Tracker

_OF_JAX = ("flax", "equinox")  # packages whose objects are models, or contain one


def track(model: Any = None, *arguments: Any, **settings: Any) -> "Tracker":
    """Record what happens inside a model while it trains, in PyTorch or JAX.

    All arguments are those of `tandv.track.torch.track` or `tandv.track.jax.track`, which this calls, and which checks
    them. The other framework is not imported.

    >>> import torch
    >>> tracker = track(torch.nn.Linear(2, 1), every=10)
    >>> type(tracker).__name__
    'TorchTracker'

    Args:
        model: a torch.nn.Module; or a flax.nnx or equinox model, or a pytree of jax arrays such as the parameters of a
            flax.linen model. `module=` and `model_state=` may say it as well.
        arguments: further positional arguments.
        settings: further keyword arguments.

    Raises TypeError for what is no model of either, and what the called `track` raises.
    """
    named = (settings.get("module"), settings.get("model_state"))
    given: Any = next((one for one in (model, *named) if one is not None), None)
    if is_torch(given):
        from tandv.track.torch import track as track_torch

        return track_torch(*([] if model is None else [model]), *arguments, **settings)
    if is_jax(given):
        from tandv.track.jax import track as track_jax

        return track_jax(model, *arguments, **settings)
    raise TypeError(
        f"cannot track {_described(given)}; give a torch.nn.Module, a flax.nnx or equinox model, or a pytree of jax "
        "arrays (of flax.linen what init() returned). To record without a model, use tandv.track.jax.track"
    )


def is_torch(given: Any) -> bool:
    """Tell whether something is a model of PyTorch, without importing that.

    >>> is_torch(3)
    False

    Args:
        given: anything.
    """
    torch = sys.modules.get("torch")  # if it was never imported, this is not its object
    return torch is not None and isinstance(given, torch.nn.Module)


def is_jax(given: Any) -> bool:
    """Tell whether something is a model of JAX, or holds arrays of it, without importing that.

    >>> is_jax(3)
    False

    Args:
        given: anything.
    """
    jax = sys.modules.get("jax")
    if jax is None or given is None:
        return False
    if any(base.__module__.partition(".")[0] in _OF_JAX for base in type(given).__mro__):
        return True
    return any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(given))


def _described(given: Any) -> str:
    if given is None:
        return "nothing"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(given, dict) and any(isinstance(v, torch.Tensor) for v in given.values()):
        return "a dict of torch tensors, which is a model's state and not the model"
    text = repr(given)
    return f"{type(given).__name__} {text if len(text) <= 60 else text[:60] + '…'}"
