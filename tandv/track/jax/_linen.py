"""Modules of flax.linen, whose calls flax itself lets others see."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from tandv.track.jax._tag import naming


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Let the namer of this thread see every linen module that is called; free where linen is not in use."""
    linen = sys.modules.get("flax.linen")
    if linen is None:
        yield
        return
    with linen.intercept_methods(_intercept):
        yield


def _intercept(method: Any, args: Any, kwargs: Any, context: Any) -> Any:
    module, namer = context.module, naming.namer
    outer = namer.frame if namer is not None else None
    marked = context.method_name == "__call__"
    if namer is None or module.scope is None or module.is_initializing() or not (marked or outer is None):
        return method(*args, **kwargs)
    above = len(outer.module.path) if outer is not None and hasattr(outer.module, "path") else 0
    path = tuple(map(str, module.path[above:]))
    if outer is not None and not path and type(outer.module) is type(module):  # its own __call__, transformed
        return method(*args, **kwargs)
    parameters = module.variables.get("params", {})
    return namer.call(module, path, parameters, lambda: method(*args, **kwargs), marked)
