"""How a tracker of JAX takes what programs measure: those that it intercepts, and those that return measurements."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from tandv.tensor_types import ACTIVATION
from tandv.track.common.loops import IN_LOOP, TOP_OF_LOOP, one_step_runs
from tandv.track.common.tracker import Tracker
from tandv.track.jax import _entry
from tandv.track.jax._interception import Interception
from tandv.track.jax._loop_calls import LoopCalls
from tandv.track.jax._measured import Measurements, record_problems, steps_of
from tandv.track.jax._messages import GRADIENTS_OUTSIDE, NOT_BEGUN, not_measured, said_of
from tandv.track.jax._naming import Namer, is_differentiated, is_traced
from tandv.track.jax._packing import packed
from tandv.track.jax._rows import JaxStep, Modules, OnDevice
from tandv.track.jax._step_trees import StepTrees
from tandv.track.jax._tag import naming

_OF_JITTED = ("lower", "trace", "eval_shape", "clear_cache")  # methods of jitted functions


class ProgramTracker(Tracker):
    """A tracker that intercepts calls of programs."""

    _namer: Namer
    _context: object
    _interception: Interception
    _modules: Modules
    _trees: StepTrees
    _measured: JaxStep  # in the current step
    _names_known: bool
    _phases: list[str]  # of what was intercepted in it
    _formats: tuple[str, ...]  # block formats that operands are measured in
    _own: Any  # what measures, where that is a function of the user's
    _loop: LoopCalls
    _raised_in: int | None = None  # step in which a call raised, and no other call has begun since

    def intercept(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `function(*args, **kwargs)` and record the outputs of every module in it, and their gradients.

        >>> import jax.numpy as jnp
        >>> from tandv.track.jax import tag, track
        >>> with track(model_state={"w": jnp.ones(3)}) as tracker:
        ...     loss = tracker.intercept(jax.jit(lambda w: tag(w * 2, "doubled").sum()), jnp.ones(3))
        >>> float(loss)
        6.0

        Jitted programs in it run with the measurements as one more result; outside of them values are measured when
        they are computed. Exceptions of the function pass through.

        Args:
            function: may be jitted, call jitted functions, and use any of JAX's transforms.
            args, kwargs: its arguments.
        """
        if self._state == "new":
            self.warn_once(NOT_BEGUN)
        if self._state not in ("on", "failed") or naming.namer is self._namer:
            return function(*args, **kwargs)
        if callable(function) and is_traced():  # it becomes part of a program that others run
            self._interception.functions.append(function)
            self._interception.is_inside = True
            return function(*args, **kwargs)
        if not _entry.available():  # nothing that JAX traces may be changed where what it runs cannot be
            self._interception.functions.append(function)
            return function(*args, **kwargs)
        if naming.namer is not None and self._state == "on":
            naming.namer.is_taken = True
        with self._namer.on(self._context):
            if self._state == "failed":
                return function(*args, **kwargs)
            return self._call(function, args, kwargs)

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose every call is intercepted: `step_fn = tracker.wrap(step_fn)`, or `@tracker.wrap`.

        >>> import jax.numpy as jnp
        >>> from tandv.track.jax import tag, track
        >>> with track() as tracker:
        ...     double = tracker.wrap(jax.jit(lambda x: tag(2 * x, "doubled")))
        ...     y = double(jnp.ones(3))
        ...     tracker.step()
        >>> y.tolist()
        [2.0, 2.0, 2.0]

        Args:
            function: as for `intercept`. What a jitted function can do beside being called, such as `lower`, the one
                returned can, too; what that compiles is the function itself, without measurements.
        """

        @functools.wraps(function, updated=())
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return self.intercept(function, *args, **kwargs)

        for name in _OF_JITTED:
            if callable(method := getattr(function, name, None)):
                setattr(wrapped, name, self._noting_lower(method) if name == "lower" else method)
        return wrapped

    def _noting_lower(self, lower: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(lower)
        def noting(*args: Any, **kwargs: Any) -> Any:
            self._interception.is_lowered = True
            return lower(*args, **kwargs)

        return noting

    def record(self, m: Measurements, steps_axis: int | None = None, **numbers: Any) -> None:
        """Record the measurements that a function made by `measured` returned, as part of the current step.

        >>> import jax.numpy as jnp
        >>> from tandv.track.jax import measured, tag, track
        >>> double = measured(lambda x: tag(2 * x, "doubled"))
        >>> _, m = jax.jit(lambda xs: jax.lax.scan(lambda sum, x: (sum, double(x)[1]), 0, xs))(jnp.arange(3.0))
        >>> with track() as tracker:
        ...     tracker.record(m, steps_axis=0)
        >>> tracker.steps
        3

        Args:
            m: the measurements; they are copied to the host with those of other steps, unless `steps_axis` is given.
            steps_axis: the axis of `m` that numbers training steps, where they are scanned over; always 0. Each is
                recorded as `every` says and ended here; do not call `step` for them.
            numbers: numbers of the step, such as `loss=loss`, see `numbers`; with `steps_axis` arrays [steps].

        Raises ValueError where `m` is no measurement, still being traced, or has another number of axes or other block
        formats.
        """
        if problems := record_problems(m, steps_axis, numbers, self._formats, self._own is not None):
            raise ValueError("cannot record this:\n  " + "\n  ".join(problems))
        if self._state != "on":
            return
        self._guard("recording measurements", lambda: self._keep_record(m, steps_axis, numbers))

    def _keep_record(self, m: Measurements, steps_axis: int | None, numbers: dict[str, Any]) -> None:
        self._note(m)
        if self._formats and not m.formats:
            self.warn_once(
                "what was recorded has no block formats, which this tracker measures; give measured(..., formats=...)"
            )
        self._formats = self._formats or m.formats
        if steps_axis is None:
            if numbers:
                self.numbers(**numbers)
            if self.recording:
                self._before_program()
                self._measured.programs.append(OnDevice(list(m.records), packed(m.words)))
            return
        of_steps = {name: np.asarray(jax.device_get(values)) for name, values in numbers.items()}
        for i, words in enumerate(steps_of(m)):
            if self.recording:
                self._measured.programs.append(
                    OnDevice(list(m.records), np.concatenate([w.reshape(-1) for w in words]))
                )
            super().step(**{name: values[i] for name, values in of_steps.items()})

    def _call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self._raised_in == self.steps:
            self._guard("after a call that raised", self._begin_again)
        if self._loop.add(function):
            self._guard("the first call", self._first_call)
        self._interception.prepare(function, args, kwargs, self._trees.latest["model_state"])
        if self.recording:
            self._guard("reading the weights", self._trees.read_changed)
            if self._namer.gradients and is_differentiated():
                self.warn_once(GRADIENTS_OUTSIDE)
        try:
            return self._interception.call(function, args, kwargs, self.recording)
        except BaseException:
            self._raised_in = self.steps
            raise
        finally:
            if self.recording:
                self._guard("after a call", lambda: self._after_call(function, args, kwargs))

    def _first_call(self) -> None:
        if (function := self._loop.function) is not None and one_step_runs.begins(function, self):
            self.warn_once(IN_LOOP)

    def _look_back(self) -> None:
        """Warn where the run was not divided into its steps as it should be; keep the last one that has no end."""
        if self._loop.are_at_the_end:
            if self.recording:
                self._end()
            self.warn_once(TOP_OF_LOOP + "with the values after the update")
        if (function := self._loop.function) is not None and one_step_runs.ends(function, self):
            self.warn_once(IN_LOOP)

    @property
    def took_one_step(self) -> bool:
        """Tell whether one step has been ended, in which a function was intercepted."""
        return self.steps - (self.settings.init_step or 0) == 1 and self._loop.has_called

    def step_over(self) -> None:
        self._loop.step_over()

    def _after_call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self._measured.programs.extend(self._interception.take_found())
        self._interception.note_new_programs(function, args, kwargs)
        self._note(self._namer)
        self._read_again()

    def _begin_again(self) -> None:
        """Drop what belongs to an attempt at this step that raised, and was not ended: the loop goes on anew."""
        self._raised_in = None
        if self._measured.programs or self._given:
            self.warn_once(
                f"a call raised at step {self.steps}, and another one followed without tracker.step(): what was "
                "measured in that step before is dropped, so that its rows are of what came after. To keep it as a "
                "step of its own, call tracker.step() where you catch the exception",
                "a call raised",
            )
        self._given = {}
        if self.recording:
            self._measured.programs.clear()
            self._phases.clear()
            self._trees.begin_again(self.steps, is_sure=self._names_known)

    def _before_program(self) -> None:
        self._guard("reading the weights", self._read_again)

    def _read_again(self) -> None:
        """Read the weights of the first step again, once tracing has shown that layers are stacked."""
        self._trees.stacks |= self._namer.stacks
        self._trees.read_again()

    def _note(self, namer: Namer | Measurements) -> None:
        self._trees.stacks |= namer.stacks
        self._modules.note(namer.names, namer.root)
        self._names_known = self._names_known or bool(namer.names)
        for dtype, name in namer.left_out.items():
            self.warn_once(*not_measured(dtype, ACTIVATION, name))
        if isinstance(namer, Namer):
            for about, message in said_of(namer).items():
                self.warn_once(message, about)
        if namer.error is not None:
            self.warn_once(f"some outputs are not recorded: {namer.error}")
