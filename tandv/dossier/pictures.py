"""The figures of a dossier: the whole run, each moment, the distance of the layers, attention and filters."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from tandv.analysis.generalisation import Grokking, Passage
from tandv.analysis.moments import CriticalMoment
from tandv.analysis.moments.finder import stands, strength
from tandv.analysis.transitions import Evidence, Transition
from tandv.curves import unit_of
from tandv.curves.of_layers import of_whole_run
from tandv.curves.outcomes import is_outcome
from tandv.dossier.filters import first_filters
from tandv.dossier.heads import SCORES, head_curves_of
from tandv.dossier.material import Material

if TYPE_CHECKING:
    from tandv.viz.layout.style import Theme

_PANELS = 12  # curves of one moment
_LEAST = 0.1  # share of its range by which a curve changes at a transition that is marked beside those of heads


class Picture(NamedTuple):
    """A file of the dossier.

    >>> Picture("training_dynamics.png", "The run").place
    'run'

    Args:
        file: its name.
        caption: what it shows.
        place: where it stands: "run", "generalisation", "attention", "filters", or the index of the moment.
    """

    file: str
    caption: str
    place: str | int = "run"


Figures = Iterator[tuple[Picture, Any]]


def draw(material: Material, results: Mapping[str, Any], folder: Path, theme: "Theme" = "light") -> list[Picture]:
    """Draw all figures into a folder; return what they show.

    Args:
        material: what `gather` returns.
        results: what `examine` returns.
        folder: where the .png files go.
        theme: "light" or "dark".
    """
    drawn = []
    for picture, figure in _figures(material, results, theme):
        figure.savefig(folder / picture.file, dpi=110)
        drawn.append(picture)
    return drawn


def _figures(material: Material, results: Mapping[str, Any], theme: Any) -> Figures:
    from tandv import viz

    curves = _outcomes_first(of_whole_run(material.curves))
    transitions = [one for one in map(_transition, results["transitions"]) if stands(one)]
    yield (
        Picture("training_dynamics.png", "The run, with its transitions"),
        viz.training_dynamics(curves, transitions=transitions, theme=theme),
    )
    if (generalisation := results["generalisation"]) is not None:
        caption = Picture("generalisation.png", "Memorisation and generalisation", "generalisation")
        yield caption, viz.grokking_plot(curves, _grokking(generalisation), theme=theme)
    for i, moment in enumerate(results["moments"]):
        yield from _of_moment(i, moment, curves, transitions, results["unit"], theme)
    yield from _of_attention(material, transitions, results, theme)
    if filters := first_filters(material.checkpoints, results["missing"]):
        layer = next(iter(next(iter(filters.values()))))
        steps: list[Any] = list(filters)
        at = ", ".join(f"{one:,}" for one in steps)
        caption = f"Filters of {layer} at the checkpoints of {results['unit']}s {at}"
        picture = Picture(f"{_stem(material)}_filter_viz.png", caption, "filters")
        yield picture, viz.conv_filters(filters, layer, steps, theme=theme)


def _of_moment(
    i: int, moment: Mapping[str, Any], curves: pd.DataFrame, transitions: list[Transition], unit: str, theme: Any
) -> Figures:
    from tandv import viz
    from tandv.viz.of_curves.changes import layer_changes

    near = _near(curves, moment)
    here = [one for one in transitions if one.quantity in near.columns]
    picture = Picture(f"moment_{i + 1}_step_{moment['during']}.png", "What changes then, with a while around it", i)
    title = f"around {unit} {moment['during']:,}"
    yield picture, viz.training_dynamics(near, transitions=here, gap=False, title=title, theme=theme)
    if moment.get("weights"):
        table = pd.DataFrame(moment["weights"]).set_index("layer")
        at = {side: f"{one['step']:,}" for side, one in moment["checkpoints"].items()}
        subtitle = f"checkpoints of {unit}s {at['before']} and {at['after']}"
        caption = f"Distance of each layer's weights between the {subtitle}"
        yield Picture(f"moment_{i + 1}_weights.png", caption, i), layer_changes(table, subtitle=subtitle, theme=theme)


def _of_attention(material: Material, transitions: list[Transition], results: Mapping[str, Any], theme: Any) -> Figures:
    """Draw the patterns of the layer whose heads change most, the entropies of all heads, and their highest score."""
    from tandv import viz

    table = head_curves_of(material.curves, material.probes)
    if table is None:
        return
    outcomes = [
        one
        for one in transitions
        if is_outcome(one.quantity) and strength(material.curves[one.quantity], one) >= _LEAST
    ]
    heads, patterns, unit = results["attention"]["heads"], material.probes.patterns, results["unit"]
    if patterns:
        there = list(next(iter(patterns.values())))
        layer = heads[0]["layer"] if heads and heads[0]["layer"] in there else there[-1]
        steps = [step for step in patterns if layer in patterns[step]]
        at = [steps[0], steps[-1]] if len(steps) > 1 else steps
        caption = (
            f"Attention of the heads of {layer} at {unit}{'s' * (len(at) > 1)} {' and '.join(f'{one:,}' for one in at)}"
        )
        picture = Picture(f"{_stem(material)}_attention_pattern.png", f"{caption}, mean over the examples", "attention")
        yield picture, viz.attention_heads(patterns, layer, at, theme=theme)
    if any(name.endswith("/entropy") for name in table.columns):
        picture = Picture(f"{_stem(material)}_entropy_evolution.png", "Entropy of each head over training", "attention")
        yield picture, viz.entropy_evolution(table, outcomes, theme=theme)
    if heads:
        score = heads[0]["score"]
        caption = f"Share of each head's attention that goes {SCORES[score][0]}; dashed: if it attended evenly"
        picture = Picture(f"{_stem(material)}_head_scores.png", caption, "attention")
        yield picture, viz.head_curves(table, score, outcomes, theme=theme)


def of_comparison(
    material: Material, before: CriticalMoment, after: CriticalMoment, weights: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the figures of a comparison of two moments: "curves", and "weights" and "attention" where there are some.

    Args:
        material: what `gather` returns.
        before: the earlier moment.
        after: the later one.
        weights: how far each layer moved, a dict for each; None without checkpoints.
    """
    from tandv import viz
    from tandv.viz.of_curves.changes import layer_changes

    curves = _outcomes_first(of_whole_run(material.curves))
    moment = {"quantity": "", "also": []} | (before.jump_info or {}) | {"before": before.step, "after": after.step}
    title = f"{material.name}: {unit_of(material.curves)}s {before.step:,} to {after.step:,}"
    out = {"curves": viz.training_dynamics(_near(curves, moment), gap=False, title=title)}
    if weights:
        out["weights"] = layer_changes(pd.DataFrame(dict(weights)).T.rename_axis("layer"))
    patterns = material.probes.patterns
    if len(patterns) > 1:
        steps = [min(patterns, key=lambda step: abs(step - moment.step)) for moment in (before, after)]
        out["attention"] = viz.attention_heads(patterns, step=list(dict.fromkeys(steps)))
    return out


def _stem(material: Material) -> str:
    """Return the name of the run as the beginning of the name of a file."""
    return re.sub(r"[^\w.-]+", "_", material.name).strip("._") or "run"


def _outcomes_first(curves: pd.DataFrame) -> pd.DataFrame:
    out = curves[sorted(curves.columns, key=lambda name: not is_outcome(name))]
    out.attrs = curves.attrs
    return out


def _near(curves: pd.DataFrame, moment: Mapping[str, Any]) -> pd.DataFrame:
    """Return the curves that change at a moment, from two of its lengths before it to two after."""
    length = max(moment["after"] - moment["before"], 1)
    names = [name for name in (moment["quantity"], *moment["also"]) if name in curves.columns]
    names = (names or list(curves.columns))[:_PANELS]
    near = curves.loc[moment["before"] - 2 * length : moment["after"] + 2 * length, names]
    return near.dropna(how="all")


def _transition(found: Mapping[str, Any]) -> Transition:
    return Transition(**found)._replace(evidence=Evidence(**found["evidence"]))


def _grokking(found: Mapping[str, Any]) -> Grokking:
    memorisation, generalisation = Passage(**found["memorisation"]), Passage(**found["generalisation"])
    return Grokking(**found)._replace(memorisation=memorisation, generalisation=generalisation)
