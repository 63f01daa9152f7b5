"""Weights, their gradients, updates and optimiser states, each at the moment that belongs to the step.

Weights are read when the step's first module has run; gradients just before an optimiser steps, when they
are what it receives, unscaled and clipped; states and updates when the step is over. Parameters are known
by identity, never by position.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch._compile import _disable_dynamo
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from tandv.track.common.measurements import Quantity
from tandv.track.insight.numbers import InsightSettings
from tandv.track.torch._insight import Insight
from tandv.track.torch._modes import alone
from tandv.track.torch._scaler import unscaled
from tandv.track.torch._shards import WHOLE, local
from tandv.track.torch._tree import Tree
from tandv.track.torch.names import Named
from tandv.track.torch.values import measurable, why_not

_ORDER = {"Weight": 2, "Weight_Gradient": 3, "Weight_Update": 4, "Optimiser_State": 5}  # after outputs


class ParameterCapture:
    """Records a model's parameters and what their optimisers know of them."""

    def __init__(
        self,
        tracker: Any,
        tree: Tree,
        optimizers: list[torch.optim.Optimizer],
        weights: bool,
        gradients: bool,
        updates: bool,
        insight: InsightSettings | None = None,
    ):
        self._tracker = tracker
        self._measurements = tracker.measurements
        self._tree = tree
        self._names = tree.parameters
        self._optimizers = optimizers
        self._weights, self._gradients, self._updates = weights, gradients, updates
        self._quantities: dict[tuple[nn.Parameter, str], Quantity] = {}
        self._measured: set[nn.Parameter] = set()  # whose weights are in this step already
        self._received: set[nn.Parameter] = set()  # whose gradients an optimiser has received in this step
        self._before: dict[nn.Parameter, torch.Tensor] = {}
        self.stepped = False  # whether an optimiser has taken its step in this one
        self.refused: torch.Tensor | None = None  # by fused ones, which know only on their device: 1 if by all
        self._hooks: list[Any] = []
        self.insight = Insight(tracker, self._names, insight) if insight is not None else None

    def follow(self) -> None:
        """Go on with the parameters that the model has now."""
        self._names = self._tree.parameters
        self._quantities.clear()

    def attach(self) -> None:
        self._hooks.append(register_optimizer_step_pre_hook(self._before_optimizer_step))
        if self.insight is not None:
            self._hooks.append(register_optimizer_step_post_hook(self._after_optimizer_step))

    def detach(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._before.clear()
        if self.insight is not None:
            self.insight.start_of_step()

    def start_of_step(self) -> None:
        self.stepped, self.refused = False, None
        self._measured.clear()
        self._received.clear()
        self._before.clear()
        if self.insight is not None:
            self.insight.start_of_step()

    def forward_begun(self) -> None:
        """Record the weights that this step's forward pass uses, before anything can change them."""
        self._record_weights(self._names)
        if self._updates:
            self._keep_copies(self._names)

    @property
    def has_gradients(self) -> bool:
        return any(parameter.grad is not None for parameter in self._names)

    def end_of_step(self) -> None:
        """Record what no optimiser has shown (unused weights, gradients used by hand), states and updates."""
        self._record_weights(self._names)
        self._record_gradients([p for p in self._names if p not in self._received])
        for parameter, old in self._before.items():
            self._record([(parameter, "Weight_Update", parameter.detach() - old)])
        self._record([(p, f"Optimiser_State.{key}", state) for p, key, state in self._states()])

    def _before_optimizer_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if self._tracker.recording:
            self._before_step(optimizer, args, kwargs)

    def _after_optimizer_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if self._tracker.recording:
            self._after_step(optimizer)

    @_disable_dynamo  # a compiled step's graph is left for a moment, and none is made of what is done here
    @alone
    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        try:
            mine = [p for group in optimizer.param_groups for p in group["params"] if p in self._names]
            self._note_step(optimizer, bool(mine))
            self._record_weights(mine)
            if self._updates:
                self._keep_copies(mine)
            # A closure computes the gradients within the step: those are read when the step is over.
            closure = any(callable(argument) for argument in (*args[1:], *kwargs.values()))
            if not closure:
                self._record_gradients(mine, getattr(optimizer, "grad_scale", None))
            if self.insight is not None:
                self.insight.before_step(optimizer, mine, closure)
        except Exception as error:
            self._tracker.fail(f"before the step of {type(optimizer).__name__}", error)

    @_disable_dynamo
    @alone
    def _after_step(self, optimizer: torch.optim.Optimizer) -> None:
        try:
            if self.insight is not None:
                self.insight.after_step(optimizer)
        except Exception as error:
            self._tracker.fail(f"after the step of {type(optimizer).__name__}", error)

    def _note_step(self, optimizer: torch.optim.Optimizer, mine: bool) -> None:
        found = getattr(optimizer, "found_inf", None)  # a scaler's, by which a fused optimiser decides itself
        if not mine:
            return
        if found is None:
            self.stepped = True
        else:
            found = found.detach().reshape(()).ne(0).float()
            self.refused = found if self.refused is None else torch.minimum(self.refused, found.to(self.refused.device))

    def _keep_copies(self, parameters: Iterable[nn.Parameter]) -> None:
        for p in parameters:
            if p.requires_grad and p not in self._before:
                self._before[p] = p.detach().clone()

    def _record_weights(self, parameters: Iterable[nn.Parameter]) -> None:
        if self._weights:
            new = [p for p in parameters if p not in self._measured]
            self._measured.update(new)
            self._record([(p, "Weight", p) for p in new])

    def _record_gradients(self, parameters: list[nn.Parameter], scale: torch.Tensor | None = None) -> None:
        """Record gradients, without the scale that an optimiser takes out of them itself."""
        self._received.update(parameters)
        if self._gradients:
            self._record([(p, "Weight_Gradient", p.grad) for p in parameters if p.grad is not None], scale)

    def _states(self) -> Iterator[tuple[nn.Parameter, str, torch.Tensor]]:
        """Yield (parameter, key, state) in model order for the optimisers that `track` was given."""
        for optimizer in self._optimizers:
            if isinstance(optimizer, torch.optim.LBFGS):  # its one state is of all parameters together
                self._tracker.say_once("the state of LBFGS belongs to no single parameter and is not measured")
                continue
            for parameter in self._names:
                for key, state in optimizer.state.get(parameter, {}).items():
                    if key != "step" and isinstance(state, torch.Tensor):
                        yield parameter, key, state

    def _record(self, items: list[tuple[nn.Parameter, str, torch.Tensor]], scale: torch.Tensor | None = None) -> None:
        tensors, quantities = [], []
        for parameter, kind, tensor in items:
            mine, _, piece = local(tensor)
            values = measurable(mine) if mine is not None else None
            if values is None:
                name, why = self._names[parameter].name, why_not(tensor)
                self._tracker.say_once(f"{why} are not measured (first met at {kind} of {name!r})", why)
                continue
            tensors.append(values if scale is None else unscaled(values, scale))
            quantities.append(self._quantity(parameter, kind, WHOLE + piece))
        if tensors:
            self._measurements.add(tensors, quantities)

    def _quantity(self, parameter: nn.Parameter, kind: str, part: str) -> Quantity:
        key = (parameter, kind)
        if key not in self._quantities or self._quantities[key].part != part:
            named: Named = self._names[parameter]
            order = (_ORDER[kind.partition(".")[0]], kind, named.position, len(self._quantities))
            self._quantities[key] = Quantity(order, named.name, named.type, kind, part)
        return self._quantities[key]
