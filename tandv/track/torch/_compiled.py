"""Module outputs inside graphs made by `torch.compile`: an operator that records, and is left alone otherwise.

While a graph is traced, the forward hook puts this operator behind each output; its autograd formula puts
it before each gradient. It is declared to have an effect, so that the compiler neither drops nor reorders it.
"""

import dataclasses
import sys
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch._higher_order_ops.effects import _EffectType, _register_effectful_op

# What torch says of itself at each call of a compiled model with a hook, and while it traces an autograd function.
_NOTICES = (
    (r"Using `torch.compile\(module\)` when there are global hooks on modules", UserWarning, ""),
    (r"<class 'torch.autograd.function.Function'> should not be instantiated", DeprecationWarning, r"torch\."),
    (r"The .grad attribute of a Tensor that is not a leaf Tensor is being accessed", UserWarning, r"torch\."),
)

_receivers: weakref.WeakValueDictionary[int, "Receiver"] = weakref.WeakValueDictionary()


class Receiver:
    """Receives what compiled graphs record: `receive(module number, place in the output, kind, tensor)`."""

    def __init__(self, receive: Callable[[int, str, int, torch.Tensor], None]):
        self.receive = receive
        self.number = max(_receivers, default=0) + 1
        _receivers[self.number] = self


@torch.library.custom_op("tandv::record", mutates_args=())
def record(x: torch.Tensor, receiver: int, module: int, leaf: str, kind: int) -> None:
    """Hand a tensor to a receiver; nothing happens where that has gone."""
    found = _receivers.get(receiver)
    if found is not None:
        found.receive(module, leaf, kind, x)


@record.register_fake
def _(x: torch.Tensor, receiver: int, module: int, leaf: str, kind: int) -> None:
    return None


_register_effectful_op("tandv::record", _EffectType.ORDERED)


class _Mark(torch.autograd.Function):
    """The identity, which records its input on the way forward and its gradient on the way back."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, receiver: int, module: int, leaf: str) -> torch.Tensor:
        ctx.place = receiver, module, leaf
        torch.ops.tandv.record(x, receiver, module, leaf, 0)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        torch.ops.tandv.record(gradient, *ctx.place, 1)
        return gradient, None, None, None


def marked(output: Any, receiver: int, module: int, gradients: bool, leaf: str = "") -> Any:
    """Return a module's output with every float tensor in it recorded; called while a graph is traced."""
    if isinstance(output, torch.Tensor):
        if not output.is_floating_point():
            return output
        if gradients and output.requires_grad:
            return _Mark.apply(output, receiver, module, leaf)
        torch.ops.tandv.record(output, receiver, module, leaf, 0)
        return output
    if type(output) in (tuple, list):
        items = [marked(x, receiver, module, gradients, f"{leaf}[{i}]") for i, x in enumerate(output)]
        return type(output)(items)
    if isinstance(output, tuple):  # a named one
        items = [marked(x, receiver, module, gradients, f"{leaf}[{i}]") for i, x in enumerate(output)]
        return type(output)(*items)
    if isinstance(output, dict):  # those of transformers are dataclasses, too
        for key in list(output):
            output[key] = marked(output[key], receiver, module, gradients, f"{leaf}[{key}]")
    elif dataclasses.is_dataclass(output):
        for field in dataclasses.fields(output):
            value = getattr(output, field.name)
            setattr(output, field.name, marked(value, receiver, module, gradients, f"{leaf}[{field.name}]"))
    return output


def forget_graphs() -> None:
    """Let what was compiled before be compiled anew, now with the operator in it; free where nothing was."""
    utils = sys.modules.get("torch._dynamo.utils")
    if utils is not None and utils.counters["stats"]["unique_graphs"]:
        torch.compiler.reset()


class Quiet:
    """Keeps torch from warning of what it does itself."""

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
