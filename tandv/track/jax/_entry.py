"""The private function of JAX that runs every jitted program outside of other programs.

`jax._src.pjit._pjit_call_impl_python` has the same arguments and results from jax 0.7.2 to 0.12.0: jitted functions,
those within an un-jitted `grad` or `vmap`, and loops and branches outside of `jit` all call it. While a tracker is on
it is replaced by one that passes programs to the function in `current` of the thread. `available` tells whether this
works; where it does not, nothing is replaced, and jitted programs run untracked.
"""

import functools
import threading
from collections.abc import Callable
from typing import Any

import jax
from jax._src import ad_checkpoint, pjit

_NAME = "_pjit_call_impl_python"


class _Current(threading.local):
    enter: Callable[..., Any] | None = None  # called with every jitted program, as (original, args, jaxpr, parameters)
    again = False  # in what a backward pass recomputes


current = _Current()
_replacing = threading.Lock()  # trackers may start and end in several threads
_users = 0
_originals: tuple[Any, Any] = (None, None)


def install() -> None:
    """Replace the function, until `remove` has been called as often."""
    global _users, _originals
    with _replacing:
        _users += 1
        if _users == 1:
            _originals = getattr(pjit, _NAME), ad_checkpoint.remat_p.impl
            setattr(pjit, _NAME, _run)
            ad_checkpoint.remat_p.def_impl(_run_checkpointed)


def remove() -> None:
    """Undo one `install`."""
    global _users
    with _replacing:
        _users -= 1
        if _users == 0:
            setattr(pjit, _NAME, _originals[0])
            ad_checkpoint.remat_p.def_impl(_originals[1])


@functools.cache
def available() -> bool:
    """Tell whether jitted programs call the function, and its results can be replaced, by trying it.

    The answer is cached, so it must not depend on what the user does at the first call: jit turned off, transfers
    forbidden, or a trace.
    """
    if not callable(getattr(pjit, _NAME, None)) or not hasattr(getattr(ad_checkpoint, "remat_p", None), "impl"):
        return False
    seen = []

    def enter(original: Any, args: Any, jaxpr: Any, parameters: dict[str, Any]) -> Any:
        needed = ("donated_invars", "in_shardings", "out_shardings", "name")
        seen.append(all(key in parameters for key in needed))
        return original(*args, jaxpr=jaxpr, **parameters)[0]

    before = current.enter
    install()
    current.enter = enter
    try:
        with jax.disable_jit(False), jax.transfer_guard("allow"), jax.ensure_compile_time_eval():
            function = jax.jit(lambda x: x + 1)
            answers = [int(function(1)), int(function(2))]  # if JAX cached a fast path it would not call again
        return answers == [2, 3] and seen == [True, True]
    except Exception:  # another version of JAX: jitted programs then run untracked
        return False
    finally:
        current.enter = before
        remove()


def _run(*args: Any, jaxpr: Any, **parameters: Any) -> Any:
    original = _originals[0]
    if current.enter is None:
        return original(*args, jaxpr=jaxpr, **parameters)
    found = current.enter(original, args, jaxpr, parameters)
    if isinstance(found, AsItIs):
        return found.answer
    return found, None, None, []  # without an executable JAX caches no fast path, and calls again


class AsItIs:
    """All results of the original, with which JAX may cache a fast path."""

    def __init__(self, answer: Any):
        self.answer = answer


def _run_checkpointed(*args: Any, **parameters: Any) -> Any:
    before, current.again = current.again, current.again or bool(parameters.get("differentiated"))
    try:
        return _originals[1](*args, **parameters)
    finally:
        current.again = before
