"""Plot how the features of layers correlate with those of other layers, beside the chance level of so many samples.

>>> x = np.random.default_rng(0).normal(size=(64, 12))
>>> fig = layer_correlations({"fc1": x[:, :8], "fc2": x[:, 4:]})
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.arrays import as_array
from tandv.messages import named_arguments, some
from tandv.viz.layout.colours import Scale
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.keys import Key
from tandv.viz.layout.legends import shortened
from tandv.viz.layout.measuring import renderer_of
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import step_text, value_text
from tandv.viz.of_arrays.history import as_history, chosen_layer, chosen_steps, spread
from tandv.viz.of_arrays.matrices import draw_matrix, side_by_side, special_colours

Size = tuple[float, float] | None
R = Scale("linear", -1.0, 1.0)
MOST_LAYERS = 6


@named_arguments
def layer_correlations(
    history: Any,
    step: int | None = None,
    layers: Sequence[str] | None = None,
    features: int = 64,
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the correlation of every feature of a layer with every feature of each later one, as a grid of heat maps.

    On and above the diagonal is the correlation of layer i (rows) with layer j (columns), below it the summary of the
    same pair: mean abs r and linear CKA, each with its chance level. The numbers are of all features, also where only
    some are shown.

    >>> x = np.random.default_rng(0).normal(size=(64, 12))
    >>> fig = layer_correlations({"fc1": x[:, :8], "fc2": x[:, 4:]})

    Args:
        history: {step: {layer: array}}, or {layer: array} of a single moment; arrays are [sample, ...]. Or the
            correlations themselves, {(i, j): [feature, feature]}, as `layerwise_cross_correlation` returns them: these
            tell neither CKA nor a chance level.
        step: the step; by default the last.
        layers: the names of the layers; by default all, of more than 6 evenly spaced ones.
        features: how many features of each layer are shown, evenly spaced.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for a layer or step that is not there.
    """
    from tandv.analysis.correlations import chance_correlation, correlation_summary, layerwise_cross_correlation

    given = _correlations_in(history)
    arrays = as_history(history if given is None else {name: given[name, name] for name, _ in given})
    [at] = chosen_steps(arrays, next(iter(arrays[max(arrays)])), step)
    there = list(arrays[at])
    names = [chosen_layer(arrays, name) for name in layers] if layers is not None else spread(there, MOST_LAYERS)
    outputs = {name: arrays[at][name] for name in names}
    if given is None:
        found, summary = layerwise_cross_correlation(outputs), correlation_summary(outputs).to_dict("index")
    else:
        found, summary = given, {pair: {"mean_abs_r": float(np.abs(r).mean())} for pair, r in given.items()}
    samples, style = len(outputs[names[0]]), fitting(theme, figsize, fig, ax)
    picked = {name: spread(range(found[name, name].shape[0]), features) for name in names}
    cells = [(i, j) for i in range(len(names)) for j in range(len(names))]
    unknown = special_colours(np.concatenate([found[names[i], names[j]].ravel() for i, j in cells if i <= j]), style)

    def draw(number: int, ax: Axes) -> Key | None:
        i, j = cells[number]
        if i > j:
            _write_summary(ax, summary[names[j], names[i]], style)
            return None
        rows, columns = picked[names[i]], picked[names[j]]
        short = shortened(names, 24)
        draw_matrix(
            ax, found[names[i], names[j]][np.ix_(rows, columns)], R, style.diverging, style, plot="layer_correlations",
            what=f"{names[i]} ~ {names[j]}", axes=("", short[i] if i == j else ""), columns=_numbers(columns),
            rows=_numbers(rows),
        )  # fmt: skip
        if min(ax.bbox.width, ax.bbox.height) < 60 * ax.figure.dpi / 72:  # type: ignore[attr-defined]
            ax.tick_params(labelbottom=False, labelleft=False)
        return Key(R, style.diverging, unknown, label="r") if (i, j) == (0, len(names) - 1) else None

    notes = [f"step {step_text(at)}"] if len(arrays) > 1 or at else []
    notes += [f"{len(names)} of {len(there)} layers"] if len(names) < len(there) else []
    wide = max(found[name, name].shape[0] for name in names)
    notes += [f"{features} of up to {wide:,} features shown"] if wide > features else []
    if given is None:
        level, tail = chance_correlation(samples), chance_correlation(samples, 0.95)
        notes.append(f"by chance mean |r| {value_text(level, 2)}, 95% below {value_text(tail, 2)}")
        notes.append(f"{samples:,} samples")
    size = 2.1 if len(names) > 3 else 8.2 / (len(names) + 0.2)
    return side_by_side(
        [names[j] if i == 0 else "" for i, j in cells], draw, ax=ax, title=title,
        named="Correlation of features between layers",
        subtitle="  |  ".join(notes),
        style=style, fig=fig, figsize=figsize, col_wrap=len(names), sharex=False, sharey=False,
        panel_size=(size, min(size, 3.0) * 0.92), single_size=(5.2, 4.9),
    )  # fmt: skip


def _correlations_in(given: Any) -> dict[tuple[str, str], np.ndarray] | None:
    """Return {(layer, other): [feature, feature]} if that is what is given; raise if a pair is missing."""
    if (
        not isinstance(given, Mapping)
        or not given
        or not all(isinstance(key, tuple) and len(key) == 2 for key in given)
    ):
        return None
    pairs = {(str(i), str(j)): as_array(r) for (i, j), r in given.items()}
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    lacking = [pair for a, i in enumerate(names) for j in names[a:] if (pair := (i, j)) not in pairs]
    if lacking:
        raise ValueError(f"the correlations lack the pairs {some([str(pair) for pair in lacking])}; give one for each")
    return pairs


def _write_summary(ax: Axes, row: Mapping[Any, Any], style: Style) -> None:
    """Write the summary of a pair in the panel below the diagonal."""
    ax.set_axis_off()
    numbers = {name: value_text(value, 2) for name, value in row.items()}
    whole = "mean |r| {mean_abs_r}\nby chance {mean_abs_r_chance}\n\nCKA {cka}\nby chance {cka_chance}"
    some_of_it = (whole, "|r| {mean_abs_r}\nCKA {cka}") if "cka" in row else ("mean |r| {mean_abs_r}",)
    for words in (*some_of_it, "{mean_abs_r}"):  # as much as there is room for
        text = ax.text(
            0.5, 0.5, words.format(**numbers), transform=ax.transAxes, ha="center", va="center", size=style.small,
            color=style.ink, linespacing=1.35,
        )  # fmt: skip
        box = text.get_window_extent(renderer_of(ax.figure))
        if box.width <= ax.bbox.width and box.height <= ax.bbox.height:
            return
        text.remove()


def _numbers(picked: Sequence[int]) -> list[str] | None:
    """Return the numbers of features that are shown, if these are not simply all."""
    return None if list(picked) == list(range(len(picked))) else [f"{i}" for i in picked]
