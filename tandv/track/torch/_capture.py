"""Module outputs and their gradients, recorded by one global forward hook and by hooks on the outputs themselves.

No hook is registered on the model: torch's global forward hook runs for every module, and ours are found by identity.
Gradients are taken at the output tensor, since module backward hooks break in-place modules.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore[reportMissingImports]
from torch.nn.modules.module import register_module_forward_hook

from tandv import tensor_types
from tandv.track.common.measurements import Quantity
from tandv.track.ranks.labels import Shard
from tandv.track.torch import _exports
from tandv.track.torch._attention import AttentionHeads
from tandv.track.torch._compiled import ACTIVATION, GRADIENT, mark, not_compiled_alone
from tandv.track.torch._compiled_outputs import CompiledOutputs, number_in_graphs
from tandv.track.torch._coverage import Part
from tandv.track.torch._experts import Experts
from tandv.track.torch._graph_outputs import GraphOutputs
from tandv.track.torch._inputs import INPUT, Inputs
from tandv.track.torch._met import MetTensors
from tandv.track.torch._modes import exporting, in_backward, own_operations
from tandv.track.torch._output_gradients import OutputGradients
from tandv.track.torch._own_hooks import Last, LastHooks
from tandv.track.torch._shards import Sums, local, part_of
from tandv.track.torch._tree import Tree
from tandv.track.torch._unknown import UnknownModules
from tandv.track.torch.names import Named, is_parametrization, unwrap
from tandv.track.torch.outputs import tensors_in
from tandv.track.torch.values import measurable

_TENSOR_TYPES = {INPUT: tensor_types.INPUT, ACTIVATION: tensor_types.ACTIVATION, GRADIENT: tensor_types.GRADIENT}


class OutputCapture(OutputGradients):
    """Records the outputs of a model's modules and the gradients with respect to them."""

    def __init__(
        self,
        tracker: Any,
        model: nn.Module,
        tree: Tree,
        gradients: bool,
        only_training: bool,
        inputs: bool = False,
        attention: bool = False,
        experts: bool = False,
    ):
        super().__init__(tracker)
        self._model = unwrap(model)
        self._tree = tree
        self._gradients = gradients
        self._only_training = only_training
        self.met = MetTensors()
        self._quantities: dict[tuple[int, str, int], Quantity] = {}
        self.saw_outputs = False  # in this step, since its forward pass has begun
        self.saw_parametrizations = False  # in this step, which may run by themselves
        self.evaluated = False  # in this step the model ran in eval mode, whose outputs are not recorded
        self.with_outputs: set[str] = set()  # names of modules whose outputs were recorded
        self._unknown = UnknownModules()
        self._of_graphs = GraphOutputs(tracker.warn_once)
        self._hook: Any = None
        self._last = LastHooks(self._after_own_hooks, lambda module: tree.find(module) is not None)
        self._compiled = CompiledOutputs(self, tracker, tree, self._last)
        self._sums = Sums(self._on_sum)
        self._inputs = Inputs(self) if inputs else None
        mixtures = Experts(tracker, tree) if experts else None
        watched = attention or experts
        self._heads = AttentionHeads(self, tracker, tree, self._model, attention, mixtures) if watched else None

    def attach(self) -> None:
        self._compiled.attach()
        self._follow_units()
        for hook in (OutputCapture._first, OutputCapture._after_own_hooks, OutputCapture._on_output, Last.__call__):
            not_compiled_alone(hook)
        self._sums.attach()
        self._put_hooks()
        _exports.join(self._without_hooks)

    def detach(self) -> None:
        _exports.leave(self._without_hooks)
        self._compiled.detach()
        self._sums.detach()
        self._take_hooks()
        self.next_step()

    def _put_hooks(self) -> None:
        for one in (self._inputs, self._heads):
            if one is not None:
                one.attach()
        self._hook = register_module_forward_hook(self._first)
        self._last.attach(self._tree.modules)

    def _take_hooks(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        for one in (self._inputs, self._heads):
            if one is not None:
                one.detach()
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
        self.saw_outputs = self.saw_parametrizations = self.evaluated = False
        self.met.clear()
        self._unknown.next_step()
        self._last.next_step()
        self._compiled.next_step()
        if self._heads is not None:
            self._heads.next_step()
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
        if not self.tracker.recording:
            check = self.tracker.check
            if check is not None and check.is_root(module) and (self._model.training or not self._only_training):
                check.output(module, output, last)
            return
        if exporting():
            return
        if self._only_training and not self._model.training:
            self.evaluated = self.evaluated or self._tree.find(module) is not None
            return
        try:
            named = self.known(module)
            if named is None or (module._forward_hooks and not self._last.has_turn(module, output, last)):
                return
            with own_operations():
                for name, tensor in tensors_in(output, named.name):
                    self._record(named, name, tensor)
        except Exception as error:
            named = self._tree.find(module)
            what = type(module).__name__ if named is None else repr(named.name)
            self.tracker.fail(f"in the forward pass of {what}", error)

    def known(self, module: nn.Module) -> Named | None:
        """Return the name of a module; the first module of a step marks the start of its forward pass.

        A parametrisation does not: it also runs where a weight is looked at, or gets another one.
        """
        named = self._tree.find(module)
        if named is None and not self._tree.has(module) and self._unknown.may_be_new(module):
            self.tracker.look(within=True)
            named = self._tree.find(module)
        if named is not None and is_parametrization(named.name):
            self.saw_parametrizations = True
        elif named is not None and not self.saw_outputs:
            self.begin()
            named = self._tree.find(module)
        return named

    def begin(self) -> None:
        """Note that the step's forward pass has begun."""
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
        number = number_in_graphs(self._compiled.number, id(module), last)
        if number >= 0:
            mark(values, self._compiled.number, number, self._gradients and kind == ACTIVATION, "", kind)

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
            handle = None if again or values is None else self.add(values, quantity)
            seen = self.met.keep(tensor, handle)
        elif not again and not (seen.handle and self._measurements.share(seen.handle, quantity)):
            mine = local(tensor)[0]
            values = measurable(mine) if mine is not None else None
            if values is not None:
                self._measurements.add([values], [quantity])
        if self._gradients:
            with torch._C.DisableTorchFunctionSubclass():
                self._want_gradient(seen.wants_gradient, self.quantity_of(named, name, GRADIENT), tensor)
                self._of_graphs.note(name, tensor)

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
        if self._heads is not None:
            self._heads.follow()
        self._follow_units()
        if self._hook is not None:
            self._last.follow(self._tree.modules)

    def _follow_units(self) -> None:
        if self.tracker.units is not None:
            self.tracker.units.follow(self._tree.modules, [named.position for named in self._tree.names])

    def warn_unseen(self, trained: bool) -> None:
        """Warn about outputs that were not reduced over the ranks, and gradients that bypassed compiled graphs.

        Args:
            trained: whether weights have got gradients since the forward pass.
        """
        self._compiled.warn_unseen(trained)
        for _, name in self._sums.unseen():
            self.tracker.warn_once(f"{name!r} stays a term of a sum over ranks in the step and is not measured")

    def quantity_of(self, named: Named, name: str, kind: int, part: Shard | None = None) -> Quantity:
        key = (named.position, name, kind)
        if key not in self._quantities or self._quantities[key].part is not part:
            order = (tensor_types.order(_TENSOR_TYPES[kind]), named.position, len(self._quantities))
            if kind == ACTIVATION:
                self.with_outputs.add(named.name)
            self._quantities[key] = Quantity(order, name, named.type, _TENSOR_TYPES[kind], part)
        return self._quantities[key]
