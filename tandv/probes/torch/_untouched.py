"""A forward pass that leaves no trace: everything it changes is put back."""

import contextlib
import random
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.modules import module as torch_modules
from torch.nn.parameter import is_lazy

from tandv.track.torch.names import unwrap


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the model inside its wrappers, in eval mode; put back what is done to it until the end of the block.

    No gradients, no fused path of `nn.MultiheadAttention` that hides its parts, no compiled code, and none of the
    hooks that others have put on all modules. Put back are: attributes and buffers of every module, training flags,
    the state of every random generator. The modules' own `train` and `eval` are not called: they may do more.
    """
    inner = unwrap(model)
    modules = list(inner.modules())
    if waiting := [name for name, p in inner.named_parameters() if is_lazy(p)]:
        raise ValueError(
            f"the shapes of {', '.join(waiting[:5])} are not known yet; run the model once before you look"
        )
    with contextlib.ExitStack() as after:
        after.callback(_generators(modules))
        found = [_found(module) for module in modules]
        after.callback(lambda: [_put_back(one) for one in found])
        for module in modules:
            module.training = False
        after.callback(_global_hooks())
        after.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        # Weights that autocast casts without gradients must not serve the training pass around this one.
        after.callback(torch.set_autocast_cache_enabled, torch.is_autocast_cache_enabled())
        torch.set_autocast_cache_enabled(False)
        after.enter_context(torch.no_grad())
        if "torch._dynamo" in sys.modules:  # else nothing has been compiled, and it would take long to import
            after.enter_context(torch.compiler.set_stance("force_eager"))
        yield inner


class _Found(NamedTuple):
    """What a module was like: attributes, what was in its tables and lists, values and versions of its tensors."""

    module: nn.Module
    training: bool
    attributes: dict[str, Any]
    inside: list[tuple[Any, Any]]
    tensors: list[tuple[torch.Tensor, int, torch.Tensor | None]]


def _found(module: nn.Module) -> _Found:
    attributes = dict(vars(module))
    inside = [(value, value.copy()) for value in attributes.values() if isinstance(value, dict | list | set)]
    tensors = [(buffer, True) for buffer in module._buffers.values() if buffer is not None]
    tensors += [(value, True) for value in attributes.values() if isinstance(value, torch.Tensor)]
    # Parameters are not copied; an embedding with a largest norm is the one module that changes them as it runs.
    copied = getattr(module, "max_norm", None) is not None
    tensors += [(parameter, copied) for parameter in module._parameters.values() if parameter is not None]
    kept = [(t, t._version, t.detach().clone() if copy else None) for t, copy in tensors if not t.is_inference()]
    return _Found(module, module.training, attributes, inside, kept)


def _put_back(found: _Found) -> None:
    now = vars(found.module)
    if now.keys() != found.attributes.keys() or any(now[k] is not v for k, v in found.attributes.items()):
        now.clear()
        now.update(found.attributes)
    if found.module.training != found.training:  # a scripted module keeps it elsewhere
        found.module.training = found.training
    for value, copy in found.inside:
        if isinstance(value, list):
            value[:] = copy
        elif list(map(id, value)) != list(map(id, copy)) or _moved(value, copy):
            value.clear()
            value.update(copy)
    for tensor, version, copy in found.tensors:
        if copy is not None:
            if not torch.equal(tensor, copy):  # batch norm changes its statistics without a new version
                tensor.data.copy_(copy)
        elif tensor._version != version:
            raise RuntimeError(
                f"the forward pass of {type(found.module).__name__} changes a parameter in place, which cannot be "
                "undone; look at a copy.deepcopy of the model"
            )


def _moved(now: Any, before: Any) -> bool:
    """Tell whether a table has other values under its keys."""
    return isinstance(now, dict) and any(now[key] is not value for key, value in before.items())


def _global_hooks() -> Any:
    """Take away the hooks that others have put on all modules (a tracker, a profiler); return what puts them back."""
    tables = [torch_modules._global_forward_pre_hooks, torch_modules._global_forward_hooks]
    kept = [dict(table) for table in tables]
    for table in tables:
        table.clear()

    def put_back() -> None:
        for table, before in zip(tables, kept, strict=True):
            table.clear()
            table.update(before)

    return put_back


def _generators(modules: list[nn.Module]) -> Any:
    """Remember the state of every random generator, the modules' own among them; return what puts them back."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    devices = [
        (kind, n, kind.get_rng_state(n))
        for kind in (torch.cuda, torch.xpu)
        if kind.is_initialized()
        for n in range(kind.device_count())
    ]
    held = {id(value): value for module in modules for value in vars(module).values()}.values()
    own = [(value, value.get_state()) for value in held if isinstance(value, torch.Generator)]
    of_numpy = [(v, v.bit_generator.state) for v in held if isinstance(v, np.random.Generator)]

    def put_back() -> None:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(cpu)
        for kind, n, state in devices:
            kind.set_rng_state(state, n)
        for generator, state in own:
            generator.set_state(state)
        for generator, state in of_numpy:
            generator.bit_generator.state = state

    return put_back
