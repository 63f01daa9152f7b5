"""The names of modules and parameters: the model's own dotted names, without its wrappers."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn

# Modules that only wrap one other, by class name, and the attribute that holds it. What they add to a name goes.
_WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "DistributedDataParallel": "module",
    "DataParallel": "module",
    "FullyShardedDataParallel": "_fsdp_wrapped_module",
    "CheckpointWrapper": "_checkpoint_wrapped_module",
}

# The parameter that bears the module's own name, so that one name finds a layer's tensors of every kind.
_PRINCIPAL = "weight"


class Named(NamedTuple):
    """A module or parameter as the log knows it."""

    position: int  # in model order
    name: str
    type: str  # class of the module


def unwrap(module: nn.Module) -> nn.Module:
    """Return the module inside any number of wrappers (compiled, data parallel, checkpointed)."""
    while (attribute := _WRAPPERS.get(type(module).__name__)) and hasattr(module, attribute):
        module = getattr(module, attribute)
    return module


def _class_name(module: nn.Module) -> str:
    """Return a module's class; `fully_shard` and `replicate` put one of their own (FSDPLinear) in its place."""
    kind = type(module)
    swapped = kind.__bases__[0].__name__ in ("FSDPModule", "ReplicateModule")
    return (kind.__bases__[1] if swapped else kind).__name__


def module_names(root: nn.Module) -> dict[nn.Module, Named]:
    """Return every module of `root` in model order; a shared module has its first name.

    >>> [named.name for named in module_names(nn.Sequential(nn.Linear(1, 1), nn.ReLU())).values()]
    ['Sequential', '0', '1']
    """
    paths = dict(_walk(root, ()))
    taken = {".".join(path) for path in paths.values() if path}
    root_name = _class_name(unwrap(root))
    while root_name in taken:
        root_name += " (root)"
    return {
        module: Named(i, ".".join(path) or root_name, _class_name(module))
        for i, (module, path) in enumerate(paths.items())
    }


def parameter_names(root: nn.Module) -> dict[nn.Parameter, Named]:
    """Return every parameter of `root` in model order; a shared parameter has its first name.

    >>> [named.name for named in parameter_names(nn.Sequential(nn.Linear(1, 1))).values()]
    ['0', '0.bias']
    """
    names: dict[nn.Parameter, Named] = {}
    for module, (position, name, kind) in module_names(root).items():
        for own, parameter in module._parameters.items():
            if parameter is not None and parameter not in names:
                prefix = "" if position == 0 else f"{name}."
                names[parameter] = Named(position, name if own == _PRINCIPAL else prefix + own, kind)
    return names


def _walk(root: nn.Module, path: tuple[str, ...]) -> Iterator[tuple[nn.Module, tuple[str, ...]]]:
    seen: set[nn.Module] = set()
    waiting = [(root, path)]
    while waiting:
        module, path = waiting.pop()
        module = unwrap(module)
        if module in seen:
            continue
        seen.add(module)
        yield module, path
        waiting.extend((child, (*path, name)) for name, child in reversed(module._modules.items()) if child is not None)
