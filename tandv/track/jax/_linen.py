"""Modules of flax.linen, whose calls its own interceptors observe."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from tandv.track.jax._naming import Frame
from tandv.track.jax._tag import naming


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Pass every call of a linen module to the namer of this thread; free where linen is not imported."""
    linen = sys.modules.get("flax.linen")
    if linen is None:
        yield
        return
    with linen.intercept_methods(_intercept):
        yield


def _intercept(method: Any, args: Any, kwargs: Any, context: Any) -> Any:
    module, namer = context.module, naming.namer
    marked = context.method_name == "__call__"
    if namer is None or module.scope is None or module.is_initializing():
        return method(*args, **kwargs)
    if not marked and (namer.frames or not context.method_name.isidentifier()):  # a lambda is flax's own
        return method(*args, **kwargs)
    inner = namer.frame
    if inner is not None and _path(inner) == module.path and type(inner.module) is type(module):
        return method(*args, **kwargs)  # its own __call__, transformed
    # Where a module was given to another one, its name is that below the module that made it.
    outer = next((frame for frame in reversed(namer.frames) if _is_below(module.path, _path(frame))), None)
    path = tuple(map(str, module.path[len(_path(outer) or ()) :]))
    parameters = module.variables.get("params", {})
    return namer.call(module, path, parameters, lambda: method(*args, **kwargs), marked, outer)


def _path(frame: Frame | None) -> tuple[Any, ...] | None:
    return getattr(frame.module, "path", None) if frame is not None else None


def _is_below(path: tuple[Any, ...], above: tuple[Any, ...] | None) -> bool:
    return above is not None and path[: len(above)] == above
