"""The tracker of a PyTorch model: what is captured, and what happens where a step ends."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tandv.analysis.findings.finding import Finding
from tandv.track.common.block_formats import Axes
from tandv.track.common.loops import IN_LOOP, one_step_runs
from tandv.track.common.numbers import Reading
from tandv.track.common.on_finding import stops
from tandv.track.common.reporting import print_line
from tandv.track.common.saving import Source
from tandv.track.common.stash import Stashed
from tandv.track.common.tracker import Tracker
from tandv.track.settings import Settings
from tandv.track.torch import _weights
from tandv.track.torch._between import StepCheck
from tandv.track.torch._blocks import BlockMeasurements
from tandv.track.torch._capture import OutputCapture
from tandv.track.torch._copied import CopiedTracker
from tandv.track.torch._coverage import FIRST, UNSEEN, Coverage, Seen, seen_now
from tandv.track.torch._distributed import together
from tandv.track.torch._measurements import TorchMeasurements
from tandv.track.torch._modes import alone
from tandv.track.torch._numbers import reading
from tandv.track.torch._parameters import ParameterCapture
from tandv.track.torch._rank_logs import OwnMeasurements, RankLog
from tandv.track.torch._ranks import Ranks
from tandv.track.torch._scaler import ScalerWatch
from tandv.track.torch._shared_measurements import SharedMeasurements
from tandv.track.torch._stash import stash_all_stats_and_hist
from tandv.track.torch._step_calls import by_name
from tandv.track.torch._step_hooks import remove_rest
from tandv.track.torch._swaps import swaps
from tandv.track.torch._tree import Tree
from tandv.track.torch._trials import trials
from tandv.track.torch._units import UnitSums
from tandv.track.torch.names import unwrap

_EVENTS_AT_MOST = 1000  # in run.json


class TorchTracker(Tracker):
    """The tracker of a PyTorch model, which `track` makes.

    >>> from tandv.track.torch import track
    >>> model = nn.Linear(3, 1)
    >>> with track(model) as tracker:
    ...     model(torch.ones(1, 3)).sum().backward()
    ...     tracker.step()
    >>> isinstance(tracker, TorchTracker), tracker.steps
    (True, 1)

    Args:
        settings: what `track` was given.
        model: the model, wrapped or not.
        optimizers: those that `track` was given.
        ranks: the ranks that are tracked together, None where there is one alone.
        per_rank: keep the rows of each rank.
        only_training: record outputs only while the model is in training mode.
        formats: block formats that operands are measured in.
        formats_axis: the axis of blocks, see `track`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        ranks: Ranks | None,
        per_rank: bool,
        only_training: bool,
        formats: Sequence[str] = (),
        formats_axis: Axes = None,
    ):
        self._model, self._ranks = model, ranks
        self.asked = only_training, per_rank, formats, formats_axis, [id(one) for one in optimizers]
        self._writes_log = ranks is None or ranks.rank == 0
        insight = settings.insight_asked() if self._writes_log else None
        super().__init__(
            settings,
            title=type(unwrap(model)).__name__,
            framework=f"torch {torch.__version__}",
            measurements=_measurements(settings, ranks, per_rank, formats, formats_axis),
            insight=insight,
        )
        if ranks is not None:
            open_log, every = self._open, settings.every
            steps = f"every={'a function' if callable(every) else every}, init_step={settings.init_step or 0}"
            steps += ", on_finding that may stop the run" if stops(settings.on_finding) else ""
            threaded, may_stop = settings.async_offload is not False, stops(settings.on_finding)

            def opened() -> Any:
                if not isinstance(self.measurements, OwnMeasurements):
                    return together(ranks, steps, open_log, self.measurements, threaded, may_stop)
                log = RankLog(ranks, open_log)
                log.enter(steps, self.measurements)
                return log

            self._open = opened
        self.units = UnitSums() if settings.units else None
        if self.units is not None:
            self.keep_to_budget(self.units, "add", "take")
        self.check: StepCheck | None = None
        if self.between is not None and self._writes_log:
            self.check = StepCheck(self.between, model, self.warn_once)
        gradients = settings.track_gradients is not False
        tree = self.tree = Tree(model, settings.selects)
        self._outputs = OutputCapture(
            self, model, tree, gradients, only_training, settings.inputs, settings.attention, settings.experts
        )
        self._parameters = parameters = ParameterCapture(
            self, tree, optimizers, settings.track_weights, gradients, settings.track_updates, insight
        )
        self.scaler = ScalerWatch(self, parameters.pass_over, parameters.unscaled, parameters.scaler_stepped)
        if parameters.insight is not None:
            if self.raster is not None:
                parameters.insight.record_signs(self.raster)
            self.keep_to_budget(parameters.insight, "before_step", "after_step")
        self._coverage, self._told_parameters = Coverage(), False
        self._events: list[dict[str, Any]] = []  # changes of the model, with their step

    def __reduce__(self) -> Any:
        return CopiedTracker, (self.path, self.out_path, self.steps)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is not None and self._ranks is not None:
            self.measurements.clear()  # of the unfinished step: other ranks may have reached another point of theirs
        if error is None and self.is_on:
            self._guard("the end of the run", self._look_back)
        super().__exit__(kind, error, trace)
        remove_rest()  # where it failed within a hook

    def _look_back(self) -> None:
        """Warn where the run was not divided into its steps as it should be; keep the last one that has no end."""
        if self._coverage.is_called_first(self._seen):
            if self.recording and self._ranks is None:
                self._end()
            if self._writes_log:
                self.warn_once(FIRST)
        if one_step_runs.ends(unwrap(self._model), self):
            self.warn_once(IN_LOOP)

    @property
    def took_one_step(self) -> bool:
        """Tell whether one step has been ended, in which the model was trained."""
        return self.steps - (self.settings.init_step or 0) == 1 and self._coverage.has_trained

    step = by_name(alone(Tracker.step))

    def weights(self) -> Source | None:
        return _weights.source(self._model) if self._writes_log else None

    def reading(self, value: Any) -> Reading:
        return reading(value)

    def attach(self) -> None:
        for message in one_step_runs.said_at_beginning(unwrap(self._model), self) if self._writes_log else ():
            self.warn_once(message)
        swaps.join(torch.utils, self._on_swap)
        trials.join(self)
        self.scaler.attach()
        self._outputs.attach()
        self._parameters.attach()

    def detach(self) -> None:
        swaps.leave(self._on_swap)
        trials.leave(self)
        self.scaler.detach()
        self._outputs.detach()
        self._parameters.detach()
        if self._ranks is not None:
            self.measurements.leave()

    def start_of_step(self) -> None:
        self.scaler.start_of_step()
        self._outputs.next_step()
        self._parameters.start_of_step()

    def look(self, within: bool = False) -> None:
        """Follow a change of the model's modules and parameters.

        Args:
            within: whether the model is being called now.
        """
        if self.tree.look(within):
            self._outputs.follow()
            self._parameters.follow()

    def _on_swap(self, one: Any, other: Any, over: Any) -> None:
        arrivals, met = self._parameters.arrivals, self._outputs.met
        try:
            for tensor in (one, other):
                if over:
                    arrivals.swapped(tensor)
                else:
                    arrivals.let_go(tensor)
                    met.let_go(tensor)
        except Exception as error:
            self.fail("where tensors are swapped", error)

    @alone
    def forward_begun(self) -> None:
        self._parameters.forward_begun()

    def end_of_step(self) -> None:
        if not self._outputs.saw_outputs:
            self.look()
        self._parameters.end_of_step()
        stepped, refused = self._parameters.stepped, self._parameters.refused
        self.of_step |= self.scaler.of_step(stepped, refused)
        if self._parameters.insight is not None:
            skipped = self.scaler.scale is not None and not stepped and refused is None
            self.of_rows = self._parameters.insight.end_of_step(skipped, self._parameters.arrivals.is_new)
        if self.units is not None:
            self.of_units = self.units.take()
        saw_any = self._outputs.saw_outputs or self._outputs.saw_parametrizations
        if not saw_any and self._outputs.expected and self._parameters.has_gradients:
            self.warn_once(UNSEEN)
        arrivals = self._parameters.arrivals
        self._outputs.warn_unseen(bool(arrivals) and not arrivals.only_before_forward)
        self.look()

    def step_over(self) -> None:
        """Follow the model, and warn where `step` is called at the wrong place."""
        if not self.recording:
            self.look()
            if self.check is not None and self._parameters.steps_by_hand:
                self.check.left(self.tree.parameters)
        for event in self.tree.events():
            if not self._events:
                print_line(f"step {self.steps}: {event}; it is followed, and the run's run.json keeps such events")
            if len(self._events) < _EVENTS_AT_MOST:
                self._events.append({"step": self.steps, "event": event})
        mistake = self._coverage.add(self._seen)
        if mistake is not None:
            self.warn_once(mistake)
        self._outputs.next_step()
        self._parameters.step_over()

    @property
    def _seen(self) -> Seen:
        return seen_now(self.recording, self._outputs, self._parameters)

    @property
    def decides_alone(self) -> bool:
        return self._ranks is None

    def agreed_stop(self, finding: Finding | None) -> Finding | None:
        """Return the finding of the first rank on all of them, at steps that are recorded, where they meet anyway.

        Args:
            finding: the one that this rank knows of.
        """
        if self._ranks is None:
            return finding
        return self._ranks.first_ones(finding, self.steps) if self.recording else None

    def coverage_summary(self) -> str | None:
        if self._ranks is not None and self._ranks.rank:
            return None  # the first rank reports it
        parameters = self._parameters
        gradients = parameters.trained if self.settings.track_gradients else None
        return self._coverage.summary(self._outputs.recorded, gradients, self._warned)

    def _tells_parameters(self) -> bool:
        """Tell whether run.json gets a line for each parameter now: once while the run goes on, and at its end."""
        told, self._told_parameters = self._told_parameters, True
        return not (told and self.is_on)

    def _facts(self) -> dict[str, Any]:
        parameters = self._parameters
        return {
            **super()._facts(),
            **({"parameters": parameters.facts()} if self._tells_parameters() else {}),
            "coverage": self._coverage.facts(self._outputs.recorded, parameters.trained, parameters.unread),
            **({"events": list(self._events)} if self._events else {}),
            **({"optimizers_not_given": list(parameters.optimizers.found)} if parameters.optimizers.found else {}),
        }


def uses_own_function(settings: Settings) -> bool:
    """Tell whether a function of the user takes the place of tandv's statistics."""
    return settings.stash_value not in (None, stash_all_stats_and_hist)


def _measurements(settings: Settings, ranks: Ranks | None, per_rank: bool, formats: Sequence[str], axes: Axes) -> Any:
    if ranks is not None:
        if per_rank:
            return OwnMeasurements(ranks, settings.exponents)
        return SharedMeasurements(ranks, settings.exponents, torch.get_num_threads)
    if settings.stash_value is not None and uses_own_function(settings):
        return Stashed(settings.stash_value)
    if formats:
        return BlockMeasurements(formats, axes, settings.exponents)
    return TorchMeasurements(settings.exponents)
