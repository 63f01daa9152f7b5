"""Plot the filters of a convolution as tiles, and the activations of a layer as a map.

>>> fig = conv_filters({"conv1": np.random.default_rng(0).normal(size=(8, 3, 5, 5))})
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from tandv.analysis.samples import Features, places, rows_of_features
from tandv.arrays import as_array
from tandv.messages import check_choices, named_arguments
from tandv.viz.layout.colours import Scale
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.keys import Key
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import step_text, value_text
from tandv.viz.layout.written import escaped
from tandv.viz.of_arrays.history import as_history, chosen_layer, chosen_steps
from tandv.viz.of_arrays.matrices import (
    draw_matrix,
    largest,
    paint,
    side_by_side,
    special_colours,
    with_not_finite,
    with_not_finite_words,
)

Size = tuple[float, float] | None
Channels = Literal["auto", "colour", "apart"]
MOST_FILTERS = 64
MOST_INPUTS = 16


@named_arguments
def conv_filters(
    history: Any,
    layer: str | None = None,
    step: int | Sequence[int] | None = None,
    channels: Channels = "auto",
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the filters of a convolution as tiles, at one step or at several side by side.

    One input channel: a tile for each filter, blue below zero and red above, on one scale. Three are red, green and
    blue, each filter on its own scale around grey. More: a row for each filter, a column for each input. At most 64
    filters and 16 inputs are drawn, and the line below the title says how many.

    >>> fig = conv_filters({"conv1": np.random.default_rng(0).normal(size=(8, 3, 5, 5))})

    Args:
        history: {step: {layer: array}}, or {layer: array} of a single moment; arrays are (output, input, height,
            width).
        layer: the name of the layer; by default the first.
        step: the step, or several; by default the last.
        channels: "colour" for three inputs as one colour, "apart" for one tile per input, "auto" for colour if there
            are three.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises ValueError for weights of another shape, UnknownName for a layer or step that is not there.
    """
    check_choices(channels=(channels, Channels))
    arrays = as_history(history)
    layer = chosen_layer(arrays, layer)
    steps = chosen_steps(arrays, layer, step)
    weights = [np.asarray(arrays[one][layer], np.float64) for one in steps]
    if weights[0].ndim != 4:
        raise ValueError(
            f"filters of {layer!r} have the shape {weights[0].shape}; give those of a convolution of images, "
            "(output, input, height, width); flax keeps them the other way round: w.transpose(3, 2, 0, 1)"
        )
    outputs, inputs, height, width = weights[0].shape
    colour = channels == "colour" or (channels == "auto" and inputs == 3)
    if colour and inputs != 3:
        raise ValueError(f"filters of {layer!r} have {inputs} input channels; only three can be shown as colours")
    apart = not colour and inputs > 1
    style = fitting(theme, figsize, fig, ax)
    every = np.concatenate([one.ravel() for one in weights])
    reach = largest(every)
    scale = Scale("linear", -reach, reach)
    shown = min(outputs, MOST_INPUTS if apart else MOST_FILTERS)
    across = min(inputs, MOST_INPUTS) if apart else int(np.ceil(np.sqrt(shown * 1.6)))
    pictures = [_tiles(one[:shown], across, scale, style, colour, apart) for one in weights]

    def draw(number: int, ax: Axes) -> Key | None:
        picture = pictures[number]
        ax.imshow(picture, interpolation="nearest", aspect="equal")
        ax.set_ylim(len(picture) - 0.5, -0.5)  # the first row at the top, whatever limits the Axes had
        ax.grid(False)
        ax.set_xticks([])
        ax.set_yticks([])
        for spine in ax.spines.values():
            spine.set_visible(True)
        values = weights[number].reshape(outputs, -1)
        if colour:
            _cross_out(ax, weights[number][:shown], across, style)
        remember(ax, Drawn("filters", "weight", "filter", (layer,), (), np.arange(values.shape[1]), values))
        last = number == len(pictures) - 1
        return Key(scale, style.diverging, special_colours(every, style)) if last and not colour else None

    notes = [f"step {step_text(steps[0])}"] if len(steps) == 1 and (len(arrays) > 1 or steps[0]) else []
    notes.append(f"{shown} of {outputs} filters" if shown < outputs else f"{outputs} filters")
    notes.append(f"{height} × {width}, {inputs} input channel" + ("s" if inputs > 1 else ""))
    notes += ["rows: filters, columns: inputs"] if apart else []
    notes += [f"the first {across} of {inputs} inputs"] if apart and across < inputs else []
    notes += ["each on its own scale"] if colour else []
    tall = pictures[0].shape[0] / pictures[0].shape[1]
    side = 4.2 if len(steps) > 1 else 5.6
    return side_by_side(
        [f"step {step_text(one)}" for one in steps], draw, ax=ax, title=title,
        named=f"{layer or 'convolution'} · filters",
        subtitle=with_not_finite_words(notes, every), style=style, fig=fig, figsize=figsize, sharex=False, sharey=False,
        panel_size=(side, side * tall + 0.3), single_size=(side, side * tall + 1.0),
    )  # fmt: skip


@named_arguments
def activation_heatmap(
    history: Any,
    layer: str | None = None,
    step: int | None = None,
    labels: Sequence[Any] | np.ndarray | None = None,
    features: Features = "auto",
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the activation of every feature for every sample: a row for each sample, a column for each feature.

    Positions of a sequence or of an image are averaged over, which the line below the title says.

    >>> fig = activation_heatmap({"fc": np.eye(4)}, labels=["a", "b", "a", "b"])

    Args:
        history: {step: {layer: array}}, or {layer: array} of a single moment; arrays are [sample, feature], [sample,
            position, feature] or [sample, feature, height, width].
        layer: the name of the layer; by default the first.
        step: the step; by default the last.
        labels: the class of each sample, [sample]: samples of a class are drawn next to each other.
        features: the axis of the features: "second", "last" (images of flax), or "auto" for the last of three axes and
            the second of more.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for a layer or step that is not there.
    """
    arrays = as_history(history)
    layer = chosen_layer(arrays, layer)
    [at] = chosen_steps(arrays, layer, step)
    array = arrays[at][layer]
    notes = [f"step {step_text(at)}"] if len(arrays) > 1 or at else []
    if array.ndim < 2:
        raise ValueError(f"activations of {layer!r} have the shape {array.shape}; give [sample, feature]")
    if array.ndim > 2:
        notes.append(f"mean over {' × '.join(map(str, places(array, features)))} positions")
    values = rows_of_features(array, features=features)
    names: list[Any] = []
    sizes = np.zeros(0, int)
    if labels is not None:
        groups = as_array(labels)
        if groups.shape != (len(values),):
            raise ValueError(f"there are {len(values)} samples and labels of shape {groups.shape}; give one for each")
        order = np.argsort(groups, kind="stable")
        values, groups = values[order], groups[order]
        classes, sizes = np.unique(groups, return_counts=True)
        names = classes.tolist()
    style = fitting(theme, figsize, fig, ax)
    signed = bool((values < 0).any())
    reach = largest(values)
    scale = Scale("linear", -reach if signed else 0.0, reach)
    colours = style.diverging if signed else style.colours
    zero = float((values == 0).mean())
    notes.append(f"{len(values):,} samples × {values.shape[1]:,} features, {value_text(100 * zero, 2)}% zero")

    def draw(_: int, ax: Axes) -> Key:
        draw_matrix(
            ax, values, scale, colours, style, plot="activation_heatmap", what=layer, axes=("feature", "sample")
        )  # fmt: skip
        if names:
            ends = np.cumsum(sizes)
            for border in ends[:-1] - 0.5:
                ax.axhline(border, color=style.paper, lw=1.2)
            ax.set_yticks(ends - sizes / 2 - 0.5, [escaped(str(name)) for name in names])
            ax.set_ylabel("class")
        return Key(scale, colours, special_colours(values, style))

    return side_by_side(
        [""], draw, ax=ax, title=title, named=f"{layer or 'layer'} · activations",
        subtitle=with_not_finite_words(notes, values),
        style=style, fig=fig,
        figsize=figsize, single_size=(8.0, 5.0), sharex=False, sharey=False,
    )  # fmt: skip


def _cross_out(ax: Axes, weights: np.ndarray, across: int, style: Style) -> None:
    """Draw a cross over each pixel that is not finite, since among colours any colour may be that of a value."""
    height, width = weights.shape[2:]
    number, y, x = np.nonzero(~np.isfinite(weights).all(axis=1))
    if len(number):
        side = ax.bbox.width * 72 / ax.figure.dpi / (across * (width + 1) + 1)  # points of a pixel
        (line,) = ax.plot(
            number % across * (width + 1) + 1 + x, number // across * (height + 1) + 1 + y, "x", color=style.ink,
            markersize=float(np.clip(0.6 * side, 1.0, 8.0)), markeredgewidth=float(np.clip(0.1 * side, 0.5, 1.5)),
        )  # fmt: skip
        line.set_path_effects([withStroke(linewidth=float(np.clip(0.3 * side, 1.0, 3.0)), foreground=style.paper)])


def _tiles(weights: np.ndarray, across: int, scale: Scale, style: Style, colour: bool, apart: bool) -> np.ndarray:
    """Return filters as one image in RGBA bytes, a pixel for each weight and one between tiles."""
    height, width = weights.shape[2:]
    if colour:
        known = np.where(np.isfinite(weights), weights, 0)
        size = np.abs(known).max(axis=(1, 2, 3), keepdims=True)
        tiles = (np.moveaxis(0.5 + known / np.where(size > 0, 2 * size, 1), 1, -1) * 255).round().astype(np.uint8)
        tiles = np.concatenate([tiles, np.full((*tiles.shape[:-1], 1), 255, np.uint8)], axis=-1)
        infinite = np.where(np.isinf(weights).any(axis=1), np.inf, 0.0)
        tiles = with_not_finite(tiles, np.where(np.isnan(weights).any(axis=1), np.nan, infinite), style)
    elif apart:
        tiles = paint(weights[:, :across].reshape(-1, height, width), scale, style.diverging, style)
    else:
        tiles = paint(weights[:, 0], scale, style.diverging, style)
    down = -(-len(tiles) // across)
    paper = (np.array(to_rgba(style.paper)) * 255).round().astype(np.uint8)
    picture = np.tile(paper, (down * (height + 1) + 1, across * (width + 1) + 1, 1))
    for number, tile in enumerate(tiles):
        y, x = number // across * (height + 1) + 1, number % across * (width + 1) + 1
        picture[y : y + height, x : x + width] = tile
    return picture
