"""Runs of a folder and the moments to investigate, measured and compared, under the names of `Phase2Infrastructure`."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tandv.analysis.attention import attention_entropy, head_specialisation
from tandv.analysis.features import activation_sparsity, class_selectivity
from tandv.analysis.moments import (
    CriticalMoment,
    compare_moments,
    get_experiment_summary,
    identify_moments,
    nearest_checkpoint,
)
from tandv.analysis.representations import compare_representations, cosine_similarity, weight_change
from tandv.checkpoints import weights
from tandv.dossier import Dossier, Material, gather, write_dossier


class AnalysisResult(NamedTuple):
    """What a comparison found: the numbers, and the figures made of them."""

    experiment: str
    moment: str
    measurements: dict[str, Any]
    visualizations: dict[str, Any]


class CheckpointManager:
    """Open what runs of a folder have left behind: `experiments_dir/<name>/` with curves, a log, checkpoints.

    The same as `tandv.dossier.gather` of one run's folder.
    """

    def __init__(self, experiments_dir: str | Path):
        self.experiments_dir = Path(experiments_dir)
        self.material = functools.cache(self._material)

    def load_measurements_at_step(self, experiment_name: str, step: int) -> dict[str, float]:
        """Return the value of every curve at a step; KeyError naming the nearest if it was not recorded."""
        curves = self.material(experiment_name).curves
        if step not in curves.index:
            recorded = curves.index.to_numpy()
            near = int(recorded[np.abs(recorded - step).argmin()])
            raise KeyError(f"{experiment_name} has no step {step:,}; the nearest recorded one is {near:,}")
        return {name: float(curves[name].loc[step]) for name in curves.columns}

    def load_checkpoint(self, moment: CriticalMoment, *, within: int = 10) -> dict[str, np.ndarray]:
        """Return the weights of the checkpoint nearest to a moment; MissingCheckpoint naming the nearest if none is."""
        found = {one.step: one.path for one in self.material(moment.experiment_name).checkpoints}
        return dict(weights(found[nearest_checkpoint(moment, found, within=within)]))

    def _material(self, experiment_name: str) -> Material:
        return gather(self.experiments_dir / experiment_name)


class MeasurementTools:
    """Measurements of attention, weights and activations; each method names the function that does it."""

    @staticmethod
    def attention_entropy(attention: ArrayLike, **more: Any) -> np.ndarray:
        """The same as `analysis.attention.attention_entropy`, of probabilities as they are."""
        return attention_entropy(attention, **more)

    @staticmethod
    def attention_specialization(attention: ArrayLike, **more: Any) -> dict[str, Any]:
        """The same as `analysis.attention.head_specialisation`; the index is the range of the heads' entropies."""
        return head_specialisation(attention, **more)._asdict()

    @staticmethod
    def cosine_similarity(one: ArrayLike, other: ArrayLike) -> float:
        """The same as `analysis.representations.cosine_similarity`."""
        return cosine_similarity(one, other)

    @staticmethod
    def weight_change_magnitude(before: ArrayLike, after: ArrayLike) -> dict[str, float]:
        """The same as `analysis.representations.weight_change`."""
        found = weight_change(before, after)
        return found._asdict() | {"relative_change": found.relative, "absolute_change": found.l2}

    @staticmethod
    def activation_sparsity(activations: ArrayLike, **more: Any) -> Any:
        """The same as `analysis.features.activation_sparsity`."""
        return activation_sparsity(activations, **more)

    @staticmethod
    def activation_selectivity(activations: ArrayLike, labels: ArrayLike) -> Any:
        """The same as `analysis.features.class_selectivity`: class means, and the index of Morcos et al. (2018)."""
        return class_selectivity(activations, labels)


class BeforeAfterComparison:
    """Compare a run at two moments: its curves always, its weights where checkpoints are near."""

    def __init__(self, manager: CheckpointManager):
        self.manager = manager

    def compare(self, before: CriticalMoment, after: CriticalMoment, *, within: int = 10) -> AnalysisResult:
        """Return the changes of every curve, of the loss, and of each layer's weights; what is missing is said."""
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
        except LookupError as error:  # MissingCheckpoint
            found["missing"].append(str(error))
        told = f"{before.moment_type} (step {before.step}) to {after.moment_type} (step {after.step})"
        return AnalysisResult(before.experiment_name, told, found, {})


class Phase2Infrastructure:
    """Find and compare the critical moments of the runs in a folder.

    >>> infra = Phase2Infrastructure("tandv-runs")
    >>> moments = infra.identify_moments("grok", num_jumps=1)
    >>> [(moment.step, moment.moment_type) for moment in moments]
    [(560, 'before_jump'), (600, 'during_jump'), (640, 'after_jump')]

    The same as `moments.identify_moments`, `moments.compare_moments` and `tandv.dossier.write_dossier` of one run.
    """

    def __init__(self, experiments_dir: str | Path):
        self.checkpoint_manager = CheckpointManager(experiments_dir)
        self.measurements = MeasurementTools()
        self.comparison = BeforeAfterComparison(self.checkpoint_manager)

    def get_experiment_summary(self, experiment_name: str) -> dict[str, Any]:
        """Return what a run holds and what is missing; see `moments.get_experiment_summary`."""
        found = self.checkpoint_manager.material(experiment_name)
        summary = get_experiment_summary(found.curves, checkpoints=[one.step for one in found.checkpoints])
        new = [one for one in summary["missing"] if one != "no checkpoints"]  # which the material says with its reason
        return summary | {"missing": list(dict.fromkeys([*found.missing, *new]))}

    def identify_moments(self, experiment_name: str, num_jumps: int = 5) -> list[CriticalMoment]:
        """Return the steps before, during and after the strongest transitions; see `moments.identify_moments`."""
        curves = self.checkpoint_manager.material(experiment_name).curves
        return identify_moments(curves, num_jumps, experiment_name=experiment_name)

    def compare_representations(self, before: CriticalMoment, after: CriticalMoment, **more: Any) -> AnalysisResult:
        """Return what changed between two moments of a run; see `BeforeAfterComparison`."""
        return self.comparison.compare(before, after, **more)

    def write_report(self, experiment_name: str, **more: Any) -> Dossier:
        """Write `comparison_report.md`, `analysis_results.json` and pictures; see `tandv.dossier.write_dossier`."""
        return write_dossier(self.checkpoint_manager.experiments_dir / experiment_name, **more)


def _layers(table: Any) -> dict[str, Mapping[str, float]]:
    """Return the changes of curves that are of single layers, such as "rank/fc1", or of all if there are none."""
    rows = table.to_dict("index")
    of_layers = {name: row for name, row in rows.items() if "/" in name or ":" in name}
    return of_layers or rows
