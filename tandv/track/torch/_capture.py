"""Module outputs and their gradients, recorded by one global forward hook and by hooks on the outputs themselves.

No hook is registered on the model: torch's global forward hook runs for every module, and ours are found by identity.
Gradients are taken at the output tensor, since module backward hooks break in-place modules.
"""

import contextlib
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch._C._functorch import (  # pyright: ignore[reportMissingImports]
    is_functorch_wrapped_tensor,
    peek_interpreter_stack,
)
from torch.nn.modules.module import register_module_forward_hook

from tandv import tensor_types
from tandv.track.common.measurements import Quantity, in_phase
from tandv.track.torch import _exports
from tandv.track.torch._compiled import VIEW, Quiet, Receiver, forget_graphs, mark, not_compiled_alone
from tandv.track.torch._coverage import Part
from tandv.track.torch._gradients import on_gradient
from tandv.track.torch._inputs import INPUT, Inputs, in_backward
from tandv.track.torch._met import MetTensors
from tandv.track.torch._modes import exporting, own_operations
from tandv.track.torch._own_hooks import Last, LastHooks
from tandv.track.torch._shards import Sums, is_spread, local, part_of
from tandv.track.torch._tree import Tree
from tandv.track.torch.names import Named, unwrap
from tandv.track.torch.outputs import tensors_in
from tandv.track.torch.values import measurable, why_not

ACTIVATION, GRADIENT = 0, 1  # positions among the tensor types
_TENSOR_TYPES = {INPUT: tensor_types.INPUT, ACTIVATION: tensor_types.ACTIVATION, GRADIENT: tensor_types.GRADIENT}


class OutputCapture:
    """Records the outputs of a model's modules and the gradients with respect to them."""

    def __init__(
        self,
        tracker: Any,
        model: nn.Module,
        tree: Tree,
        gradients: bool,
        only_training: bool,
        inputs: bool = False,
    ):
        self.tracker = tracker
        self._measurements = tracker.measurements
        self._model = unwrap(model)
        self._tree = tree
        self._gradients = gradients
        self._only_training = only_training
        self.met = MetTensors()
        self._quantities: dict[tuple[int, str, int], Quantity] = {}
        self._on_leaves: list[Any] = []
        self._ran_in: dict[tuple[int, str], set[str]] = {}  # phases of this step, by output of compiled graphs
        self._views: dict[tuple[int, str], str] = {}  # outputs in compiled graphs, still without a gradient
        self._compiled_gradients = False
        self._taken: set[int] = set()  # modules whose output was recorded before their own hooks
        self.saw_outputs = False
        self.evaluated = False  # in this step the model ran in eval mode, whose outputs are not recorded
        self.with_outputs: set[str] = set()  # names of modules whose outputs were recorded
        self._met_unknown = False  # in this step a module ran that is not known to be of the model
        self._hook: Any = None
        self._last = LastHooks(self._after_own_hooks, lambda module: tree.find(module) is not None)
        self._receiver = Receiver(self._on_compiled)
        _captures[self._receiver.number] = self
        self._quiet = Quiet()
        self._sums = Sums(self._on_sum)
        self._inputs = Inputs(self) if inputs else None

    def attach(self) -> None:
        forget_graphs()
        for hook in (OutputCapture._first, OutputCapture._after_own_hooks, OutputCapture._on_output, Last.__call__):
            not_compiled_alone(hook)
        self._quiet.begin()
        self._sums.attach()
        self._put_hooks()
        _exports.join(self._without_hooks)

    def detach(self) -> None:
        _exports.leave(self._without_hooks)
        self._quiet.end()
        self._sums.detach()
        self._take_hooks()
        self.next_step()

    def _put_hooks(self) -> None:
        if self._inputs is not None:
            self._inputs.attach()
        self._hook = register_module_forward_hook(self._first)
        self._last.attach(self._tree.modules)

    def _take_hooks(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        if self._inputs is not None:
            self._inputs.detach()
        self._last.detach()

    @contextlib.contextmanager
    def _without_hooks(self) -> Iterator[None]:
        """Remove the hooks while a program is exported, which outlives the tracker."""
        on = self._hook is not None
        self._take_hooks()
        try:
            yield
        finally:
            if on and self.tracker.is_on:
                self._put_hooks()

    @property
    def expected(self) -> bool:
        """Tell whether a training step should show outputs: a module is selected and in training."""
        return self._tree.has_modules and self._model.training

    @property
    def is_evaluated(self) -> bool:
        """Tell whether outputs are not recorded because of the mode that the model is in now."""
        return self._only_training and not self._model.training and not self.saw_outputs

    @property
    def recorded(self) -> Part:
        """Return the names of the modules, and of those whose outputs were recorded."""
        names = [named.name for named in self._tree.names]
        return Part(names, self.with_outputs.intersection(names))

    def next_step(self) -> None:
        """Forget the outputs of the step that has ended."""
        self.saw_outputs = self.evaluated = self._met_unknown = False
        self.met.clear()
        self._ran_in.clear()
        self._taken.clear()
        self._views.clear()
        self._compiled_gradients = False
        for handle in self._on_leaves:
            handle.remove()
        self._on_leaves.clear()

    def _first(self, module: nn.Module, _: Any, output: Any) -> None:
        """Receive the output of every module, before its own hooks."""
        self._on_output(module, output, False)

    def _after_own_hooks(self, module: nn.Module, _: Any, output: Any) -> None:
        """Receive the output of a module after its own hooks."""
        self._on_output(module, output, True)

    def _on_output(self, module: nn.Module, output: Any, last: bool) -> None:
        if torch.compiler.is_compiling():
            self._while_traced(module, output, last)
            return
        if not self.tracker.recording or exporting():
            return
        if self._only_training and not self._model.training:
            self.evaluated = self.evaluated or self._tree.find(module) is not None
            return
        try:
            named = self.known(module)
            if named is None or (module._forward_hooks and not self._has_its_turn(module, output, last)):
                return
            with own_operations():
                for name, tensor in tensors_in(output, named.name):
                    self._record(named, name, tensor)
        except Exception as error:
            named = self._tree.find(module)
            what = type(module).__name__ if named is None else repr(named.name)
            self.tracker.fail(f"in the forward pass of {what}", error)

    def _has_its_turn(self, module: nn.Module, output: Any, last: bool) -> bool:
        """Tell whether the output of a module with hooks of its own is recorded now: before them or after.

        It is after, except for a DTensor: the hooks of tensor parallelism convert it to a plain tensor, which does not
        say which part of the whole it is.
        """
        if last:
            taken = id(module) in self._taken
            self._taken.discard(id(module))
            return not taken
        if not self._last.sees(module):
            return True
        if any(is_spread(tensor) for _, tensor in tensors_in(output, "")):
            self._taken.add(id(module))
        return id(module) in self._taken

    def known(self, module: nn.Module) -> Named | None:
        """Return the name of a module; the first module of a step marks the start of its forward pass."""
        named = self._tree.find(module)
        if named is None and not self._met_unknown:
            self._met_unknown = True  # it may have been added to the model since the last check
            self.tracker.look(within=True)
            named = self._tree.find(module)
        if named is not None and not self.saw_outputs:
            self._begin()
            named = self._tree.find(module)
        return named

    def _begin(self) -> None:
        self.saw_outputs = True
        self.tracker.look(within=True)
        self.tracker.forward_begun()

    @property
    def is_wanted(self) -> bool:
        """Tell whether outputs and inputs are recorded now."""
        return self.tracker.recording and (not self._only_training or self._model.training)

    def _while_traced(self, module: nn.Module, output: Any, last: bool) -> None:
        """Insert operators that record into a graph; there is one graph with them, and one without."""
        if self.is_wanted:
            self.mark(module, output, last)

    def mark(self, module: nn.Module, values: Any, last: bool, kind: int = ACTIVATION) -> None:
        """Insert operators that record the tensors in a module's output or input into the graph being traced."""
        if torch.compiler.is_exporting():
            return
        number = _number(self._receiver.number, id(module), last)
        if number >= 0:
            mark(values, self._receiver.number, number, self._gradients and kind == ACTIVATION, "", kind)

    def _on_compiled(self, module: int, leaf: str, kind: int, tensor: torch.Tensor) -> None:
        """Record a tensor of a compiled graph, except activations that its backward pass recomputes."""
        if not self.tracker.recording or (kind != GRADIENT and in_backward()):
            return
        named = None
        try:
            if kind != GRADIENT and not self.saw_outputs:
                self._begin()
            named = self._tree.numbered(module)
            if named is None:
                return
            if kind in (GRADIENT, VIEW):
                self._note_view((module, leaf), f"{named.name}{leaf}", kind)
            kind = ACTIVATION if kind == VIEW else kind
            quantity = self.quantity_of(named, f"{named.name}{leaf}", kind)
            phases = self._ran_in.setdefault((module, leaf), set())
            if kind == GRADIENT:
                only = next(iter(phases)) if len(phases) == 1 else ""
                self._on_gradient(in_phase([quantity], only), tensor)
                return
            phases.add(self._measurements.phase)
            with own_operations():
                self._add_compiled(quantity, tensor)
        except Exception as error:
            self.tracker.fail(f"in the compiled pass of {named.name!r}" if named else "in a compiled pass", error)

    def _note_view(self, place: tuple[int, str], name: str, kind: int) -> None:
        """Note a view whose gradient may bypass its graph, or that its gradient was computed inside."""
        if kind == VIEW:
            self._views[place] = name
        else:
            self._compiled_gradients = True
            self._views.pop(place, None)

    def _add_compiled(self, quantity: Quantity, tensor: torch.Tensor) -> None:
        values = measurable(tensor)
        if values is not None:
            self._measurements.add([values], [quantity])
        else:
            self.leave_out(quantity.name, tensor)

    def leave_out(self, name: str, tensor: torch.Tensor) -> None:
        why = why_not(tensor)
        self.tracker.say_once(f"{why} are not measured (first met at {name!r})", why)

    def _record(self, named: Named, name: str, tensor: torch.Tensor) -> None:
        if is_functorch_wrapped_tensor(tensor):  # it cannot be read outside of its transform
            self.leave_out(name, tensor)
            return
        quantity = self.quantity_of(named, name, ACTIVATION, part_of(tensor))
        # Activation checkpointing recomputes the forward pass in the backward pass: those outputs were counted.
        again = in_backward()
        seen = self.met.find(tensor)
        if seen is None:
            mine = local(tensor)[0]
            values = measurable(mine) if mine is not None else None
            if values is None and (mine is not None or not tensor.is_floating_point()):
                self.leave_out(name, tensor)
                return
            if values is None and not again:
                self._sums.wait_for(tensor, (named, name))
            handle = None if again or values is None else self._measurements.add([values], [quantity])[0]
            seen = self.met.keep(tensor, handle)
        elif not again and not (seen.handle and self._measurements.share(seen.handle, quantity)):
            mine = local(tensor)[0]
            values = measurable(mine) if mine is not None else None
            if values is not None:
                self._measurements.add([values], [quantity])
        if self._gradients:
            with torch._C.DisableTorchFunctionSubclass():
                self._want_gradient(seen.wants_gradient, self.quantity_of(named, name, GRADIENT), tensor)

    def _want_gradient(self, wanted: list[Quantity], quantity: Quantity, tensor: torch.Tensor) -> None:
        if not tensor.requires_grad:
            return
        if not wanted:
            hook = on_gradient(tensor, partial(self._on_gradient, wanted))
            if tensor.is_leaf:  # a leaf outlives the step, and so would the hook
                self._on_leaves.append(hook)
        wanted.extend(in_phase([quantity], self._measurements.phase))

    def _on_gradient(self, quantities: list[Quantity], gradient: torch.Tensor) -> None:
        if not self.tracker.recording or exporting():
            return
        try:
            with own_operations():
                self._add_gradient(quantities, gradient)
        except Exception as error:
            self.tracker.fail(f"in the backward pass of {quantities[0].name!r}", error)

    def _add_gradient(self, quantities: list[Quantity], gradient: torch.Tensor) -> None:
        mine, group, piece = local(gradient)
        values = measurable(mine) if mine is not None else None
        if values is None:
            if mine is not None:
                self.leave_out(f"the gradient of {quantities[0].name}", gradient)
            return
        if group:
            quantities = [quantity._replace(part=f"{group}|{piece}") for quantity in quantities]
        values = self.tracker.scaler.taken_out(values, self.tracker.scaler.of_pass())
        if values is None:
            return
        (handle,) = self._measurements.add([values], quantities[:1])
        for quantity in quantities[1:]:
            self._measurements.share(handle, quantity)

    def _on_sum(self, what: tuple[Named, str], whole: torch.Tensor) -> None:
        """Record an output that hooks of its module have reduced over the ranks."""
        if not self.tracker.recording:
            return
        named, name = what
        try:
            mine = local(whole)[0]
            if mine is None:
                self._sums.wait_for(whole, what)
                return
            with own_operations():
                values = measurable(mine)
                if values is not None:
                    self._measurements.add([values], [self.quantity_of(named, name, ACTIVATION, part_of(whole))])
        except Exception as error:
            self.tracker.fail(f"in the forward pass of {named.name!r}", error)

    def follow(self) -> None:
        """Update to the modules that the model has now, which may have other positions and names."""
        self._quantities.clear()
        if self._hook is not None:
            self._last.follow(self._tree.modules)

    def number(self, key: int, last: bool) -> int:
        """Return the number of a module, given by its id while it is being called; -1 for none.

        `last` is whether its own hooks have run. A module inside of a `torch.func` transform has no number: its outputs
        have no values there.
        """
        self.tracker.look(within=True)
        if peek_interpreter_stack() is not None:
            why = "tensors inside torch.func or vmap"
            self.tracker.say_once(f"{why} are not measured (first met in a compiled graph)", why)
            return -1
        return self._tree.number(key) if last or key not in self._last.keys else -1

    def say_unseen(self) -> None:
        """Warn about outputs that were not reduced over the ranks, and gradients that bypassed compiled graphs."""
        if self._views and self._compiled_gradients:
            self.tracker.say_once(
                f"the gradient of {next(iter(self._views.values()))!r} was not seen: the loss does not depend on it, "
                "or a compiled function returns it beside what it is a view of; compile the model itself, or run it in "
                "eager mode, to have it",
                "views in compiled graphs",
            )
        for _, name in self._sums.unseen():
            self.tracker.say_once(f"{name!r} stays a term of a sum over ranks in the step and is not measured")

    def quantity_of(self, named: Named, name: str, kind: int, part: str = "") -> Quantity:
        key = (named.position, name, kind)
        if key not in self._quantities or self._quantities[key].part != part:
            order = (kind, named.position, len(self._quantities))
            if kind == ACTIVATION:
                self.with_outputs.add(named.name)
            self._quantities[key] = Quantity(order, name, named.type, _TENSOR_TYPES[kind], part)
        return self._quantities[key]


_captures: weakref.WeakValueDictionary[int, OutputCapture] = weakref.WeakValueDictionary()


def _number(receiver: int, key: int, last: bool) -> int:
    """Return the number of a module in graphs: called in Python while a graph is traced, where it is a constant."""
    capture = _captures.get(receiver)
    return -1 if capture is None else capture.number(key, last)


# What torch.compiler.assume_constant_result does, without importing Dynamo.
vars(_number)["_dynamo_marked_constant"] = True
