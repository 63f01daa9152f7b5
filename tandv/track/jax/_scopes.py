"""Scopes by which each operation of a traced program tells the module that it is in."""

import re
from collections.abc import Callable
from typing import Any

import jax

from tandv.track.jax._naming import Frame, Namer

_EMPTY = "()"  # the path of the model itself
_SCOPE = re.compile(r"tandv<([^<>]*)>")


def path_in(name_stack: Any) -> str | None:
    """Return the dotted path of the innermost module in the scope of an operation, "" for the model itself.

    Where layers are scanned over, "*3" stands for the number of one of 3.

    >>> path_in("vmap(tandv<layers.0>)/tandv<layers.0.attention>/exp")
    'layers.0.attention'

    Args:
        name_stack: `equation.source_info.name_stack`.
    """
    found = _SCOPE.findall(str(name_stack))
    return None if not found else "" if found[-1] == _EMPTY else found[-1]


class ScopedNamer(Namer):
    """Also gives operations a scope with the path of their module, and keeps the shapes of parameters."""

    def __init__(self, *given: Any, **named: Any):
        super().__init__(*given, **named)
        self.shapes: set[tuple[int, ...]] = set()

    def call(
        self,
        module: Any,
        path: tuple[str, ...],
        parameters: Any,
        run: Callable[[], Any],
        marked: bool = True,
        outer: Frame | None = None,
    ) -> Any:
        def scoped() -> Any:
            if self.frame is not None:
                self.shapes.update(self.frame.shapes.values())
            with jax.named_scope(f"tandv<{_scope(self.frame)}>"):
                return run()

        return super().call(module, path, parameters, scoped, marked, outer)


def _scope(frame: Frame | None) -> str:
    if frame is None:
        return _EMPTY
    lengths = iter(frame.layers)
    return ".".join(f"*{next(lengths, 0)}" if part is None else part for part in frame.path) or _EMPTY
