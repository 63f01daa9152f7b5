"""Modules of haiku, whose calls its own interceptors observe."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from tandv.names import of_tree
from tandv.track.jax._tag import naming


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
    whole = _path(module)
    outer = next((f for f in reversed(namer.frames) if _is_below(whole, _path(f.module))), None)
    path = whole[len(_path(outer.module)) if outer is not None else 0 :]
    return namer.call(module, path, {}, lambda: call(*args, **kwargs), outer=outer)


def _path(module: Any) -> tuple[str, ...]:
    """Return the keys of a module's parameters: haiku writes `mlp/~/linear_0`."""
    return of_tree((getattr(module, "module_name", ""),))


def _is_below(path: tuple[str, ...], above: tuple[str, ...]) -> bool:
    return above != ("",) and path[: len(above)] == above
