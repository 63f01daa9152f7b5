"""Weights, their gradients, updates and optimiser states, each read at the right time of a step.

Weights are read after the first module of a step; gradients just before an optimiser's step, when they are unscaled and
clipped; states and updates at the end of the step. Parameters are identified by identity, never by position. A gradient
belongs to a step only if it was computed or assigned in it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch._compile import _disable_dynamo

from tandv import tensor_types
from tandv.track.common.readings import FINAL, LAST, LEFT_OVER
from tandv.track.common.reporting import print_line
from tandv.track.insight.numbers import InsightSettings
from tandv.track.torch._arrivals import Arrivals
from tandv.track.torch._coverage import Part, parameter_facts
from tandv.track.torch._insight import TorchInsight
from tandv.track.torch._modes import alone, exporting, own_operations
from tandv.track.torch._parameter_recorder import ParameterRecorder, keep_copies, values_of
from tandv.track.torch._passes import UNSCALED, PassScale
from tandv.track.torch._states import Optimizers, has_own_state, parameters_of
from tandv.track.torch._step_hooks import counted, put, removed
from tandv.track.torch._tree import Tree


class ParameterCapture:
    """Records a model's parameters, their gradients and updates, and the states of their optimisers."""

    def __init__(
        self,
        tracker: Any,
        tree: Tree,
        optimizers: Sequence[torch.optim.Optimizer],
        weights: bool,
        gradients: bool,
        updates: bool,
        insight: InsightSettings | None = None,
    ):
        self._tracker = tracker
        self._tree = tree
        self._names = tree.parameters
        recorder = self._recorder = ParameterRecorder(tracker, self._names)
        self._record, self._record_gradient = recorder.record, recorder.record_gradient
        self.optimizers = Optimizers(optimizers)
        self.arrivals = Arrivals(self._on_arrival)
        self._weights, self._gradients, self._updates = weights, gradients, updates
        self._measured: set[Any] = set()  # parameters whose weights were recorded in this step, and names that they had
        self._received: set[nn.Parameter] = set()  # whose gradients an optimiser has received in this step
        self._before: dict[nn.Parameter, torch.Tensor] = {}
        self._with_closure: set[int] = set()  # optimisers whose step computes the gradients itself
        self.ever: set[str] = set()  # names whose gradients were computed or used in any step
        self.unread: set[str] = set()  # names whose gradients were cleared before they could be read, in some step
        self.optimizer_stepped = False  # any optimiser, in this step, recorded or not
        self._stepping = 0  # optimisers that are taking their step now, one within another
        self.late = False  # in this step, with the gradients of the one before and ahead of the forward pass
        self.stepped = False  # whether an optimiser of the model has stepped in this step
        self.refused: torch.Tensor | None = None  # found_inf of fused optimisers: 1 if all skipped
        self._ran = False  # whether modules ran in this step
        self.steps_by_hand = False  # whether the last recorded step had gradients, and neither optimiser nor scaler
        self._hooks: list[Any] = []
        self.insight = TorchInsight(tracker, self._names, insight) if insight is not None else None

    def attach(self) -> None:
        self._hooks = put(self._before_optimizer_step, self._after_optimizer_step)
        self._watch()

    def detach(self) -> None:
        removed(self._hooks)
        self._before.clear()
        self.arrivals.unwatch()
        if self.insight is not None:
            self.insight.start_of_step()

    def follow(self) -> None:
        """Update to the parameters that the model has now."""
        self._names = self._tree.parameters
        self._recorder.follow(self._names)
        self._before = {p: old for p, old in self._before.items() if p in self._names}
        self._received &= self._names.keys()
        if self.insight is not None:
            self.insight.follow(self._names)
        self._watch()

    def start_of_step(self) -> None:
        self.stepped, self.refused, self._stepping = False, None, 0
        self._measured.clear()
        self._received.clear()
        self._before.clear()
        self._with_closure.clear()
        self.optimizers.start_of_step()
        if not self._ran:
            self._watch()
        self._ran = False
        self.arrivals.start_of_step(self._names)
        if self.insight is not None:
            self.insight.start_of_step()

    def forward_begun(self) -> None:
        """Record the weights that this step's forward pass uses, before anything can change them."""
        self._ran = True
        self._watch()
        self.arrivals.forward_begun()
        self._record_weights(self._names)
        if self._updates:
            keep_copies(self._before, self._names)

    def step_over(self) -> None:
        """Forget the gradients of a step that was not recorded."""
        self.optimizer_stepped = self.late = False
        self.arrivals.start_of_step(())

    @property
    def trained(self) -> Part:
        """Return the names of the parameters that train, and of those that had a gradient."""
        return Part([named.name for p, named in self._names.items() if p.requires_grad], self.ever)

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return what is known of each parameter, by its name."""
        return parameter_facts({p: named.name for p, named in self._names.items()}, self.optimizers.alive(), self.ever)

    @property
    def has_gradients(self) -> bool:
        """Tell whether a gradient was computed, or received by an optimiser, in this step."""
        return bool(self.arrivals) or bool(self._received)

    def end_of_step(self) -> None:
        """Record states, updates, unused weights, and gradients that no optimiser of torch received."""
        self._record_weights(self._names)
        self._record_rest_of_gradients()
        self.steps_by_hand = not self.optimizer_stepped and self._tracker.scaler.scale is None and self.has_gradients
        for parameter, old in self._before.items():
            if (now := values_of(parameter)) is not None and now.shape == old.shape:
                self._record([(parameter, tensor_types.WEIGHT_UPDATE, now - old)])
        self._record([(p, tensor_types.state(key), state) for p, key, state in self.optimizers.states(self._names)])
        for kind in self.optimizers.news():
            print_line(
                f"{kind} steps on the model's parameters though track() was not given it: its state is recorded, too"
            )

    # Backward passes.

    def pass_over(self, scale: PassScale) -> None:
        """Attribute the gradients since the last call to a loss of this scale."""
        self.arrivals.pass_over(scale)

    def unscaled(self, optimizer: torch.optim.Optimizer) -> None:
        """Note that a scaler has unscaled an optimiser's gradients."""
        self.arrivals.pass_over(UNSCALED)
        self.arrivals.unscaled(parameters_of(optimizer))

    def scaler_stepped(self, optimizer: torch.optim.Optimizer) -> None:
        """Record the gradients of a step that a scaler skipped because of infinities."""
        mine = [p for p in parameters_of(optimizer) if p in self._names and p not in self._received]
        self._receive([p for p in mine if p.grad is not None and self.arrivals.is_new(p)], None)

    def _watch(self) -> None:
        if self._gradients:
            self.arrivals.watch(self._names)

    def _on_arrival(self, p: nn.Parameter, reading: int) -> None:
        """Read a gradient when it is accumulated; one that an optimiser receives later replaces it."""
        if not self._tracker.recording or p not in self._names or exporting():
            return
        try:
            with own_operations(), torch.no_grad():
                gradient = p.grad
                if gradient is not None:
                    self._record_gradient(p, gradient, self._tracker.scaler.of_pass(), reading)
        except Exception as error:
            self._tracker.fail(f"as the gradient of {self._names[p].name!r} arrived", error)

    # Optimisers.

    def _before_optimizer_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self.optimizer_stepped = True
        if self._tracker.recording:
            self._before_step(optimizer, args, kwargs)
        elif self._tracker.check is not None and not torch.compiler.is_compiling():
            self._tracker.check.gradients(optimizer, self._names)

    def _after_optimizer_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self._stepping = max(0, self._stepping - 1)
        if self._tracker.recording and (self._with_closure or self.insight is not None):
            self._after_step(optimizer)

    @_disable_dynamo  # breaks the graph of a compiled step; this code is not compiled
    @alone
    @counted
    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        try:
            if not self._stepping:
                self.arrivals.step_begins()
            self._stepping += 1
            given = parameters_of(optimizer)
            if any(p not in self._names for p in given):
                self._tracker.look()  # it may have come to the model since the forward pass began
            if not (mine := [p for p in given if p in self._names]):
                return
            self._note_step(optimizer)
            if self._updates:
                keep_copies(self._before, mine)
            # A closure computes the gradients within the optimiser's step: those are read after it.
            closure = any(callable(argument) for argument in (*args[1:], *kwargs.values()))
            if closure:
                self._with_closure.add(id(optimizer))
                new = mine
            else:
                new = self._take(mine, getattr(optimizer, "grad_scale", None))
            if self._is_late(mine, new):
                self.late = True  # the forward pass of this step is still to come: it uses other weights
            else:
                self._record_weights(mine)
            if self.insight is not None:
                self.insight.before_step(optimizer, new, closure)
        except Exception as error:
            self._tracker.fail(f"before the step of {type(optimizer).__name__}", error)

    @_disable_dynamo
    @alone
    @counted
    def _after_step(self, optimizer: torch.optim.Optimizer) -> None:
        try:
            if id(optimizer) in self._with_closure:
                self._take([p for p in parameters_of(optimizer) if p in self._names], None)
            if self.insight is not None:
                self.insight.after_step(optimizer)
        except Exception as error:
            self._tracker.fail(f"after the step of {type(optimizer).__name__}", error)

    def _is_late(self, parameters: list[nn.Parameter], new: list[nn.Parameter]) -> bool:
        """Tell whether an optimiser takes the step of the iteration before, of which all its gradients are."""
        return not self._ran and not new and any(p.grad is not None for p in parameters)

    def _note_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizers.note(optimizer)
        if has_own_state(optimizer):
            self._tracker.warn_once("the state of LBFGS belongs to no single parameter and is not measured")
        found = getattr(optimizer, "found_inf", None)  # of a scaler: a fused optimiser skips the step itself
        if found is None:
            self.stepped = True
        else:
            found = found.detach().reshape(()).ne(0).float()
            self.refused = found if self.refused is None else torch.minimum(self.refused, found.to(self.refused.device))

    def _take(self, parameters: list[nn.Parameter], scale: torch.Tensor | None) -> list[nn.Parameter]:
        """Record the gradients that an optimiser uses, without a scale that it removes itself; return their parameters.

        A gradient left by an earlier step is used as well: it counts where it was changed in this step, such as by
        accumulation, and where all of it is zero, since then it was cleared for this step.
        """
        arrivals = self.arrivals
        here = [p for p in parameters if p.grad is not None]
        new = [p for p in here if arrivals.is_new(p) or arrivals.is_changed(p)]
        # Where one steps within another, both use the same gradient: the first has shown it.
        self._receive([p for p in new if not arrivals.is_used(p)], scale)
        arrivals.taken(new)
        if self._gradients and len(new) < len(here):
            known = set(new)
            for p in here:
                if p not in known and p.grad is not None:
                    self._record_gradient(p, p.grad, UNSCALED, LEFT_OVER)
        return new

    def _receive(self, parameters: list[nn.Parameter], scale: torch.Tensor | None) -> None:
        self._received.update(parameters)
        self.ever.update(self._names[p].name for p in parameters)
        if self._gradients:
            self._record([(p, tensor_types.WEIGHT_GRADIENT, p.grad) for p in parameters if p.grad is not None], scale)

    def _record_rest_of_gradients(self) -> None:
        """Record gradients that no optimiser of torch has received: from `.grad`, or as accumulated."""
        if not self._gradients:
            return
        arrivals = self.arrivals
        arrivals.pass_over(UNSCALED)
        for p, named in self._names.items():
            if p in self._received:
                continue
            if p in arrivals:
                self.ever.add(named.name)
            gradient, read = p.grad, arrivals.was_read(p)
            if read and (gradient is None or arrivals.is_as_read(p)):
                continue
            if gradient is not None and arrivals.is_new(p):
                reading = LAST if p in arrivals else FINAL  # else it was assigned
                self._record_gradient(p, gradient, arrivals.scale_of(p), reading)
                self.ever.add(named.name)
            elif gradient is None and p in arrivals:
                arrivals.gone(p)
                self.unread.add(named.name)

    def _record_weights(self, parameters: Iterable[nn.Parameter]) -> None:
        if self._weights:
            new = [p for p in parameters if p not in self._measured and self._names[p].name not in self._measured]
            self._measured.update(new, [self._names[p].name for p in new])
            self._record([(p, tensor_types.WEIGHT, p) for p in new])
