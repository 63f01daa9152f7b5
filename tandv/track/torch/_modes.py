"""The tracker's own operations run outside of the user's modes.

A dispatch mode (a count of operations, fake tensors, a graph being traced), a function mode (`set_default_device` is
one) and a level of `torch.func` would see them, change them, or put them into a graph.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import torch
from torch._C import _get_tracing_state, _len_torch_dispatch_stack, _len_torch_function_stack
from torch._C._functorch import peek_interpreter_stack  # pyright: ignore[reportMissingImports]
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.overrides import _get_current_function_mode_stack, _pop_mode, _push_mode
from torch.utils._python_dispatch import _disable_current_modes

_P = ParamSpec("_P")
_T = TypeVar("_T")
_no_mode = contextlib.nullcontext()


def own_operations() -> contextlib.AbstractContextManager[None]:
    """Return a context for the tracker's own operations; it is nearly free where no mode is active."""
    if _len_torch_dispatch_stack() or _len_torch_function_stack() or peek_interpreter_stack() is not None:
        return _apart()
    return _no_mode


def alone(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Run a method as an operation of the tracker's own."""

    @functools.wraps(method)
    def alone(*arguments: _P.args, **keywords: _P.kwargs) -> _T:
        with own_operations():
            return method(*arguments, **keywords)

    return alone


def exporting() -> bool:
    """Tell whether a program is being exported (`torch.jit.trace`, `torch.export`), which outlives the tracker."""
    return _get_tracing_state() is not None or torch.compiler.is_exporting()


def in_backward() -> bool:
    """Tell whether a backward pass is being run in this thread."""
    return torch._C._current_graph_task_id() != -1


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        if _len_torch_function_stack():
            stack.enter_context(torch._C.DisableTorchFunction())
        if _len_torch_dispatch_stack():
            stack.enter_context(_disable_current_modes())
        if peek_interpreter_stack() is not None:
            stack.enter_context(temporarily_clear_interpreter_stack())
        yield


def put_mode(mode: Any) -> None:
    """Put a function mode below those of the user: `with` leaves its mode by taking away whichever is the topmost."""
    above = [_pop_mode() for _ in range(_len_torch_function_stack())]
    default = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    if above and above[-1] is default:
        _push_mode(above.pop())  # of `set_default_device`, which expects its own at the bottom
    for one in (mode, *reversed(above)):
        _push_mode(one)


def remove_mode(mode: Any) -> None:
    """Take a function mode away, also from below others that were not left in order."""
    if mode not in _get_current_function_mode_stack():
        return
    above = []
    while (top := _pop_mode()) is not mode:
        above.append(top)
    for one in reversed(above):
        _push_mode(one)


class Home:
    """The thread in which a function mode stays on between forward passes, too: a thread has modes of its own.

    Args:
        mode: the mode.
    """

    def __init__(self, mode: Any):
        self._mode = mode
        self.thread: int | None = None
        self._has_it = False

    @property
    def is_empty(self) -> bool:
        """Tell whether there is such a thread, and the mode has never been on there."""
        return self.thread is not None and not self._has_it

    @property
    def is_here(self) -> bool:
        """Tell whether this is the thread."""
        return self.thread == threading.get_ident()

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether another thread is, and is alive."""
        return not self.is_here and any(one.ident == self.thread for one in threading.enumerate())

    def choose(self) -> None:
        """Choose this thread, if none has been chosen."""
        self.thread = threading.get_ident() if self.thread is None else self.thread

    def keeps(self) -> bool:
        """Tell whether the mode, which is on in this thread, stays on there."""
        self._has_it = self._has_it or self.is_here
        return self.is_here

    def renew(self, on: bool) -> None:
        """Put the mode below those of this thread again, or take it away."""
        remove_mode(self._mode)
        if on:
            put_mode(self._mode)
            self._has_it = True
