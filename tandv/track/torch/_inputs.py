"""Module inputs (`track(inputs=True)`), recorded by global hooks before and after each module.

Positional arguments are measured before the module runs, which may change them in place. Keyword arguments, and
arguments of a module with pre-hooks of its own, are measured afterwards; of these the tensors that the module returned
itself, such as one that works in place, are left out.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore[reportMissingImports]
from torch.nn.modules import module as module_hooks
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from tandv.track.torch._compiled import not_compiled_alone
from tandv.track.torch._modes import exporting, in_backward, own_operations
from tandv.track.torch._shards import local, part_of
from tandv.track.torch.names import Named
from tandv.track.torch.outputs import tensors_in
from tandv.track.torch.values import measurable

INPUT = -1  # its place among the tensor types, before activations


class Inputs:
    """Records module inputs; the modules, and the tensors of the step, are those of the output capture."""

    def __init__(self, outputs: Any):
        self._outputs = outputs
        self._hooks: list[Any] = []

    def attach(self) -> None:
        for hook in (Inputs._before, Inputs._after):
            not_compiled_alone(hook)
        self._hooks = [
            register_module_forward_pre_hook(self._before),
            register_module_forward_hook(self._after, with_kwargs=True),
        ]

    def detach(self) -> None:
        for hook in self._hooks:
            hook.remove()
            module_hooks._global_forward_hooks_with_kwargs.pop(hook.id, None)  # torch does not remove it
        self._hooks = []

    def _before(self, module: nn.Module, given: Any) -> None:
        if given and not module._forward_pre_hooks:
            self._note(module, given[0] if len(given) == 1 else given, None)

    def _after(self, module: nn.Module, given: Any, by_name: dict[str, Any], output: Any) -> None:
        if given and module._forward_pre_hooks:
            self._note(module, given[0] if len(given) == 1 else given, output)
        if by_name:
            self._note(module, by_name, output)

    def _note(self, module: nn.Module, given: Any, output: Any) -> None:
        """Record the inputs of a module; `output` is what it returned, None before it has."""
        if not self._outputs.is_wanted:
            return
        if torch.compiler.is_compiling():
            if given is not output:
                self._outputs.mark(module, given, True, INPUT)
            return
        if exporting() or in_backward():  # a forward pass that is recomputed in the backward pass was counted before
            return
        tracker = self._outputs.tracker
        try:
            named = self._outputs.known(module)
            if named is not None:
                with own_operations():
                    for name, tensor in _unchanged(given, output, named.name):
                        self._record(named, name, tensor)
        except Exception as error:
            tracker.fail(f"at an input of a {type(module).__name__}", error)

    def _record(self, named: Named, name: str, tensor: torch.Tensor) -> None:
        """Measure a tensor, or let an earlier measurement of it in this step count for the input as well."""
        if is_functorch_wrapped_tensor(tensor) or not tensor.is_floating_point():  # token ids and masks need no warning
            return
        mine = local(tensor)[0]
        values = measurable(mine) if mine is not None else None
        if values is None:
            self._outputs.leave_out(name, tensor)
            return
        measurements, met = self._outputs.tracker.measurements, self._outputs.met
        quantity, before = self._outputs.quantity_of(named, name, INPUT, part_of(tensor)), met.find(tensor)
        if before is None:
            met.keep(tensor, measurements.add([values], [quantity])[0])
        elif not (before.handle and measurements.share(before.handle, quantity)):
            measurements.add([values], [quantity])


def _unchanged(given: Any, output: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (name, tensor) of inputs that the module did not return itself."""
    returned = [tensor for _, tensor in tensors_in(output, "")]
    for place, tensor in tensors_in(given, name):
        if not any(tensor is one for one in returned):
            yield place, tensor
