"""Which moments of a run are looked at: the one door for the dossier, the published face and the command."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from tandv.analysis.moments import CriticalMoment, get_experiment_summary, identify_moments
from tandv.analysis.moments.finder import By
from tandv.analysis.norms import norm_curves
from tandv.analysis.transitions import Transition
from tandv.curves.of_layers import largest_family, of_whole_run
from tandv.dossier.material import Material
from tandv.dossier.phase1 import moments_of_jumps
from tandv.messages import UnknownName


def moments_of(
    material: Material,
    num_jumps: int = 5,
    *,
    by: By | None = None,
    transitions: Sequence[Transition] | None = None,
    lr: str | None = None,
) -> list[CriticalMoment]:
    """Return the moments of a run: of the jumps that an earlier analysis has found in it, if its file lies there, else
    of its own transitions.

    >>> from tandv.dossier.material import gather
    >>> [moment.step for moment in moments_of(gather({"acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}))]
    [20, 21, 22]

    Args:
        material: what `gather` returns.
        num_jumps: for how many transitions at most.
        by: which are chosen, as of `identify_moments`; None for "outcome", or the file.
        transitions: by default those of the file, or of `find_transitions`.
        lr: the curve that is the learning rate; by default the first that is called lr or learning_rate.

    Raises what `identify_moments` raises.
    """
    jumps = material.phase1.jumps
    if jumps is not None and by is None and transitions is None:
        return moments_of_jumps(jumps, material.curves.index.to_numpy(), num_jumps, material.name)
    layers = layers_of(material)[1] if by == "coordination" else None
    return identify_moments(
        material.curves if transitions is None else of_whole_run(material.curves),
        num_jumps,
        by=by or "outcome",
        transitions=transitions,
        lr=lr,
        layers=layers,
        experiment_name=material.name,
    )


def layers_of(material: Material) -> tuple[str, pd.DataFrame | None]:
    """Return a quantity and its curve for each layer: weight norms from the log, else the largest family of curves.

    >>> from tandv.dossier.material import gather
    >>> layers_of(gather({"rank:fc1": [1.0], "rank:fc2": [2.0]}))[0]
    'rank'

    Args:
        material: what `gather` returns. Without curves of layers the table is None.
    """
    if material.log is not None:
        try:
            norms = norm_curves(material.log, per_layer=True)
            own = [name for name in norms.columns if name.startswith("weight_norm:")]
            if own:
                return "weight_norm", norms[own].rename(columns=lambda name: name.partition(":")[2])
        except UnknownName:
            pass
    return largest_family(material.curves)


def summary_of(material: Material, transitions: Sequence[Transition] | None = None) -> dict[str, Any]:
    """Return what `get_experiment_summary` says of the whole run; with an earlier analysis also what its files say.

    These are `num_jumps` and `mean_magnitude`, of the file of jumps, and `critical_periods`, the rows about them.

    >>> from tandv.dossier.material import gather
    >>> summary_of(gather({"acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}))["num_jumps"]
    1

    Args:
        material: what `gather` returns.
        transitions: by default those of `find_transitions`.
    """
    curves, steps = of_whole_run(material.curves), [one.step for one in material.checkpoints]
    found = get_experiment_summary(curves, transitions=transitions, checkpoints=steps)
    jumps, periods = material.phase1.jumps, material.phase1.periods
    if jumps is not None:
        size = float(jumps["magnitude"].abs().mean()) if "magnitude" in jumps.columns else None
        found |= {"num_jumps": len(jumps), "mean_magnitude": size}
    return found if periods is None else found | {"critical_periods": periods.to_dict("records")}
