"""The figures of a dossier: the whole run, each moment, and how far the layers moved at it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from tandv.analysis.generalisation import Grokking, Passage
from tandv.analysis.transitions import Evidence, Transition
from tandv.curves.of_layers import of_whole_run
from tandv.dossier.material import Material

if TYPE_CHECKING:
    from tandv.viz.layout.style import Theme

_PANELS = 12  # curves of one moment


class Picture(NamedTuple):
    """A file of the dossier; `moment` is the index of the moment that it shows, None for the whole run."""

    file: str
    caption: str
    moment: int | None = None


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


def _figures(material: Material, results: Mapping[str, Any], theme: Any) -> Iterator[tuple[Picture, Any]]:
    from tandv import viz
    from tandv.viz.of_curves.changes import layer_changes

    curves = of_whole_run(material.curves)
    transitions = [_transition(one) for one in results["transitions"]]
    yield (
        Picture("training_dynamics.png", "The run, with its transitions"),
        viz.training_dynamics(curves, transitions=transitions, theme=theme),
    )
    if (generalisation := results["generalisation"]) is not None:
        caption = Picture("generalisation.png", "Memorisation and generalisation")
        yield caption, viz.grokking_plot(curves, _grokking(generalisation), theme=theme)
    for i, moment in enumerate(results["moments"]):
        near = _near(curves, moment)
        here = [one for one in transitions if one.quantity in near.columns]
        picture = Picture(f"moment_{i + 1}_step_{moment['during']}.png", "Curves around it", i)
        title = f"around step {moment['during']:,}"
        yield picture, viz.training_dynamics(near, transitions=here, gap=False, title=title, theme=theme)
        if moment.get("weights"):
            table = pd.DataFrame(moment["weights"]).set_index("layer")
            at = {side: f"{one['step']:,}" for side, one in moment["checkpoints"].items()}
            subtitle = f"checkpoints of step {at['before']} and {at['after']}"
            picture = Picture(f"moment_{i + 1}_weights.png", "How far the weights of each layer moved", i)
            yield picture, layer_changes(table, subtitle=subtitle, theme=theme)


def _near(curves: pd.DataFrame, moment: Mapping[str, Any]) -> pd.DataFrame:
    """Return the curves that change at a moment, from two of its lengths before it to two after."""
    length = max(moment["after"] - moment["before"], 1)
    names = [moment["quantity"], *moment["also"]][:_PANELS]
    near = curves.loc[moment["before"] - 2 * length : moment["after"] + 2 * length, names]
    return near.dropna(how="all")


def _transition(found: Mapping[str, Any]) -> Transition:
    return Transition(**{**found, "evidence": Evidence(**found["evidence"])})


def _grokking(found: Mapping[str, Any]) -> Grokking:
    reached = {name: Passage(**found[name]) for name in ("memorisation", "generalisation")}
    return Grokking(**{**found, **reached})
