"""Modules of haiku, whose calls its own interceptors observe."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from tandv.names import of_tree
from tandv.track.jax._models import shapes_of
from tandv.track.jax._naming import Frame, trace_now
from tandv.track.jax._tag import naming

_LIFTING = "LiftingModule"  # of haiku: what `hk.lift` and `hk.experimental.layer_stack` make


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Pass every call of a haiku module to the namer of this thread; free where haiku is not imported."""
    haiku = sys.modules.get("haiku")
    if haiku is None or not hasattr(haiku, "intercept_methods"):
        yield
        return
    with haiku.intercept_methods(_intercept):
        yield


def _intercept(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    module, namer = context.module, naming.namer
    if namer is None or context.method_name != "__call__" or sys.modules["haiku"].running_init():
        return call(*args, **kwargs)
    whole, parameters = _path(module), _parameters(module)
    shapes = shapes_of(parameters)
    outer = next((f for f in reversed(namer.frames) if _is_below(whole, _path(f.module))), None)
    path = whole[len(_path(outer.module)) if outer is not None else 0 :]
    if type(module).__name__ == _LIFTING:  # it returns parameters, which a function of its own takes later
        above, layers = (outer.path, outer.layers) if outer is not None else ((), ())
        namer.lifted.append(Frame((*above, *path), layers, _LIFTING, module, shapes, trace_now()))
        return call(*args, **kwargs)
    outer = outer or next((f for f in reversed(namer.lifted) if _is_layer_of(f, whole, shapes)), None)
    return namer.call(module, path, parameters, lambda: call(*args, **kwargs), outer=outer)


def _is_layer_of(stack: Frame, path: tuple[str, ...], shapes: dict[Any, tuple[int, ...]]) -> bool:
    """Tell whether a module has slices of the parameters of a `layer_stack`, in the loop over its layers."""
    wholes = [(stack.shapes.get((*path, *own)), shape) for own, shape in shapes.items()]
    return bool(wholes) and stack.trace != trace_now() and all(whole and whole[1:] == shape for whole, shape in wholes)


def _parameters(module: Any) -> dict[str, Any]:
    """Return the tree of a module's parameters, by their keys below it."""
    path, found, arrays = _path(module), {}, {}
    with contextlib.suppress(Exception):  # such as where haiku has no parameters now
        arrays = module.params_dict()
    for name, array in arrays.items():
        keys = of_tree((name,))
        if keys[: len(path)] == path:
            place = found
            for key in keys[len(path) : -1]:
                place = place.setdefault(key, {})
            place[keys[-1]] = array
    return found


def _path(module: Any) -> tuple[str, ...]:
    """Return the keys of a module's parameters: haiku writes `mlp/~/linear_0`."""
    return of_tree((getattr(module, "module_name", ""),))


def _is_below(path: tuple[str, ...], above: tuple[str, ...]) -> bool:
    return above != ("",) and path[: len(above)] == above
