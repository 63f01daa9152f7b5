"""Hooks on the steps of all optimisers, put and removed while none of ours runs.

torch iterates over its dict of such hooks while it calls them, and raises "OrderedDict mutated during iteration" in the
thread that trains, where a tracker begins or ends in another one meanwhile, or ends within a hook, as where it fails.
"""

import functools
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

_P = ParamSpec("_P")
_T = TypeVar("_T")
_AT_MOST = 1.0  # seconds, so that threads that wait for each other go on

_inside: Counter[int] = Counter()  # hooks that run now, by thread
_later: list[Any] = []  # handles that were to be removed within a hook


def counted(hook: Callable[_P, _T]) -> Callable[_P, _T]:
    """Have `put` and `removed` wait for a hook that runs in another thread."""

    @functools.wraps(hook)
    def inside(*arguments: _P.args, **keywords: _P.kwargs) -> _T:
        thread = threading.get_ident()
        _inside[thread] += 1
        try:
            return hook(*arguments, **keywords)
        finally:
            _inside[thread] -= 1
            if not _inside[thread]:
                del _inside[thread]

    return inside


def put(before: Callable[..., None], after: Callable[..., None]) -> list[Any]:
    """Put hooks before and after the steps of all optimisers, and return their handles.

    Args:
        before: is called with the optimiser, and the arguments of its step.
        after: likewise.
    """
    remove_rest()
    _wait()
    return [register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)]


def removed(hooks: list[Any]) -> None:
    """Remove hooks; within one of ours only when `remove_rest` is called.

    Args:
        hooks: their handles.
    """
    _later.extend(hooks)
    remove_rest()


def remove_rest() -> None:
    """Remove the hooks that were to be removed within a hook, unless one runs in this thread."""
    if not _later or threading.get_ident() in _inside:
        return
    _wait()
    while _later:
        _later.pop().remove()


def _wait() -> None:
    """Wait until no other thread is inside of a hook."""
    mine, until = threading.get_ident(), time.monotonic() + _AT_MOST
    while any(thread != mine for thread in list(_inside)) and time.monotonic() < until:
        time.sleep(0.0002)
