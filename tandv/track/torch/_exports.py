"""`torch.export` and `torch.jit.script`: the tracker's hooks are off while they run, since a program outlives it.

With a global hook, even one that does nothing, `torch.export.export(strict=True)` fails. `torch.jit.script` compiles
the hooks of modules, all of which must be functions.
"""

import contextlib
import functools
import sys
from collections.abc import Callable
from typing import Any

from tandv.track.torch._patching import Observed


class _Enclosed(Observed):
    """Replaces a function by one that runs inside of the listeners' contexts."""

    def _told(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def enclosed(*arguments: Any, **keywords: Any) -> Any:
            contexts: list[Any] = list(self._listeners)
            with contextlib.ExitStack() as stack:
                for off in contexts:
                    stack.enter_context(off())
                return original(*arguments, **keywords)

        return enclosed


_PLACES = {
    "torch.export": ("export", "draft_export"),
    "torch.export._trace": ("_export",),
    "torch.jit._recursive": ("create_script_module",),  # which torch.jit.script calls
}
_enclosed = {place: [_Enclosed(name) for name in names] for place, names in _PLACES.items()}


def join(off: Any) -> None:
    """Run all exports inside of a context, which removes a tracker's hooks for that time."""
    for place, functions in _enclosed.items():
        module: Any = sys.modules.get(place)
        if module is not None:  # what is imported later calls torch.export's
            for function in functions:
                function.join(module, off)


def leave(off: Any) -> None:
    """Undo `join`."""
    for functions in _enclosed.values():
        for function in functions:
            function.leave(off)
