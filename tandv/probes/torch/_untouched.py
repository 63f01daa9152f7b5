"""Run a PyTorch model without lasting effects: everything that the forward pass changes is restored."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules import module as torch_modules
from torch.nn.parameter import is_lazy

from tandv.probes.torch._generators import generators
from tandv.track.torch.names import unwrap


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the model inside its wrappers, in eval mode; restore whatever changes until the end of the block.

    Within the block there are no gradients, no fused path of `nn.MultiheadAttention` that hides its parts, no compiled
    code, and no hooks that others have registered on all modules. Restored are the attributes and buffers of every
    module, training flags, and the state of every random generator. The modules' own `train` and `eval` are not called,
    because they may be overridden.

    >>> model = nn.Dropout()
    >>> with untouched(model) as inner:
    ...     inner.training
    False
    >>> model.training
    True

    Args:
        model: a PyTorch module, which may be wrapped (DistributedDataParallel, torch.compile).

    Raises ValueError if a lazy parameter has no shape yet, RuntimeError if the forward pass changes a parameter in
    place.
    """
    inner = unwrap(model)
    modules = list(inner.modules())
    if waiting := [name for name, p in inner.named_parameters() if is_lazy(p)]:
        raise ValueError(
            f"the shapes of {', '.join(waiting[:5])} are not known yet; run the model once before you inspect it"
        )
    with contextlib.ExitStack() as after:
        after.callback(generators(modules))
        states = [_state_of(module) for module in modules]
        after.callback(lambda: [_restore(state) for state in states])
        for module in modules:
            module.training = False
        after.callback(_global_hooks())
        after.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        # Weights that autocast casts here, without gradients, must not be reused by the training pass around this one.
        after.callback(torch.set_autocast_cache_enabled, torch.is_autocast_cache_enabled())
        torch.set_autocast_cache_enabled(False)
        after.enter_context(torch.no_grad())
        if "torch._dynamo" in sys.modules:  # else nothing has been compiled, and importing it takes long
            after.enter_context(torch.compiler.set_stance("force_eager"))
            after.enter_context(warnings.catch_warnings())  # advice to compile what is compiled, but not here
            warnings.filterwarnings("ignore", "flex_attention called without torch.compile")
        yield inner


class _ModuleState(NamedTuple):
    """A module before it ran: its attributes, the contents of its dicts and lists, its tensors and their versions."""

    module: nn.Module
    training: bool
    attributes: dict[str, Any]
    containers: list[tuple[Any, Any]]
    tensors: list[tuple[torch.Tensor, int, torch.Tensor | None]]


def _state_of(module: nn.Module) -> _ModuleState:
    attributes = dict(vars(module))
    containers = [(value, value.copy()) for value in attributes.values() if isinstance(value, dict | list | set)]
    tensors = [(buffer, True) for buffer in module._buffers.values() if buffer is not None]
    tensors += [(value, True) for value in attributes.values() if isinstance(value, torch.Tensor)]
    # Parameters are not copied: only an embedding with `max_norm` changes them in its forward pass.
    copied = getattr(module, "max_norm", None) is not None
    tensors += [(parameter, copied) for parameter in module._parameters.values() if parameter is not None]
    kept = [(t, t._version, t.detach().clone() if copy else None) for t, copy in tensors if not t.is_inference()]
    return _ModuleState(module, module.training, attributes, containers, kept)


def _restore(state: _ModuleState) -> None:
    now = vars(state.module)
    if now.keys() != state.attributes.keys() or any(now[k] is not v for k, v in state.attributes.items()):
        now.clear()
        now.update(state.attributes)
    if state.module.training != state.training:  # a scripted module stores it elsewhere
        state.module.training = state.training
    for value, copy in state.containers:
        if isinstance(value, list):
            value[:] = copy
        elif list(map(id, value)) != list(map(id, copy)) or _replaced(value, copy):
            value.clear()
            value.update(copy)
    for tensor, version, copy in state.tensors:
        if copy is not None:
            if not torch.equal(tensor, copy):  # batch norm changes its statistics without incrementing _version
                tensor.data.copy_(copy)
        elif tensor._version != version:
            raise RuntimeError(
                f"the forward pass of {type(state.module).__name__} changes a parameter in place, which cannot be "
                "undone; inspect a copy.deepcopy of the model"
            )


def _replaced(now: Any, before: Any) -> bool:
    """Tell whether a dict holds other values than before under its keys."""
    return isinstance(now, dict) and any(now[key] is not value for key, value in before.items())


def _global_hooks() -> Any:
    """Remove the hooks that others registered on all modules (a tracker, a profiler); return what restores them."""
    tables = [torch_modules._global_forward_pre_hooks, torch_modules._global_forward_hooks]
    kept = [dict(table) for table in tables]
    for table in tables:
        table.clear()

    def restore() -> None:
        for table, before in zip(tables, kept, strict=True):
            table.clear()
            table.update(before)

    return restore
