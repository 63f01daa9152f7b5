"""The names of modules and parameters: the model's own dotted names, without its wrappers."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn

from tandv import names as rule
from tandv.track.common import keras_names


class Named(NamedTuple):
    """The name of a module or parameter in the log."""

    position: int  # in model order
    name: str
    type: str  # class of the module


def unwrap(module: nn.Module) -> nn.Module:
    """Return the module inside any number of wrappers (compiled, data parallel, checkpointed)."""
    while (inner := _wrapped(module)) is not None:
        module = inner
    return module


def _wrapped(module: nn.Module) -> nn.Module | None:
    held = (rule.WRAPPERS.get(kind.__name__) for kind in type(module).__mro__)  # a subclass of a wrapper is one, too
    return next((module._modules[name] for name in held if name in module._modules), None)


def is_sharded(module: nn.Module) -> bool:
    """Tell whether `fully_shard` or `replicate` replaces the parameters while the module runs."""
    return type(module).__bases__[0].__name__ in ("FSDPModule", "ReplicateModule")


def is_parametrization(name: str) -> bool:
    """Tell whether a module of this name computes a weight of another (`torch.nn.utils.parametrize`).

    >>> is_parametrization("0.parametrizations.weight.0"), is_parametrization("0")
    (True, False)
    """
    return "parametrizations" in name.split(".")[:-1]


def _class_name(module: nn.Module) -> str:
    """Return the name of a module's class before `fully_shard` or `replicate` replaced it (by FSDPLinear)."""
    kind = type(module)
    return (kind.__bases__[1] if is_sharded(module) else kind).__name__


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
    modules = module_names(root)
    owners: dict[nn.Parameter, tuple[Named, rule.Keys]] = {}
    for module, named in modules.items():
        for own, parameter in _own_parameters(module):
            if parameter is not None and parameter not in owners:
                path = (*named.name.split("."), own) if named.position else (own,)
                owners[parameter] = named, path
    of_floats = [parameter for parameter in owners if parameter.dtype.is_floating_point]
    root_name = next(iter(modules.values())).name
    framework = "jax" if keras_names.is_layer(unwrap(root)) else "torch"  # Keras calls them as flax does
    called = rule.of_parameters([owners[parameter][1] for parameter in of_floats], framework, root_name)
    short = dict(zip(of_floats, called, strict=True))
    return {
        parameter: Named(named.position, short.get(parameter, ".".join(path)), named.type)
        for parameter, (named, path) in owners.items()
    }


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
        waiting.extend((child, (*path, name)) for name, child in reversed(_children(module)) if child is not None)


def _children(module: nn.Module) -> list[tuple[str, nn.Module | None]]:
    if not keras_names.is_layer(module):
        return list(module._modules.items())
    held = keras_names.layers_in(module)
    # of a module of torch inside a layer of Keras; Keras's own dict of parameters is no module of the model
    return held or [(name, child) for name, child in module._modules.items() if not isinstance(child, nn.ParameterDict)]


def _own_parameters(module: nn.Module) -> list[tuple[str, nn.Parameter | None]]:
    if not keras_names.is_layer(module):
        return list(module._parameters.items())
    if any(not isinstance(child, nn.ParameterDict) for child in module._modules.values()) and not keras_names.layers_in(
        module
    ):
        return []
    values = [(name, variable.value) for name, variable in keras_names.own_variables(module)]
    return [(n, value) for n, value in values if isinstance(value, nn.Parameter) and value.is_floating_point()]
