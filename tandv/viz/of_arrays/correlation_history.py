"""Plot how layers correlate over training, with the chance level dashed.

>>> fig = correlation_history({"step": [0, 10], "cka/fc1~fc2": [0.2, 0.8], "cka_chance/fc1~fc2": [0.1, 0.1]})
"""

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.curves import Curves, as_curves
from tandv.messages import UnknownName, check_choices, named_arguments, unknown
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.of_curves.families import Marks, XScale, draw_families

Size = tuple[float, float] | None
MOST_PAIRS = 16


@named_arguments
def correlation_history(
    curves: Curves | str,
    pairs: Sequence[str] | None = None,
    transitions: Marks = None,
    xscale: XScale = "linear",
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw how layers correlate over training: mean abs r and CKA of pairs of layers, chance dashed.

    >>> fig = correlation_history({"step": [0, 10], "cka/fc1~fc2": [0.2, 0.8], "cka_chance/fc1~fc2": [0.1, 0.1]})

    Args:
        curves: what `store_corr_means` returns, its .json file, or the curves of a probe of "correlations".
        pairs: pairs such as "fc1~fc2"; by default all pairs of two layers, of more than 16 only consecutive ones.
        transitions: transitions to mark, as `find_transitions` returns them; True detects them here.
        xscale: "linear", or "log" for an axis of log(1 + step).
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for a pair that is not there.
    """
    check_choices(xscale=(xscale, XScale))
    if isinstance(curves, str) or hasattr(curves, "__fspath__"):
        from tandv.analysis.correlations import read_corr_means

        curves = read_corr_means(curves)  # type: ignore[arg-type]
    table = as_curves(curves)
    there = list(dict.fromkeys(c.partition("/")[2] for c in table.columns if "~" in c))
    two = [pair for pair in there if len(set(pair.split("~"))) > 1]
    if pairs is None:
        layers = list(dict.fromkeys(name for pair in there for name in pair.split("~")))
        following = {f"{a}~{b}" for a, b in pairwise(layers)}
        chosen = two if len(two) <= MOST_PAIRS else [pair for pair in two if pair in following]
        chosen = chosen or there
    else:
        chosen = list(pairs)
        if lacking := [pair for pair in chosen if pair not in there]:
            raise UnknownName(unknown("pair", lacking[0], there))
    quantities = [q for q in ("mean_abs_r", "cka", "svcca") if any(f"{q}/{pair}" in table for pair in chosen)]
    if not quantities:
        raise LookupError("these curves are no correlations of layers; give those of store_corr_means")
    families = {q: {pair.replace("~", " ~ "): f"{q}/{pair}" for pair in chosen} for q in quantities}
    # Chance levels differ between pairs, with the features that are not constant: their mean is drawn.
    level = {
        f"{q}_chance": table[[f"{q}_chance/{p}" for p in chosen if f"{q}_chance/{p}" in table]].mean(axis=1)
        for q in quantities
    }
    table = table.assign(**level)
    words = {"mean_abs_r": "mean |r|", "cka": "linear CKA", "svcca": "SVCCA"}
    notes = (
        f"{len(chosen)} of {len(two)} pairs of layers"
        if len(chosen) < len(two)
        else f"{len(chosen)} pair{'s' * (len(chosen) > 1)} of layers"
    )
    return draw_families(
        table, {words[q]: families[q] for q in quantities},
        chance={words[q]: {"chance (mean of pairs)": f"{q}_chance"} for q in quantities}, transitions=transitions,
        xscale=xscale, ax=ax, title=title, named="Correlation of layers over training", subtitle=notes,
        style=fitting(theme, figsize, fig, ax), fig=fig,
        figsize=figsize, panel_size=(4.6, 3.4),
    )  # fmt: skip
