"""`Phase2Infrastructure`: the runs of a folder, their critical moments, and comparisons between these."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tandv.analysis.moments import CriticalMoment, compare_moments, nearest_checkpoint
from tandv.analysis.moments.finder import By
from tandv.analysis.representations import compare_representations
from tandv.checkpoints import weights
from tandv.compat.measurements import MeasurementTools
from tandv.dossier import Dossier, Material, gather, write_dossier
from tandv.dossier.choice import moments_of, summary_of
from tandv.dossier.pictures import of_comparison


class AnalysisResult(NamedTuple):
    """The result of a comparison.

    >>> AnalysisResult("grok", "before_jump (step 19) to after_jump (step 23)", {"loss_change": -1.0}, {}).experiment
    'grok'

    Args:
        experiment: the name of the run.
        moment: the two moments, in words.
        measurements: the numbers.
        visualizations: figures, by name.
    """

    experiment: str
    moment: str
    measurements: dict[str, Any]
    visualizations: dict[str, Any]


class CheckpointManager:
    """Open the runs of a folder: `experiments_dir/<name>/` with curves, a log, checkpoints.

    The same as `tandv.dossier.gather` of one run's folder.

    >>> from tandv.curves import write_curves
    >>> Path("experiments/grok").mkdir(parents=True)
    >>> _ = write_curves({"test_acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}, "experiments/grok/curves.csv")
    >>> CheckpointManager("experiments").load_measurements_at_step("grok", 21)
    {'test_acc': 0.5}

    Args:
        experiments_dir: the folder of the runs.
    """

    def __init__(self, experiments_dir: str | Path):
        self.experiments_dir = Path(experiments_dir)
        self.material = functools.cache(self._material)

    def load_measurements_at_step(self, experiment_name: str, step: int) -> dict[str, float]:
        """Return the value of every curve of the run `experiment_name` at a `step`; KeyError names the nearest one."""
        curves = self.material(experiment_name).curves
        if step not in curves.index:
            recorded = curves.index.to_numpy()
            near = int(recorded[np.abs(recorded - step).argmin()])
            raise KeyError(f"{experiment_name} has no step {step:,}; the nearest recorded one is {near:,}")
        return {name: float(curves[name].loc[step]) for name in curves.columns}

    def load_checkpoint(self, moment: CriticalMoment, *, within: int = 10) -> dict[str, np.ndarray]:
        """Return the weights of the checkpoint nearest to `moment`, at most `within` steps away.

        Raises MissingCheckpoint naming the nearest.
        """
        found = {one.step: one.path for one in self.material(moment.experiment_name).checkpoints}
        return dict(weights(found[nearest_checkpoint(moment, found, within=within)]))

    def _material(self, experiment_name: str) -> Material:
        return gather(self.experiments_dir / experiment_name)


class BeforeAfterComparison:
    """Compare a run at two moments: its curves always, its weights where checkpoints are near.

    >>> from tandv.curves import write_curves
    >>> Path("experiments/grok").mkdir(parents=True)
    >>> _ = write_curves({"test_acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}, "experiments/grok/curves.csv")
    >>> comparison = BeforeAfterComparison(CheckpointManager("experiments"))
    >>> moments = [CriticalMoment("grok", 20, "before_jump"), CriticalMoment("grok", 22, "after_jump")]
    >>> round(comparison.compare(*moments).measurements["curves"]["test_acc"]["change"], 6)
    0.6

    Args:
        manager: opens the runs.
        measures: your own functions of one layer's weights by name, whose numbers are taken before and after.
    """

    def __init__(self, manager: CheckpointManager, measures: Mapping[str, Callable[[Any], Any]] | None = None):
        self.manager, self.measures = manager, dict(measures or {})

    def compare(self, before: CriticalMoment, after: CriticalMoment, *, within: int = 10) -> AnalysisResult:
        """Return the changes of every curve, of the loss, and of each layer's weights, what is missing, and figures.

        Args:
            before: the earlier moment.
            after: the later one, of the same run.
            within: how many steps away a checkpoint may be.

        Raises ValueError for moments of two runs.
        """
        if before.experiment_name != after.experiment_name:
            raise ValueError(
                f"the moments are of two runs, {before.experiment_name!r} and {after.experiment_name!r}; "
                "compare moments of one"
            )
        curves = self.manager.material(before.experiment_name).curves
        table = compare_moments(curves, before, after)
        found: dict[str, Any] = {"curves": table.to_dict("index"), "layer_changes": _layers(table), "missing": []}
        loss = next((name for name in ("train_loss", "loss", "test_loss", "val_loss") if name in table.index), None)
        if loss is not None:
            found["loss_change"] = float(table["change"].loc[loss])
        else:
            found["missing"].append("no curve is called train_loss or loss")
        try:
            old, new = (self.manager.load_checkpoint(moment, within=within) for moment in (before, after))
            found["weights"] = compare_representations(old, new).to_dict("index")
            found["measures"] = {
                name: {layer: (measure(old[layer]), measure(new[layer])) for layer in old if layer in new}
                for name, measure in self.measures.items()
            }
        except LookupError as error:  # MissingCheckpoint
            found["missing"].append(str(error))
        moments = f"{before.moment_type} (step {before.step}) to {after.moment_type} (step {after.step})"
        figures = of_comparison(self.manager.material(before.experiment_name), before, after, found.get("weights"))
        return AnalysisResult(before.experiment_name, moments, found, figures)


class Phase2Infrastructure:
    """Find and compare the critical moments of the runs in a folder.

    The same as `moments.identify_moments`, `moments.compare_moments` and `tandv.dossier.write_dossier` of one run.

    >>> from tandv.curves import write_curves
    >>> Path("experiments/grok").mkdir(parents=True)
    >>> _ = write_curves({"test_acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}, "experiments/grok/curves.csv")
    >>> infra = Phase2Infrastructure("experiments")
    >>> moments = infra.identify_moments("grok", num_jumps=5)
    >>> [moment.step for moment in moments]
    [20, 21, 22]
    >>> infra.compare_representations(moments[0], moments[2]).experiment
    'grok'

    Args:
        experiments_dir: the folder of the runs. The files of an earlier analysis, `step1_2/all_jumps_detailed.csv` and
            `step1_3/critical_periods_detailed.csv`, are read where they lie in it, in its `results`, or in its
            `mechanistic_interpretability/results`.
        measures: your own functions of one layer's weights by name, also as methods of `measurements`.
    """

    def __init__(self, experiments_dir: str | Path, measures: Mapping[str, Callable[[Any], Any]] | None = None):
        self.checkpoint_manager = CheckpointManager(experiments_dir)
        self.measurements = MeasurementTools(measures)
        self.comparison = BeforeAfterComparison(self.checkpoint_manager, measures)

    def get_experiment_summary(self, experiment_name: str) -> dict[str, Any]:
        """Return what the run `experiment_name` holds and what is missing; see `moments.get_experiment_summary`."""
        found = self.checkpoint_manager.material(experiment_name)
        summary = summary_of(found)
        new = [one for one in summary["missing"] if one != "no checkpoints"]  # the material gives the reason for that
        return summary | {"missing": list(dict.fromkeys([*found.missing, *new]))}

    def identify_moments(
        self, experiment_name: str, num_jumps: int = 5, *, by: By | None = None
    ) -> list[CriticalMoment]:
        """Return the steps before, during and after the strongest transitions of a run: those of its dossier.

        Args:
            experiment_name: the name of the run.
            num_jumps: for how many transitions at most.
            by: which are chosen: "outcome", "strength", "coordination" (most layers move together) or "loss" (the loss
                changes much), as of `moments.identify_moments`; None for the jumps that an earlier analysis has found,
                if its file is there, else "outcome".
        """
        return moments_of(self.checkpoint_manager.material(experiment_name), num_jumps, by=by)

    def compare_representations(
        self, before: CriticalMoment, after: CriticalMoment, *, within: int = 10
    ) -> AnalysisResult:
        """Return what changed from the moment `before` to `after`; for `within` see `BeforeAfterComparison.compare`."""
        return self.comparison.compare(before, after, within=within)

    def write_report(self, experiment_name: str, **arguments: Any) -> Dossier:
        """Write a report on the run `experiment_name`; `arguments` are those of `tandv.dossier.write_dossier`."""
        arguments.setdefault("measures", self.measurements.measures)
        return write_dossier(self.checkpoint_manager.experiments_dir / experiment_name, **arguments)


def _layers(table: Any) -> dict[str, Mapping[str, float]]:
    """Return the changes of curves that are of single layers, such as "rank/fc1", or of all if there are none."""
    rows = table.to_dict("index")
    of_layers = {name: row for name, row in rows.items() if "/" in name or ":" in name}
    return of_layers or rows
