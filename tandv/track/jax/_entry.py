"""The one place through which JAX runs every jitted program outside of other programs, private to JAX.

`jax._src.pjit._pjit_call_impl_python` has the same arguments and results from jax 0.7.2 to 0.10.2: jitted functions,
those within an un-jitted `grad` or `vmap`, and loops and branches outside of `jit` all pass it. While a tracker is on
it is replaced by one that hands programs with marks to what this thread has put in `current`. `available` tells
whether this works; where it does not nothing is replaced, and what is jitted runs as if nobody tracked.
"""

import functools
import threading
from collections.abc import Callable
from typing import Any

import jax
from jax._src import ad_checkpoint, pjit

_NAME = "_pjit_call_impl_python"


class _Current(threading.local):
    enter: Callable[..., Any] | None = None  # is given every jitted program, as (original, args, jaxpr, parameters)
    again = False  # in what a backward pass computes for a second time


current = _Current()
_users = 0
_originals: tuple[Any, Any] = (None, None)


def install() -> None:
    """Let programs of threads that ask for it be handed to them, until `remove` has been called as often."""
    global _users, _originals
    _users += 1
    if _users == 1:
        _originals = getattr(pjit, _NAME), ad_checkpoint.remat_p.impl
        setattr(pjit, _NAME, _run)
        ad_checkpoint.remat_p.def_impl(_run_checkpointed)


def remove() -> None:
    """Undo one `install`."""
    global _users
    _users -= 1
    if _users == 0:
        setattr(pjit, _NAME, _originals[0])
        ad_checkpoint.remat_p.def_impl(_originals[1])


@functools.cache
def available() -> bool:
    """Tell whether jitted programs pass the entry here, with results that can be replaced; by trying it."""
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
        function = jax.jit(lambda x: x + 1)
        answers = [int(function(1)), int(function(2))]  # with a result of its own JAX would not ask again
        return answers == [2, 3] and seen == [True, True]
    except Exception:  # whatever has changed in JAX, what is jitted is left alone then
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
    return found, None, None, []  # no executable: JAX keeps no shortcut past this place and asks again


class AsItIs:
    """The original's whole answer, with which JAX may keep a shortcut past the entry."""

    def __init__(self, answer: Any):
        self.answer = answer


def _run_checkpointed(*args: Any, **parameters: Any) -> Any:
    before, current.again = current.again, current.again or bool(parameters.get("differentiated"))
    try:
        return _originals[1](*args, **parameters)
    finally:
        current.again = before
