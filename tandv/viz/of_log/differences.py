"""Plot where two runs part: a map of layers by steps for each tensor type, in units of what is expected.

>>> from tandv.analysis.diff import diff
>>> from tandv.log.example import example_log
>>> a, b = example_log(), example_log()
>>> b.loc[b.index[-40:], ("scalar_stats", "rm2")] *= 1.5
>>> fig = differences(diff(a, b))
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.analysis.diff import Difference
from tandv.messages import UnknownName, listed, named_arguments, unknown
from tandv.tensor_types import order
from tandv.viz.layout.colours import Scale, specials
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.heat import MISSING
from tandv.viz.layout.keys import Key
from tandv.viz.layout.layer_axis import layer_axis
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.of_log.maps import draw_table

_REACH = 10.0  # powers of two on both sides of 1


@named_arguments
def differences(
    found: Difference,
    tt: str | Sequence[str] | None = None,
    col_wrap: int | None = None,
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw how far two runs are apart as colours: a panel for each tensor type, a row for each layer.

    The colour is how many times what rounding may give, or what repeats of A give: above 1 the runs part. Cells that
    are equal to the last bit have a colour of their own, those that were not compared stay hatched.

    >>> from tandv.analysis.diff import diff
    >>> from tandv.log.example import example_log
    >>> fig = differences(diff(example_log(), example_log()), "Gradient")

    Args:
        found: what `tandv.diff(a, b)` returns.
        tt: the tensor type, or a list of them; by default all that were compared.
        col_wrap: how many panels are put side by side.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for a tensor type that was not compared, TypeError for anything but a comparison.
    """
    if not isinstance(found, Difference):
        raise TypeError(
            f"found is what tandv.diff(a, b) returns, not {type(found).__name__}; compare two runs first, as in "
            "differences(tandv.diff(a, b))"
        )
    kinds = [kind for kind, _ in found.aligned.tensors]
    known = sorted(set(kinds), key=lambda kind: (order(kind), kind))
    wanted = known if tt is None else [tt] if isinstance(tt, str) else list(dict.fromkeys(tt))
    wrong = [unknown("tensor type", kind, known, "what was compared") for kind in wanted if kind not in known]
    if wrong or not wanted:
        raise UnknownName("\n  ".join(wrong) or f"no tensor type was asked for; there are {listed(known)}")
    style = fitting(theme, figsize, fig, ax)
    rows = pd.DataFrame({("metadata", "tensor_type"): wanted})

    def draw(part: pd.DataFrame, ax: Axes) -> Key:
        return _map(found, str(part[("metadata", "tensor_type")].iloc[0]), ax, style)

    most = max(kinds.count(kind) for kind in wanted)
    high = float(np.clip(1.3 + 0.155 * most, 2.6, 7.5))
    first = found.first
    return facet(
        rows, draw, ("tensor_type",), fig=fig, figsize=figsize, col_wrap=col_wrap, ax=ax, title=title,
        named="where two runs part",
        subtitle=f"{first.tensor_type} of {first.layer}, step {first.step:,}, first" if first else "they do not",
        single_size=(10.0, high), panel_size=(4.4, float(np.clip(high, 2.6, 4.4))), sharey=False, style=style,
    )  # fmt: skip


def _map(found: Difference, kind: str, ax: Axes, style: Style) -> Key:
    """Draw the scores of a tensor type, in the order of execution from the top, 1 in the middle of the colours."""
    at = [i for i, (one, _) in enumerate(found.aligned.tensors) if one == kind]
    names, steps = [found.aligned.tensors[i][1] for i in at], np.asarray(found.aligned.steps)
    table = np.where(np.isnan(found.scores[at]), MISSING, found.scores[at])
    known = table[np.isfinite(table) & (table > 0)]
    ends = float(known.min(initial=1.0)), float(known.max(initial=1.0))
    scale = Scale("change", -_REACH, _REACH, below=ends[0] < 2.0**-_REACH, above=ends[1] > 2.0**_REACH)
    heat = draw_table(ax, table, steps, np.arange(len(names) + 1) - 0.5, scale, style, ("step", "layer"))
    layer_axis(ax, names, style)
    ax.set_xlabel("step")
    remember(ax, Drawn("differences", "step", "layer", tuple(names), (kind,), steps, table, pick=heat.cell_at))
    named = [("equal" if name == "zero" else name, *rest) for name, *rest in specials(table, scale, style)]
    return Key(scale, style.diverging, named, "× the limit" if found.repeats else "× rounding")
