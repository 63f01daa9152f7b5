"""The loss scale of each backward pass: one may be scaled and the next one not.

A scaled loss is marked in the metadata of the autograd node that made it. When a pass begins, the marks above its
roots are searched: all have one scale, none, or there is a mixture, which gradients cannot be attributed to.
"""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from tandv.track.torch._modes import in_backward
from tandv.track.torch._patching import Observed

_MARK = "tandv.scale"
_NODES_AT_MOST = 200  # between the root of a pass and a scaled loss: dividing it, adding several


class PassScale(NamedTuple):
    """What a loss was multiplied by; scales are compared by identity."""

    value: torch.Tensor | None = None  # None: by nothing
    known: bool = True


UNSCALED, MIXED = PassScale(), PassScale(known=False)
# Of the running passes by thread; activation checkpointing nests them. Each change replaces a tuple: others read them.
_running: dict[int, tuple[PassScale, ...]] = {}


def mark(losses: Any, scale: PassScale) -> None:
    """Mark one or several losses as scaled."""
    for loss in losses if isinstance(losses, list | tuple) else [losses]:
        if isinstance(loss, list | tuple):
            mark(loss, scale)
        elif isinstance(loss, torch.Tensor) and loss.grad_fn is not None:
            _notes(loss.grad_fn)[_MARK] = scale


def scale_of(roots: Sequence[Any]) -> PassScale:
    """Return the scale of a backward pass from some tensors or `GradientEdge`s.

    >>> loss = torch.ones(1, requires_grad=True) * 2
    >>> mark(loss, twice := PassScale(torch.tensor(2.0)))
    >>> scale_of([loss / 4]) is twice, scale_of([loss, loss + torch.ones(1, requires_grad=True)]) is MIXED
    (True, True)
    """
    waiting = [root.grad_fn if isinstance(root, torch.Tensor) else root.node for root in roots]
    met = {id(node): node for node in waiting}  # referenced, so that no id is used again
    found: dict[int, PassScale] = {}
    while waiting and len(found) < 2 and len(met) < _NODES_AT_MOST:
        node = waiting.pop()
        scale = _notes(node).get(_MARK) if node is not None else UNSCALED
        above = [] if node is None or scale is not None else [one for one, _ in node.next_functions if one is not None]
        if scale is None and not above:
            scale = UNSCALED  # a leaf, with no scaled loss above it
        if scale is not None:
            found[id(scale)] = scale
        new = {id(one): one for one in above if id(one) not in met}
        met |= new
        waiting += new.values()
    if waiting and len(found) < 2:
        found[id(UNSCALED)] = UNSCALED  # no scaled loss within the limit
    return next(iter(found.values()), UNSCALED) if len(found) < 2 else MIXED


def _notes(node: Any) -> dict[Any, Any]:
    return node.metadata  # which torch says is a method


def running() -> PassScale | None:
    """Return the scale of the pass that is running in this thread; None without one.

    A thread of autograd's own has that of the pass that is running anywhere, and an unknown one where several threads
    run passes of different scales.
    """
    mine = _running.get(threading.get_ident())
    return mine[-1] if mine else _common()


def _common() -> PassScale | None:
    """Return the scale that the running passes of all threads have; None without one."""
    scales = [of_thread[-1] for of_thread in list(_running.values())]
    return None if not scales else scales[0] if all(one is scales[0] for one in scales) else MIXED


class Passes(Observed):
    """Calls listeners when a backward pass begins and ends, as `listener(None, (), scale until then)`.

    Gradients computed since the last call have that scale.
    """

    def _told(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def tell(scale: PassScale) -> None:
            for listener in list(self._listeners):
                listener(None, (), scale)

        @functools.wraps(original)
        def told(roots: Any, *arguments: Any, **keywords: Any) -> Any:
            thread = threading.get_ident()
            tell(_common() or UNSCALED)
            scale = scale_of(roots)
            if scale is UNSCALED and in_backward():  # a part of the outer pass, computed by itself
                scale = running() or UNSCALED
            around = _running.get(thread)
            _running[thread] = (*(around or ()), scale)
            try:
                return original(roots, *arguments, **keywords)
            finally:
                tell(_common() or UNSCALED)
                if around is None:
                    del _running[thread]
                else:
                    _running[thread] = around

        return told


passes = Passes("_engine_run_backward")
