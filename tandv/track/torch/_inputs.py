"""Module inputs, seen by global hooks before and after each module, where `track(inputs=True)` asks for them.

What is given by place is measured before the module runs, which may change it in place. Arguments given by name, and
those that hooks of the module itself may replace, are only seen afterwards: what the module returned itself, as one
that works in place does, is left out then.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from tandv.track.torch._compiled import not_compiled_alone
from tandv.track.torch.outputs import tensors_in

INPUT = -1  # its place among the tensor types, before activations

Note = Callable[[nn.Module, Any, Any], None]  # a module, what it is given, and what it has returned, if it has


class InputHooks:
    """Hands what every module is given to a capture; a single argument by place as it is, others as tuple or dict."""

    def __init__(self, note: Note):
        self._note = note
        self._hooks: list[Any] = []

    def attach(self) -> None:
        for hook in (InputHooks._before, InputHooks._after):
            not_compiled_alone(hook)
        self._hooks = [
            register_module_forward_pre_hook(self._before),
            register_module_forward_hook(self._after, with_kwargs=True),
        ]

    def detach(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _before(self, module: nn.Module, given: Any) -> None:
        if given and not module._forward_pre_hooks:
            self._note(module, given[0] if len(given) == 1 else given, None)

    def _after(self, module: nn.Module, given: Any, by_name: dict[str, Any], output: Any) -> None:
        if given and module._forward_pre_hooks:
            self._note(module, given[0] if len(given) == 1 else given, output)
        if by_name:
            self._note(module, by_name, output)


def unchanged(given: Any, output: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (name, tensor) of what a module was given and did not return itself."""
    returned = [tensor for _, tensor in tensors_in(output, "")]
    for place, tensor in tensors_in(given, name):
        if not any(tensor is one for one in returned):
            yield place, tensor
