"""Module outputs inside graphs made by `torch.compile`, recorded by an operator of ours.

While a graph is traced, the forward hook inserts this operator after each output, and the operator registers a hook on
the output that calls it for the gradient. It is declared to have an effect, so that the compiler neither drops nor
reorders it.
"""

import dataclasses
import itertools
import sys
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch._C._dynamo import eval_frame  # pyright: ignore[reportMissingImports]
from torch._higher_order_ops.effects import _EffectType, _register_effectful_op

from tandv.track.torch._gradients import is_shared_view, on_gradient

# Warnings of torch at each call of a compiled model with a hook, and while it traces autograd.
_NOTICES = (
    (r"Using `torch.compile\(module\)` when there are global hooks on modules", UserWarning, ""),
    (r"<class 'torch.autograd.function.Function'> should not be instantiated", DeprecationWarning, r"torch\."),
    (r"The .grad attribute of a Tensor that is not a leaf Tensor is being accessed", UserWarning, r"torch\."),
)

# Kinds of what is recorded
ACTIVATION, GRADIENT = 0, 1
VIEW = 3  # an output whose gradient may bypass it, see `is_shared_view`
TRAINED = 4  # another output that a gradient is recorded of

_numbers = itertools.count(1)  # graphs contain numbers, so none is used twice
_receivers: weakref.WeakValueDictionary[int, "Receiver"] = weakref.WeakValueDictionary()


class Receiver:
    """Receives what compiled graphs record: `receive(module number, place in the output, kind, tensor)`."""

    def __init__(self, receive: Callable[[int, str, int, torch.Tensor], None]):
        self.receive = receive
        self.number = next(_numbers)
        _receivers[self.number] = self


_library = torch.library.Library("tandv", "FRAGMENT")
_library.define("record(Tensor x, int receiver, int module, str leaf, int kind, bool gradient) -> ()")


def _to_receiver(x: torch.Tensor, receiver: int, module: int, leaf: str, kind: int, gradient: bool) -> None:
    """Pass a tensor to a receiver, if it still exists."""
    found = _receivers.get(receiver)
    if found is not None:
        found.receive(module, leaf, kind, x)


def _with_gradient(x: torch.Tensor, receiver: int, module: int, leaf: str, kind: int, gradient: bool) -> None:
    """Record a tensor, and let a hook record its gradient, which does not change the tensor.

    The compiler traces this as it traces all of autograd, so the hook's call becomes part of the backward graph.
    An operator that returned the tensor, a view or a copy of it would forbid or change in-place operations on it.
    """
    record = torch.ops.tandv.record
    if gradient and x.requires_grad:
        on_gradient(x, lambda found: record(found, receiver, module, leaf, GRADIENT, False))
        kind = VIEW if is_shared_view(x) else TRAINED
    with torch._C._AutoDispatchBelowAutograd():
        record(x, receiver, module, leaf, kind, False)


_library.impl("record", _to_receiver, "CompositeExplicitAutograd")
_library.impl("record", _with_gradient, "Autograd")
_library.impl("record", lambda *_: None, "Meta")
_register_effectful_op("tandv::record", _EffectType.ORDERED)


def mark(output: Any, receiver: int, module: int, gradients: bool, leaf: str = "", kind: int = ACTIVATION) -> None:
    """Insert the operator for every float tensor in a module's output; called while a graph is traced."""
    if isinstance(output, torch.Tensor):
        if output.is_floating_point():
            torch.ops.tandv.record(output, receiver, module, leaf, kind, gradients)
    elif isinstance(output, tuple | list):
        for i, value in enumerate(output):
            mark(value, receiver, module, gradients, f"{leaf}[{i}]", kind)
    elif isinstance(output, dict):  # those of transformers are dataclasses, too
        for key in output:
            mark(output[key], receiver, module, gradients, f"{leaf}[{key}]", kind)
    elif dataclasses.is_dataclass(output):
        for field in dataclasses.fields(output):
            mark(getattr(output, field.name), receiver, module, gradients, f"{leaf}[{field.name}]", kind)


def not_compiled_alone(function: Callable[..., Any]) -> None:
    """Keep a hook from being compiled as a frame of its own, where torch calls it between two graphs.

    There it must run in eager mode, since a gradient hook registered in a graph that returns nothing is lost. Where a
    module is traced with its hooks, they still become part of the graph.
    """
    skip = eval_frame._FrameAction.SKIP
    eval_frame.set_code_exec_strategy(function.__code__, eval_frame._FrameExecStrategy(skip, skip))


def forget_graphs() -> None:
    """Discard compiled graphs, so that they are compiled again with the operator; free where there are none."""
    utils = sys.modules.get("torch._dynamo.utils")
    if utils is not None and utils.counters["stats"]["unique_graphs"]:
        torch.compiler.reset()


class Quiet:
    """Filters torch's warnings about its own hooks and tracing."""

    def __init__(self) -> None:
        self._filters: list[Any] = []

    def begin(self) -> None:
        before = list(warnings.filters)
        for message, category, module in _NOTICES:
            warnings.filterwarnings("ignore", message, category, module)
        self._filters = [one for one in warnings.filters if one not in before]

    def end(self) -> None:
        for one in self._filters:
            if one in warnings.filters:
                warnings.filters.remove(one)  # type: ignore[attr-defined]
        self._filters = []
