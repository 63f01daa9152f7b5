"""The tracker of a JAX run: which calls are intercepted, what a step has measured, and how it becomes rows."""

from typing import Any, Self

import jax

from tandv.track.common.execution_order import ExecutionOrder
from tandv.track.common.numbers import Reading
from tandv.track.common.saving import Source
from tandv.track.jax import _hosts, _weights
from tandv.track.jax._attention import with_heads
from tandv.track.jax._between import TreeCheck
from tandv.track.jax._block_kernels import BlockFormats
from tandv.track.jax._blocks import blocks as blocks_of
from tandv.track.jax._calls import Calls
from tandv.track.jax._insight import JaxInsight
from tandv.track.jax._interception import Interception
from tandv.track.jax._loop_calls import LoopCalls
from tandv.track.jax._messages import LOWERED, STEP_TRACED, check_arrays, check_promised, why_nothing
from tandv.track.jax._naming import Namer, is_traced
from tandv.track.jax._numbers import reading
from tandv.track.jax._objects import is_equinox, is_object
from tandv.track.jax._parameters import ParametersSeen
from tandv.track.jax._programs import ProgramTracker
from tandv.track.jax._rows import JaxStep, Modules
from tandv.track.jax._scopes import ScopedNamer
from tandv.track.jax._stash import Own, stash_all_stats_and_hist
from tandv.track.jax._states import parts_of
from tandv.track.jax._step_trees import StepTrees
from tandv.track.settings import Every, Settings


class JaxTracker(ProgramTracker):
    """The tracker of a JAX model, which `track` makes.

    >>> import jax.numpy as jnp
    >>> from tandv.track.jax import track
    >>> params = {"w": jnp.ones(3)}
    >>> with track(model_state=params) as tracker:
    ...     tracker.step(params)
    >>> isinstance(tracker, JaxTracker), tracker.steps
    (True, 1)

    Args:
        settings: what `track` was given.
        model, optimizer: objects, or pytrees of arrays, at the first step.
        promised: names of the arguments that every `step` must be given.
        every_trees: interval in recorded steps of weights, their gradients and optimiser states, or a function.
        title: class of the model.
        exact: run every program twice, as `track` explains.
        blocks: the formats that operands are measured in.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        model: Any,
        optimizer: Any,
        promised: tuple[str, ...],
        every_trees: Every,
        title: str,
        exact: bool,
        blocks: BlockFormats | None = None,
    ):
        stash_value, insight = settings.stash_value, settings.insight_asked()
        self._own = (
            Own(stash_value) if stash_value is not None and stash_value is not stash_all_stats_and_hist else None
        )
        super().__init__(settings, title=title, framework=f"jax {jax.__version__}", insight=insight)
        if not _hosts.writes():
            self._open: Any = lambda: _hosts.Nowhere(self.path, self.out_path)
        self._exponents = settings.exponents
        self._formats = blocks.names if blocks is not None else ()
        self._promised = promised
        self._selects = settings.selects
        # One namer and one context for all steps, recorded or not, so that JAX traces a program once.
        names = ScopedNamer if settings.attention else Namer
        self._namer, self._context = names(self._selects, settings.track_gradients is not False), object()
        if is_object(model) or is_equinox(model):
            self._namer.root, self._namer.is_root_known = type(model).__name__, True
        self._calls = Calls(
            self._own,
            exact,
            self.warn_once,
            self.fail,
            self._namer.settle,
            self._before_program,
            settings.units,
            blocks,
            self._with_heads if settings.attention else None,
            lambda: self._namer.roots,
            lambda: self.measurements.phase,
        )
        self._interception = Interception(self._calls, self._namer)
        self._names_known, self._loop = False, LoopCalls()
        self._modules = Modules(type(model).__name__ if is_object(model) else None)
        self._measured = JaxStep(0, [], [], [], False)  # in the current step
        self._phases: list[str] = []  # of what was intercepted in it
        self._waiting: list[JaxStep] = []
        self._execution, self._parameters = ExecutionOrder(), ParametersSeen()
        self._told_parameters = False
        self._checked = False
        self._check: TreeCheck | None = None
        if self.between is not None and not _hosts.several():
            self._check = TreeCheck(self.between, self.warn_once)
        self._in_place = is_object(model)
        self._optimizer = None if optimizer is None or is_object(optimizer) else jax.tree.structure(optimizer)
        of_steps = JaxInsight(self, insight, self.raster) if insight is not None else None
        self._trees = StepTrees(self, settings, self._own, of_steps, model, optimizer, every_trees, blocks)

    def _with_heads(self, program: Any) -> Any:
        known = {tuple(leaf.array.shape) for leaf in self._trees.parameters()}
        shapes = getattr(self._namer, "shapes", set()) | known
        return with_heads(program, self._namer.names, self._namer.root, shapes)

    # What users call.

    def step(
        self,
        model_state: Any = None,
        opt_state: Any = None,
        grads: Any = None,
        *,
        loss_scale: Any = None,
        **numbers: Any,
    ) -> None:
        """End the current training step, with the new weights and state of the optimiser and the gradients.

        >>> import jax.numpy as jnp
        >>> from tandv.track.common import read_pickle
        >>> from tandv.track.jax import track
        >>> params, grads = {"w": jnp.array([3.0, -4.0])}, {"w": jnp.array([0.5, 0.5])}
        >>> with track(model_state=params) as tracker:
        ...     tracker.step(params, grads=grads)
        >>> log = read_pickle(tracker.out_path)
        >>> dict(zip(log["metadata", "tensor_type"], log["scalar_stats", "max_abs"].tolist()))
        {'Weight': 4.0, 'Weight_Gradient': 0.5}

        Args:
            model_state: the new weights, or a training state as a whole, as `track` was given it. nnx modules, which
                change in place, need not be given again.
            opt_state: the new state of the optimiser, likewise.
            grads: the gradients of the weights, a pytree like theirs; give those that the optimiser is given.
            loss_scale: the power of two by which your code multiplied the loss before it took gradients. Gradients
                with respect to outputs are divided by it. flax's `DynamicScale` is recognised without it.
            numbers: numbers of the step, such as `loss=loss, lr=1e-3`, which are kept as curves, see `numbers`. A rule
                for saving checkpoints watches them.

        Raises TypeError naming the promised pytrees that are missing, before anything is recorded.
        """
        if self._state == "on" and is_traced():
            self.warn_once(STEP_TRACED)
            return
        model_state, held = parts_of(model_state)
        opt_state = opt_state if opt_state is not None else held
        given = {"model_state": model_state, "opt_state": opt_state, "grads": grads}
        if self._state in ("on", "new"):
            check_promised(given, self._promised)
            if not self._checked:
                self._checked = True
                if said := check_arrays(given, self._trees.latest["model_state"], self._optimizer):
                    self.warn_once(said)
        self._trees.latest |= {name: tree for name, tree in given.items() if tree is not None}
        self._measured = self._measured._replace(loss_scale=loss_scale)
        if self._check is not None and self._state == "on" and not self.recording:
            held_in = {"model_state": self._trees.latest["model_state"]} if self._in_place else {}
            self._check.step(given | held_in)
        super().step(**numbers)
        self._trees.drop_arrays()

    def __enter__(self) -> Self:
        super().__enter__()
        self._trees.drop_arrays()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is None and self.is_on:
            self._guard("the end of the run", self._look_back)
        super().__exit__(kind, error, trace)

    # What the base asks for.

    def attach(self) -> None:
        pass

    def detach(self) -> None:
        self._interception.remove()
        self._trees.release()

    @property
    def has_measured(self) -> bool:
        return bool(self._measured.programs)

    def reading(self, value: Any) -> Reading:
        return reading(value)

    def weights(self) -> Source | None:
        if not _hosts.writes():
            return None
        return _weights.source(lambda: self._trees.latest["model_state"], self._modules.called)

    def start_of_step(self) -> None:
        self._measured = JaxStep(self.steps, [], [], [], False)
        self._interception.functions, self._interception.is_inside, self._phases = [], False, []
        weights = self._trees.start_of_step(self.steps, is_sure=self._names_known)
        self._calls.sets.begin_step(weights)

    def phase_changes(self) -> None:
        self._measured.programs.extend(self._interception.take_found())
        self._phases += [self.measurements.phase] * (len(self._measured.programs) - len(self._phases))

    def end_of_step(self) -> None:
        has_rows = any(records for records, _ in self._measured.programs)
        called = self._interception.functions
        if called and not has_rows and not self._calls.left_out and not self._namer.is_taken:
            patterns = self.settings.include is not None or self.settings.exclude is not None
            self.warn_once(why_nothing(called, self._modules.names, self._interception.is_inside, patterns))
        if self._interception.is_lowered and not called and not has_rows:
            self.warn_once(LOWERED)
        self._trees.end_of_step()

    def _keep(self) -> None:
        self.phase_changes()
        self._waiting.append(self._trees.added_to(self._measured)._replace(phases=tuple(self._phases)))
        self._recorded += 1

    def drain(self) -> None:
        """Queue what was measured since the last call: one copy to the host, then rows are made."""
        waiting, self._waiting = self._waiting, []
        modules, size = self._modules.as_now(), sum(measured.nbytes for measured in waiting)
        self._writer.append(
            lambda: blocks_of(
                waiting, modules, self._selects, self._own, self._exponents, self._execution, self._parameters,
                self._unit_history, self._writer.note, self._formats,
            ),
            size,
        )  # fmt: skip

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), **({"parameters": self._of_parameters()} if self._tells_parameters() else {})}

    def _tells_parameters(self) -> bool:
        """Tell whether run.json gets a line for each parameter now: once while the run goes on, and at its end."""
        if self.is_on and (self._told_parameters or not self._parameters):
            return False
        self._told_parameters = True
        return self._trees.latest["model_state"] is not None

    def _of_parameters(self) -> dict[str, dict[str, Any]]:
        called, leaves = self._modules.called, self._trees.parameters()
        return self._parameters.facts((called(leaf.name), tuple(leaf.array.shape)) for leaf in leaves)

    @property
    def decides_alone(self) -> bool:
        return not _hosts.several()

    def _has_room(self) -> bool:
        return _hosts.several() or super()._has_room()  # all processes record the same steps
