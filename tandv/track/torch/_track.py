"""`track` of PyTorch: check every argument, and make the tracker."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from tandv.track.common.numbers import Reading
from tandv.track.common.saving import SaveRule, Source
from tandv.track.common.stash import Stashed
from tandv.track.common.tracker import Tracker
from tandv.track.common.writer import say
from tandv.track.insight.numbers import InsightSettings
from tandv.track.settings import Every, Pattern, Settings, refuse, truth_problems
from tandv.track.torch import _weights
from tandv.track.torch._capture import OutputCapture
from tandv.track.torch._coverage import UNSEEN, Coverage, Seen
from tandv.track.torch._distributed import SharedMeasurements, find_ranks, problems, together
from tandv.track.torch._measurements import TorchMeasurements
from tandv.track.torch._modes import alone
from tandv.track.torch._numbers import reading
from tandv.track.torch._parameters import ParameterCapture
from tandv.track.torch._scaler import ScalerWatch
from tandv.track.torch._stash import stash_all_stats_and_hist
from tandv.track.torch._swaps import swaps
from tandv.track.torch._tree import Tree
from tandv.track.torch.names import module_names, parameter_names, unwrap

_EVENTS_AT_MOST = 1000  # in run.json

Optimizers = torch.optim.Optimizer | Iterable[torch.optim.Optimizer] | None


class TorchTracker(Tracker):
    """The tracker of a PyTorch model, which `track` makes.

    >>> model = nn.Linear(3, 1)
    >>> with track(model) as tracker:
    ...     model(torch.ones(1, 3)).sum().backward()
    ...     tracker.step()
    >>> isinstance(tracker, TorchTracker), tracker.steps
    (True, 1)

    Args:
        settings: what `track` was given.
        title: class of the model.
        measurements: what keeps the measurements of a step.
        insight: what is recorded of optimisation, None for nothing.
    """

    _outputs: OutputCapture
    _parameters: ParameterCapture
    scaler: ScalerWatch
    tree: Tree
    weights_source: Callable[[], Source | None]

    def __init__(self, settings: Settings, *, title: str, measurements: Any, insight: InsightSettings | None):
        framework = f"torch {torch.__version__}"
        super().__init__(settings, title=title, framework=framework, measurements=measurements, insight=insight)
        self._coverage = Coverage()
        self._events: list[dict[str, Any]] = []  # changes of the model, with their step

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is not None and isinstance(self.measurements, SharedMeasurements):
            self.measurements.clear()  # of the unfinished step: other ranks may have reached another point of theirs
        super().__exit__(kind, error, trace)

    step = alone(Tracker.step)

    def weights(self) -> Source | None:
        return self.weights_source()

    def reading(self, value: Any) -> Reading:
        return reading(value)

    def attach(self) -> None:
        swaps.join(torch.utils, self._on_swap)
        self.scaler.attach()
        self._outputs.attach()
        self._parameters.attach()

    def detach(self) -> None:
        swaps.leave(self._on_swap)
        self.scaler.detach()
        self._outputs.detach()
        self._parameters.detach()
        if isinstance(self.measurements, SharedMeasurements):
            self.measurements.ranks.leave()

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
        if not self._outputs.saw_outputs and self._outputs.expected and self._parameters.has_gradients:
            self.say_once(UNSEEN)
        self._outputs.say_unseen()
        self.look()

    def step_over(self) -> None:
        """Follow the model, and warn where `step` is called at the wrong place."""
        if not self.recording:
            self.look()
        for event in self.tree.events():
            if not self._events:
                say(f"step {self.steps}: {event}; it is followed, and the run's run.json keeps such events")
            if len(self._events) < _EVENTS_AT_MOST:
                self._events.append({"step": self.steps, "event": event})
        outputs, parameters = self._outputs, self._parameters
        seen = Seen(
            recorded=self.recording,
            outputs=outputs.saw_outputs,
            evaluated=outputs.evaluated or outputs.is_evaluated,
            gradients=parameters.has_gradients,
            only_before=parameters.arrivals.only_before_forward,
            stepped=parameters.optimizer_stepped,
            late=parameters.late,
        )
        mistake = self._coverage.add(seen)
        if mistake is not None:
            self.say_once(mistake)
        outputs.next_step()
        parameters.step_over()

    def covered(self) -> str | None:
        if isinstance(self.measurements, SharedMeasurements) and self.measurements.ranks.rank:
            return None  # the first rank reports it
        parameters = self._parameters
        gradients = parameters.trained if self.settings.track_gradients else None
        return self._coverage.said(self._outputs.recorded, gradients, self._said)

    def _facts(self) -> dict[str, Any]:
        parameters = self._parameters
        return {
            **super()._facts(),
            "coverage": self._coverage.facts(self._outputs.recorded, parameters.trained, parameters.unread),
            **({"events": self._events} if self._events else {}),
            **({"optimizers_not_given": parameters.optimizers.found} if parameters.optimizers.found else {}),
        }


def track(
    module: nn.Module,
    track_gradients: bool = True,
    optimizer: Optimizers = None,
    track_weights: bool = True,
    include: Pattern | None = None,
    exclude: Pattern | None = None,
    stash_value: Callable[[torch.Tensor], Any] | None = None,
    async_offload: bool | None = None,
    offload_inc: int = 10,
    offload_type: str = ".pkl",
    use_wandb: bool | str = False,
    only_stash_during_training: bool = True,
    init_step: int | None = None,
    *,
    track_updates: bool = False,
    every: Every = 1,
    budget: str | float | None = None,
    exponents: tuple[int, int] | None = None,
    tensorboard: Any = None,
    name: str | None = None,
    path: str | Path | None = None,
    process_group: Any = None,
    per_rank: bool = False,
    save: SaveRule | None = None,
    insight: Any = False,
    inputs: bool = False,
) -> TorchTracker:
    """Record what happens inside `module` while it trains: one row for each tensor and step.

    >>> from tandv.track.common import read_pickle
    >>> model = nn.Linear(3, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with track(model, optimizer=optimizer) as tracker:
    ...     for step in range(5):
    ...         loss = model(torch.randn(8, 3)).square().mean()
    ...         loss.backward()
    ...         optimizer.step()
    ...         optimizer.zero_grad()
    ...         tracker.step()
    >>> log = read_pickle(tracker.out_path)
    >>> sorted(log["metadata", "tensor_type"].unique())
    ['Activation', 'Gradient', 'Weight', 'Weight_Gradient']

    Args:
        module: the model; a compiled or a DistributedDataParallel one as well.
        track_gradients: record gradients with respect to module outputs, and of the weights.
        optimizer: one or several, whose state is recorded too; `track(model, optimizer)` is understood. Others that
            step on the model's parameters are found.
        track_weights: record the weights that the step's forward pass uses.
        include, exclude: regular expressions searched in the dotted names of modules and parameters.
        stash_value: your own function of one tensor instead of tandv's statistics, see `stash_scalar_stats`.
        async_offload: True writes in a thread, False where the step ends; None in a thread, for which training waits
            where it must, so that a killed process loses no more steps than lie between two flushes.
        offload_inc: tracked steps between two flushes to disk.
        offload_type: format of the finished log, ".pkl" or ".parquet".
        use_wandb: log to the active W&B run as well; "rows" gives each recorded step a row of its own, at once.
        only_stash_during_training: outputs are recorded only while `module.training` is set.
        init_step: number of the first step, to continue after a checkpoint; 0 by default.
        track_updates: record what each step adds to the weights; needs a copy of them.
        every: record every n-th step, or the steps for which a function of the step is true.
        budget: how much longer training may take, such as "2%" or 0.02; chooses the interval instead of `every`.
        exponents: (lowest, highest) powers of two that get a column of the histogram; values outside are counted in
            -inf and inf. By default all that occur.
        tensorboard: a SummaryWriter of yours that each recorded step is written to as well.
        name, path: the run's folder is `tandv-runs/<name>` or `path`; a taken name gets a number.
        process_group: the ranks that are tracked together, where there are several; all by default. Each measures its
            part, and the first writes one log of the whole.
        per_rank: keep the rows of each rank instead of merging them.
        save: at which steps the weights are saved in the run's folder, see `tandv.track.SaveRule`.
        insight: record what optimisation does: gradients that are zero, stay zero or change sign, how far weights
            move, minima passed, updates lost to rounding. True, or a dict: `thresholds` below which a gradient counts
            as zero, `raster` to keep the signs of all gradients for `viz.gradient_raster`.
        inputs: record what modules are given, as tensor type "Input": a module's name, "name[1]" for the second of
            several arguments, "name[mask]" for one given by its name.

    Raises TypeError or ValueError that names every argument that is wrong.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"track() needs a torch.nn.Module, not {_described(module)}; pass the model itself")
    if optimizer is None and _are_optimizers(track_gradients):
        track_gradients, optimizer = True, cast(Optimizers, track_gradients)  # track(model, optimizer)
    settings = Settings(
        track_gradients=track_gradients,
        track_weights=track_weights,
        track_updates=track_updates,
        include=include,
        exclude=exclude,
        stash_value=stash_value,
        every=every,
        budget=budget,
        exponents=exponents,
        init_step=init_step,
        name=name,
        path=path,
        offload_inc=offload_inc,
        offload_type=offload_type,
        async_offload=async_offload,
        use_wandb=use_wandb,
        tensorboard=tensorboard,
        save=save,
        insight=insight,
        inputs=inputs,
    )
    optimizers = _as_list(optimizer)
    parameters = parameter_names(module)
    is_empty = not parameters  # it gets its layers later, as by Lightning's configure_model
    ranks = find_ranks(process_group)
    own = stash_value not in (None, stash_all_stats_and_hist)
    names = dict.fromkeys(named.name for named in (*module_names(module).values(), *parameters.values()))
    refuse(
        [
            *settings.problems(None if is_empty else list(names)),
            *truth_problems({"only_stash_during_training": only_stash_during_training, "per_rank": per_rank}),
            *(truth_problems({"track_gradients": track_gradients}) if track_gradients is None else []),
            *problems(module, ranks, own, budget),
            *(_weights.problems(module) if save is not None else []),
            *_lazy_problems(parameters),
            *_optimizer_problems(optimizers, None if is_empty else set(parameters)),
        ]
    )

    measurements: Any = Stashed(stash_value) if own else TorchMeasurements(exponents)
    if ranks is not None:
        measurements = SharedMeasurements(ranks, per_rank, exponents, torch.get_num_threads)
    asked = settings.insight_asked() if ranks is None or ranks.rank == 0 else None  # the first writes the log
    tracker = TorchTracker(
        settings,
        title=type(unwrap(module)).__name__,
        measurements=measurements,
        insight=asked,
    )
    tracker.weights_source = lambda: _weights.source(module) if ranks is None or ranks.rank == 0 else None
    if ranks is not None:
        open_log = tracker._open
        steps = f"every={'a function' if callable(every) else every}, init_step={init_step or 0}"
        tracker._open = lambda: together(ranks, steps, open_log)
    tree = tracker.tree = Tree(module, settings.selects)
    tracker._outputs = OutputCapture(tracker, module, tree, track_gradients, only_stash_during_training, inputs)
    tracker._parameters = ParameterCapture(
        tracker, tree, optimizers, track_weights, track_gradients, track_updates, asked
    )
    parameters = tracker._parameters
    tracker.scaler = ScalerWatch(tracker, parameters.pass_over, parameters.unscaled, parameters.scaler_stepped)
    if (of_steps := tracker._parameters.insight) is not None:
        if tracker.raster is not None:
            of_steps.record_signs(tracker.raster)
        tracker.keep_to_budget(of_steps, "before_step", "after_step")
    return tracker


def _are_optimizers(value: Any) -> bool:
    several = isinstance(value, list | tuple) and bool(value)
    return all(isinstance(one, torch.optim.Optimizer) for one in (value if several else [value]))


def _as_list(optimizer: Any) -> list[Any]:
    if optimizer is None:
        return []
    return list(optimizer) if isinstance(optimizer, list | tuple) else [optimizer]


def _lazy_problems(parameters: Mapping[nn.Parameter, Any]) -> list[str]:
    lazy = [named.name for p, named in parameters.items() if is_lazy(p)]
    words = "is a parameter of a lazy module without a shape yet: run the model on a batch, then track it"
    return [f"{lazy[0]!r} {words}"] if lazy else []


def _optimizer_problems(optimizers: list[Any], parameters: set[nn.Parameter] | None) -> list[str]:
    found = []
    for optimizer in optimizers:
        if not isinstance(optimizer, torch.optim.Optimizer):
            found.append(f"optimizer={_described(optimizer)} must be a torch.optim.Optimizer, or a list of them")
        elif parameters is not None and parameters.isdisjoint(
            p for group in optimizer.param_groups for p in group["params"]
        ):
            found.append(
                f"the {type(optimizer).__name__} given as optimizer has none of the model's parameters; "
                "pass the one made with this model's .parameters()"
            )
    return found


def _described(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:80]
