"""What compiled graphs record while they run: module outputs and their gradients, by the number of the module.

A graph refers to a tracker and to modules by numbers, which outlive both; `_compiled` puts the operator into it.
"""

import contextlib
import weakref
from typing import Any

import torch
from torch._C._functorch import peek_interpreter_stack  # pyright: ignore[reportMissingImports]

from tandv.track.common.measurements import Quantity, in_phase
from tandv.track.torch._compiled import ACTIVATION, GRADIENT, TRAINED, VIEW, Quiet, Receiver, forget_graphs
from tandv.track.torch._graph_limits import count_by_module, graph_limits
from tandv.track.torch._modes import in_backward, own_operations
from tandv.track.torch._own_hooks import LastHooks
from tandv.track.torch._shared_measurements import SharedMeasurements
from tandv.track.torch._subgraphs import subgraph
from tandv.track.torch._tree import Tree
from tandv.track.torch.values import INSIDE, measurable

INSIDE_SUBGRAPH = (
    "outputs of modules inside of {} in a compiled graph are not measured, nor gradients with respect to them; run the "
    "model in eager mode to have them"
)
COMPILED_BACKWARD = (
    "no gradient with respect to an output inside of a compiled graph was seen in a step whose weights have gradients: "
    "a backward pass that is compiled as a whole (compiled autograd) leaves them out; run it without to have them"
)


class CompiledOutputs:
    """Records the tensors that compiled graphs pass on; the modules of the step are those of the output capture."""

    def __init__(self, outputs: Any, tracker: Any, tree: Tree, last: LastHooks):
        self._outputs, self._tracker, self._tree, self._last = outputs, tracker, tree, last
        self._measurements = tracker.measurements
        self._ran_in: dict[tuple[int, str], set[str]] = {}  # phases of this step, by output
        self._views: dict[tuple[int, str], str] = {}  # outputs still without a gradient
        self._wants_gradients = self._has_gradients = False  # in this step
        self._asks_same_batch = isinstance(self._measurements, SharedMeasurements)
        self._attached = False
        self._traced = False  # whether there may be graphs that record
        self._quiet = Quiet()
        self._receiver = Receiver(self._receive)
        self.number = self._receiver.number
        _recording[self.number] = self

    def attach(self) -> None:
        forget_graphs()
        graph_limits.forgotten()
        self._attached = True
        self._hold_limits()
        self._quiet.begin()

    def detach(self) -> None:
        self._quiet.end()
        self._attached = False
        graph_limits.let_go(self.number, self._traced)

    def next_step(self) -> None:
        """Forget the outputs of the step that has ended."""
        self._hold_limits()
        self._ran_in.clear()
        self._views.clear()
        self._wants_gradients = self._has_gradients = False

    def _hold_limits(self) -> None:
        if self._attached:
            graph_limits.hold(self.number, self._tree.size)

    def _receive(self, module: int, leaf: str, kind: int, tensor: torch.Tensor) -> None:
        """Record a tensor of a compiled graph, except activations that its backward pass recomputes."""
        if not self._tracker.recording or (kind != GRADIENT and in_backward()):
            return
        named, outputs = None, self._outputs
        try:
            if kind != GRADIENT and not outputs.saw_outputs:
                outputs.begin()
            if self._asks_same_batch:
                self._find_same_batch()
            named = self._tree.numbered(module)
            if named is None:
                return
            self._note((module, leaf), f"{named.name}{leaf}", kind)
            kind = ACTIVATION if kind in (VIEW, TRAINED) else kind
            quantity = outputs.quantity_of(named, f"{named.name}{leaf}", kind)
            phases = self._ran_in.setdefault((module, leaf), set())
            if kind == GRADIENT:
                only = next(iter(phases)) if len(phases) == 1 else ""
                outputs.on_gradient(in_phase([quantity], only), tensor)
                return
            phases.add(self._measurements.phase)
            with own_operations():
                self._add(quantity, tensor)
        except Exception as error:
            self._tracker.fail(f"in the compiled pass of {named.name!r}" if named else "in a compiled pass", error)

    def _find_same_batch(self) -> None:
        """Find, once, the ranks that have this rank's batch, which outputs in graphs do not tell."""
        self._asks_same_batch = False
        if not self._measurements.find_same_batch(self._tree.model):
            self._tracker.warn_once(
                "this version of torch does not tell which ranks have the same batch in compiled modules: outputs of "
                "those that are tensor parallel count once for each rank (`calls` says how often)"
            )

    def _note(self, place: tuple[int, str], name: str, kind: int) -> None:
        """Note that a gradient is wanted, of a view one that may bypass its graph, or that it was computed inside."""
        self._wants_gradients = self._wants_gradients or kind in (VIEW, TRAINED)
        if kind == VIEW:
            self._views[place] = name
        elif kind == GRADIENT:
            self._has_gradients = True
            self._views.pop(place, None)

    def _add(self, quantity: Quantity, tensor: torch.Tensor) -> None:
        values = measurable(tensor)
        if values is not None:
            self._outputs.add(values, quantity)
        else:
            self._outputs.leave_out(quantity.name, tensor)

    def number_of(self, key: int, last: bool) -> int:
        """Return the number of a module, given by its id while it is being called; -1 for none.

        `last` is whether its own hooks have run. A module inside of a `torch.func` transform has no number: its outputs
        have no values there.
        """
        self._tracker.look(within=True)
        if peek_interpreter_stack() is not None:
            self._tracker.warn_once(f"{INSIDE} are not measured (first met in a compiled graph)", INSIDE)
            return -1
        if (within := subgraph()) is not None:
            self._tracker.warn_once(INSIDE_SUBGRAPH.format(within), "graphs within compiled graphs")
            return -1
        if not last and key in self._last.keys:
            return -1
        if (module := self._tree.module(key)) is not None:
            self._traced = True
            with contextlib.suppress(ImportError, AttributeError):  # of a torch that names these things otherwise
                count_by_module(module)
        return self._tree.number(key)

    def warn_unseen(self, trained: bool) -> None:
        """Warn about gradients that bypassed the graphs, in a step in which the weights got some, or none."""
        if trained and self._wants_gradients and not self._has_gradients:
            self._tracker.warn_once(COMPILED_BACKWARD)
        if self._views and self._has_gradients:
            self._tracker.warn_once(
                f"the gradient of {next(iter(self._views.values()))!r} was not seen: the loss does not depend on it, "
                "or a compiled function returns it beside what it is a view of; compile the model itself, or run it in "
                "eager mode, to have it",
                "views in compiled graphs",
            )


_recording: weakref.WeakValueDictionary[int, CompiledOutputs] = weakref.WeakValueDictionary()


def number_in_graphs(receiver: int, key: int, last: bool) -> int:
    """Return the number of a module in graphs: called in Python while a graph is traced, where it is a constant."""
    outputs = _recording.get(receiver)
    return -1 if outputs is None else outputs.number_of(key, last)


# What torch.compiler.assume_constant_result does, without importing Dynamo.
vars(number_in_graphs)["_dynamo_marked_constant"] = True
