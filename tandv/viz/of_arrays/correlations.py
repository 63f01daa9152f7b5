"""Plot correlations of features: between layers, within a layer, between samples, and over training.

Every plot gives the chance level for the number of samples.

>>> x = np.random.default_rng(0).normal(size=(64, 12))
>>> fig = layer_correlations({"fc1": x[:, :8], "fc2": x[:, 4:]})
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.analysis.samples import places, rows_of_features
from tandv.arrays import as_array
from tandv.curves import Curves, as_curves
from tandv.messages import UnknownName, check_choices, some, unknown
from tandv.viz.layout.colours import Scale
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.layer_axis import layer_axis
from tandv.viz.layout.legends import shortened
from tandv.viz.layout.measuring import renderer_of
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import length_in_points, linear_ticks, step_text, value_text
from tandv.viz.layout.titles import Key
from tandv.viz.of_arrays.history import as_history, chosen_layer, chosen_steps, spread
from tandv.viz.of_arrays.matrices import draw_matrix, side_by_side
from tandv.viz.of_curves.families import Marks, XScale, draw_families

Size = tuple[float, float] | None
Between = Literal["features", "samples"]
Agreement = Literal["icc", "mean_icc"]
R = Scale("linear", -1.0, 1.0)
MOST_LAYERS = 6
MOST_PAIRS = 16


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
        return Key(R, style.diverging, label="r") if (i, j) == (0, len(names) - 1) else None

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
        return Key(R, style.diverging, label="r")

    return side_by_side(
        [""], draw, ax=ax, title=title, named=f"{layer or 'outputs'} · {noun} × {noun}", subtitle="  |  ".join(notes),
        style=style, fig=fig,
        figsize=figsize, single_size=(5.8, 5.4), sharex=False, sharey=False,
    )  # fmt: skip


def _mean(values: np.ndarray) -> str:
    return value_text(values.mean()) if values.size else "unknown"  # a single feature has no pair


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


def augmentation_effect(
    table: pd.DataFrame,
    quantity: Agreement = "icc",
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw for each layer what share of its variance lies between images rather than between their augmentations.

    It is 1 if augmentation changes nothing, 0 (dashed) if the augmentations of an image are no more alike than those of
    different images.

    >>> from tandv.analysis.features import augmentation_analysis
    >>> outputs = {"fc": np.array([[1.0], [1.1], [5.0], [5.2]])}
    >>> fig = augmentation_effect(augmentation_analysis(outputs, images=["cat", "cat", "dog", "dog"]))

    Args:
        table: what `augmentation_analysis` returns.
        quantity: "icc" or "mean_icc".
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.
    """
    check_choices(quantity=(quantity, Agreement))
    style = fitting(theme, figsize, fig, ax)
    values, layers = table[quantity].to_numpy(np.float64), [str(name) for name in table.index]

    def draw(_: int, ax: Axes) -> None:
        ax.barh(np.arange(len(values)), values, color=style.bar, height=0.7)
        apart = ax.bbox.height * 72 / ax.figure.dpi / max(len(values), 1)  # type: ignore[attr-defined]  # points
        for at, value in enumerate(values if apart > 1.2 * style.small else ()):
            label = "no variance" if np.isnan(value) else value_text(value, 2)
            ax.annotate(
                label, (max(0.0, np.nan_to_num(value)), at), (4, 0), textcoords="offset points", va="center",
                size=style.small, color=style.ink,
            )  # fmt: skip
        ax.axvline(0, color=style.muted, lw=1.3, ls=(0, (5, 2)), label="no more alike than others")
        # Where there is little room, the numbers at the ends of the bars take more of it.
        numbers = 4.5 * style.small / max(length_in_points(ax.xaxis), 1)
        ax.set_xlim(min(0.0, float(np.nanmin(np.append(values, 0.0)))) - 0.02, 1.02 + max(0.1, numbers))
        ax.grid(False, axis="y")
        linear_ticks(ax.xaxis)
        layer_axis(ax, layers, style)
        ax.set_xlabel("intraclass correlation")

    return side_by_side(
        [""], draw, ax=ax, title=title, named="What augmentations leave",
        subtitle="share of the variance that lies between images",
        style=style, fig=fig, figsize=figsize, single_size=(7.0, max(2.2, 0.3 * len(values) + 1.5)),
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
