"""Plot how the features of a layer correlate with each other, or its samples.

>>> fig = feature_correlations({"fc": np.random.default_rng(0).normal(size=(64, 12))})
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.analysis.samples import places, rows_of_features
from tandv.arrays import as_array
from tandv.messages import check_choices, named_arguments
from tandv.viz.layout.colours import Scale
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.keys import Key
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import step_text, value_text
from tandv.viz.of_arrays.history import as_history, chosen_layer, chosen_steps
from tandv.viz.of_arrays.matrices import draw_matrix, side_by_side, special_colours

Size = tuple[float, float] | None
Between = Literal["features", "samples"]
R = Scale("linear", -1.0, 1.0)


@named_arguments
def feature_correlations(
    history: Any,
    layer: str | None = None,
    step: int | None = None,
    of: Between = "features",
    labels: Sequence[Any] | np.ndarray | None = None,
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw how the features of a layer correlate with each other, or its samples.

    >>> fig = feature_correlations({"fc": np.random.default_rng(0).normal(size=(64, 12))})

    Args:
        history: {step: {layer: array}}, or {layer: array} of a single moment; arrays are [sample, ...].
        layer: the name of the layer; by default the first.
        step: the step; by default the last.
        of: "features" or "samples".
        labels: for samples that are augmentations of images, the image of each, [sample]: those of an image are drawn
            next to each other, and the line below the title compares r within and between images.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for a layer or step that is not there.
    """
    check_choices(of=(of, Between))
    from tandv.analysis.correlations import chance_correlation, correlate

    arrays = as_history(history)
    layer = chosen_layer(arrays, layer)
    [at] = chosen_steps(arrays, layer, step)
    values, style = arrays[at][layer], fitting(theme, figsize, fig, ax)
    notes = [f"step {step_text(at)}"] if len(arrays) > 1 or at else []
    if of == "features" and values.ndim > 2:
        notes.append(f"mean over {' × '.join(map(str, places(values)))} positions")
    values = rows_of_features(values) if of == "features" else values.reshape(len(values), -1)
    groups, words = None, None
    if of == "samples":
        if labels is not None:
            groups = as_array(labels)
            if groups.shape != (len(values),):
                raise ValueError(
                    f"there are {len(values)} samples and labels of shape {groups.shape}; give one for each"
                )
            order = np.argsort(groups, kind="stable")
            values, groups = values[order], groups[order]
        table = correlate(values.T, values.T)
        off = ~np.eye(len(table), dtype=bool)
        if groups is not None and len(np.unique(groups)) > 1:
            same = groups[:, None] == groups[None, :]
            within, between = table[same & off], table[~same]
            notes += [f"mean r {_mean(within)} within an image, {_mean(between)} between"]
        else:
            notes += [f"mean r {_mean(table[off])} off the diagonal"]
    else:
        table = correlate(values, values)
        off = ~np.eye(len(table), dtype=bool)
        level = chance_correlation(len(values))
        notes += [f"mean |r| {_mean(np.abs(table[off]))} off the diagonal, by chance {value_text(level)}"]
    noun = "feature" if of == "features" else "sample"
    notes.append(f"{len(table):,} {noun}{'s' * (len(table) > 1)}")

    def draw(_: int, ax: Axes) -> Key:
        draw_matrix(
            ax, table, R, style.diverging, style, plot="feature_correlations", what=layer, axes=(noun, noun),
            columns=words, rows=words,
        )  # fmt: skip
        if groups is not None:
            for border in np.flatnonzero(groups[1:] != groups[:-1]) + 0.5:
                ax.axvline(border, color=style.ink, lw=0.8)
                ax.axhline(border, color=style.ink, lw=0.8)
        return Key(R, style.diverging, special_colours(table, style), label="r")

    return side_by_side(
        [""], draw, ax=ax, title=title, named=f"{layer or 'outputs'} · {noun} × {noun}", subtitle="  |  ".join(notes),
        style=style, fig=fig,
        figsize=figsize, single_size=(5.8, 5.4), sharex=False, sharey=False,
    )  # fmt: skip


def _mean(values: np.ndarray) -> str:
    return value_text(values.mean()) if values.size else "unknown"  # a single feature has no pair
