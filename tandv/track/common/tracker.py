"""The tracker of every framework: which steps are recorded, with which numbers, and in which phases."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, SupportsFloat

from tandv.analysis.findings.finding import Finding
from tandv.names import check_writable
from tandv.track.common._steps import ChosenSteps
from tandv.track.common.acting import Acting
from tandv.track.common.attention import with_heads
from tandv.track.common.between import BetweenSteps
from tandv.track.common.budget import Budget
from tandv.track.common.experts import with_experts
from tandv.track.common.folders import run_paths
from tandv.track.common.measurements import Block, StepMeasurements, with_step
from tandv.track.common.numbers import ALLOWED, Reading, check_curve, mean_of
from tandv.track.common.on_finding import FindingStop, actions_for, stops
from tandv.track.common.saving import Checkpoints
from tandv.track.common.units import Key, UnitHistory, Units
from tandv.track.common.watching import FACTS_AT, Watching
from tandv.track.common.writer import Writer
from tandv.track.insight.numbers import InsightSettings, Numbers, with_numbers
from tandv.track.insight.raster import RasterWriter
from tandv.track.settings import Settings


class Tracker(ChosenSteps):
    """Record the tensors of a training run, step by step, within `with track(...)`.

    `step()` is called after each optimiser step. `start()` and `close()` do what the block does, for code that cannot
    have one. `path` is the run's folder; after the end `out_path` is the finished log, or the folder
    where that is the log or there is none.
    The tracker of a framework records (`attach`, `detach`, `end_of_step`).

    Args:
        settings: what `track` was given.
        title: class of the model.
        framework: name and version, for `run.json`.
        measurements: what keeps the measurements of a step; on the host by default.
        insight: what is recorded of optimisation, None for nothing.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        title: str,
        framework: str,
        measurements: Any = None,
        insight: InsightSettings | None = None,
    ):
        super().__init__()
        self.settings = settings
        self.measurements = measurements if measurements is not None else StepMeasurements(settings.exponents)
        self.steps = settings.init_step or 0  # number of the current step
        self.recording = False
        self.of_step: dict[str, SupportsFloat] = {}  # numbers of the whole step, columns of all its rows
        self.of_rows: Callable[[], Numbers] | None = None  # numbers of some rows, read where rows are made
        self.of_units: Callable[[], Mapping[Key, Units]] | None = None  # the units of tensors, likewise
        self._unit_history = UnitHistory()
        self._given: dict[str, list[Reading]] = {}  # numbers of the loop, in the current step
        self._recorded = 0  # steps since entering
        self.path, self.out_path = run_paths(settings.path, settings.name, title, settings.offload_type)
        self.raster: RasterWriter | None = None  # of the signs of gradients, where insight is asked for it
        if insight is not None and insight.raster:
            self.raster = RasterWriter(lambda: self._writer.folder, insight.thresholds[-1], insight.raster)
        about = {"model": title, "framework": framework}
        self._acting: Acting | None = None
        if settings.on_finding is not None:
            watching = Watching(self._facts_of_rules)
            self._acting = Acting(watching, actions_for(settings.on_finding))
        exports = [
            *settings.exports(title),
            *([self.raster] if self.raster is not None else []),
            *([self._acting.watching] if self._acting is not None else []),
        ]
        self._is_followed = bool(exports)
        self._open = functools.partial(
            Writer, path=self.path, offload_type=settings.offload_type, in_background=settings.async_offload,
            info=about, exports=exports,
        )  # fmt: skip
        self._checkpoints: Checkpoints | None = None
        self._stopping: Finding | None = None
        if settings.every != 1 or settings.budget is not None:
            self.between = BetweenSteps()
        self._budget: Budget | None = None
        if settings.budget is not None:
            self._keep_to(Budget(settings.budget, beside=lambda: self._writer.seconds))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Record what is computed inside in rows of its own, with the name in the log's column "phase".

        >>> import torch
        >>> from tandv.track.common import read_pickle
        >>> from tandv.track.torch import track
        >>> model = torch.nn.Linear(3, 1)
        >>> with track(model) as tracker:
        ...     with tracker.phase("rollout"), torch.no_grad():
        ...         for _ in range(31):
        ...             samples = model(torch.ones(1, 3))
        ...     model(torch.ones(1, 3)).sum().backward()
        ...     tracker.step()
        >>> log = read_pickle(tracker.out_path)
        >>> outputs = log[log["metadata", "tensor_type"] == "Activation"]
        >>> dict(zip(outputs["metadata", "phase"], outputs["scalar_stats", "calls"].tolist()))
        {'': 1, 'rollout': 31}

        This applies to inputs and outputs of modules and their gradients; a gradient belongs to the phase in which it
        is computed, or outside of any to that of its forward pass. Parameters, their gradients and states of
        optimisers belong to the whole step. A phase within another is called "outer/inner".

        Args:
            name: value in the column "phase".

        Raises ValueError for a name that is no text, empty, or no file can hold.
        """
        if not isinstance(name, str) or not name:
            raise ValueError(f'phase({name!r}): a phase needs a name, such as tracker.phase("rollout")')
        check_writable(name, "phase")
        before = self.measurements.phase
        self.phase_changes()
        self.measurements.phase = f"{before}/{name}" if before else name
        try:
            yield
        finally:
            self.phase_changes()
            self.measurements.phase = before

    def numbers(self, /, **numbers: Any) -> None:
        """Keep numbers of the current step, such as a loss, as curves in the run's folder; several are averaged.

        >>> import torch
        >>> from tandv.curves import read_curves
        >>> from tandv.track.torch import track
        >>> model = torch.nn.Linear(3, 1)
        >>> with track(model) as tracker:
        ...     for target in (0.0, 1.0):  # micro-batches
        ...         loss = (model(torch.zeros(1, 3)) - model.bias.detach() - target).square().sum()
        ...         loss.backward()
        ...         tracker.numbers(loss=loss)
        ...     tracker.step(lr=0.1)
        >>> read_curves(tracker.path).to_dict("list")
        {'loss': [0.5], 'lr': [0.1]}

        Plots, the viewer and reports of the run show them beside its tensors. They are read when they have arrived from
        their device, which is not waited for. Also steps that are not recorded have them.

        Args:
            numbers: any names, with numbers, or tensors of one number on any device; None where there is none.

        Raises RuntimeError outside the `with` block.
        """
        self._check_running("numbers")
        if self._state == "on":
            self._take(numbers)

    def step(self, /, **numbers: Any) -> None:
        """End the current training step; call it after each optimiser step.

        >>> import torch
        >>> from tandv.track.torch import track
        >>> model = torch.nn.Linear(3, 1)
        >>> with track(model) as tracker:
        ...     for _ in range(2):
        ...         loss = model(torch.ones(1, 3)).sum()
        ...         loss.backward()
        ...         tracker.step(loss=loss)
        >>> tracker.steps
        2

        Args:
            numbers: numbers of the step, such as `loss=loss, lr=1e-3`, which are kept as curves, see `numbers`. A rule
                for saving checkpoints watches them.

        Raises RuntimeError outside the `with` block, and `FindingStop` where `track(on_finding="stop")` has found an
        error: then the tracker has been closed, and the log is written.
        """
        self._check_running("step")
        if self._state != "on":
            return
        if self._acting is not None and self._acting.is_calling:
            self.warn_once(self._acting.within(self.steps), "step within a function")
            return
        try:
            self._end_step(numbers)
        except BaseException:  # Ctrl-C: some rows of the step may be written already, so it is over
            self.measurements.clear()
            raise
        finally:
            self.steps += 1
            if self._state == "on" and self._stopping is None:
                self._guard("the start of a step", self._begin)
        if self._stopping is not None:
            stop, self._stopping = FindingStop(self._stopping), None
            self._stop(f"ended by {type(stop).__name__}")
            raise stop

    # Inside.

    def _end_step(self, numbers: Mapping[str, Any]) -> None:
        if numbers:
            self._take(numbers)
        self._guard("the numbers of a step", self._keep_numbers)
        if self.recording:
            self._guard("the end of a step", self._end)
        self._guard("the end of a step", self.step_over)
        if self.between is not None:
            self._guard("the check of a step", self._end_check)
        if self._budget is not None:
            self._budget.step_ended(self.recording)
        if self._acting is not None:
            self._guard("findings", self._act)
        if self._state == "on" and self._checkpoints is not None:
            self._checkpoints.begin(self.steps + 1)

    def _take(self, numbers: Mapping[str, Any]) -> None:
        """Take numbers of the current step; what is none is reported once for each name."""
        if not self._writer.writes:
            return
        for name, value in numbers.items():
            try:
                check_curve(name)
                if value is not None:
                    reading = self.reading(value)
                    self._given.setdefault(name, []).append(reading)
            except Exception as error:  # of any class: what is given may be anything
                written = name.encode("utf-8", "backslashreplace").decode()
                self.warn_once(
                    f"{written}= of step {self.steps} is not kept: {error}; {ALLOWED}. The other numbers are kept",
                    f"number {name}",
                )

    def _keep_numbers(self) -> None:
        given, self._given = self._given, {}
        if given:
            numbers = {name: mean_of(readings) for name, readings in given.items()}
            self._writer.keep_numbers(self.steps, numbers, self.settings.offload_inc if not self.recording else None)
            if self._checkpoints is not None:
                self._checkpoints.add_numbers(self.steps, numbers)
            if self.between is not None and not self.recording:
                self.between.add_loss(numbers)
            if self._acting is not None and self.recording:
                self._acting.watching.add_numbers(self.steps, numbers)

    def _facts_of_rules(self) -> dict[str, Any]:
        """Return what run.json says so far; where the run ends, what it is about to say.

        While the run goes on, this is asked in the thread of the writer, where only the former can be known.
        """
        ends = self._acting is not None and self._acting.is_ending
        return self._writer.info | (self._facts() if ends else self._facts_between())

    def _facts_between(self) -> dict[str, Any]:
        return {} if self.between is None else self.between.facts()

    def _act(self) -> None:
        """Act on findings; `_stopping` is the one that stops the run."""
        assert self._acting is not None
        if self._writer.writes:
            self._acting.act(self.steps, self._checkpoints)
        if stops(self.settings.on_finding):
            self._stopping = self.agreed_stop(self._acting.stop)

    def _facts(self) -> dict[str, Any]:
        """Return what run.json reports when the run ends."""
        return {
            **({"steps_left_out_while_writing": self._skipped} if self._skipped else {}),
            **({"budget": self._budget.facts()} if self._budget is not None else {}),
            **(self._checkpoints.facts() if self._checkpoints is not None else {}),
            **(self._acting.facts() if self._acting is not None else {}),
            **self._facts_between(),
        }

    def _end(self) -> None:
        self._writer.catch_up()
        self.end_of_step()
        self._keep()
        asked = self._acting is not None and self._recorded == FACTS_AT
        if self._recorded % self.settings.offload_inc == 0 or asked:
            self.drain()
            self._writer.flush(self._facts())
        elif self._acting is not None:
            self.drain()  # so that the rules see each step at once

    def _keep(self) -> None:
        later, of_step, of_rows, units = (
            self.measurements.take_later(self.steps), self.of_step, self.of_rows, self.of_units
        )  # fmt: skip
        order = self.measurements.execution.end_of_step()
        self.of_step, self.of_rows, self.of_units = {}, None, None

        def make() -> list[Block]:
            block = with_numbers(with_step(with_experts(with_heads(later.make())), of_step, order), of_rows)
            return [block if units is None else self._unit_history.added_to(block, units())]

        self.hold(make, later.size)
        self._recorded += 1
