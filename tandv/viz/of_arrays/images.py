"""Draw images as they are, such as the augmentations of some images: a row for each image.

>>> fig = image_grid(np.random.default_rng(0).random((6, 28, 28)), ["cat"] * 3 + ["dog"] * 3)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tandv.arrays import as_array
from tandv.messages import named_arguments, some
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.legends import shortened
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import word_ticks
from tandv.viz.of_arrays.history import spread
from tandv.viz.of_arrays.matrices import side_by_side, with_not_finite_words

MOST_ACROSS, MOST_DOWN = 16, 12


@named_arguments
def image_grid(
    images: Any,
    labels: Sequence[Any] | np.ndarray | None = None,
    columns: int | None = None,
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw images as tiles; with labels, such as the image of each augmentation, those of a label are in a row.

    All have one scale, from the smallest value to the largest. Of more than fit, evenly spaced ones are drawn, and the
    line below the title says how many.

    >>> fig = image_grid(np.zeros((10, 3, 8, 8)), columns=5)

    Args:
        images: [sample, height, width], with a last or second axis of 1 or 3 colours [sample, 3, height, width]; or one
            image alone. NumPy, torch or JAX.
        labels: what each shows, [sample]: a row for each label, in the order of first appearance.
        columns: how many images stand side by side; by default as many as there are of a label, at most 16.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises ValueError for arrays of another shape, or labels of another number.
    """
    pictures = _pictures(images)
    count = len(pictures)
    if labels is not None and len(labels) != count:
        raise ValueError(f"there are {len(labels)} labels for {count} images; give a label for each image")
    if columns is not None and columns < 1:
        raise ValueError(f"columns is how many images stand side by side, at least 1, not {columns}")
    rows = _rows([str(label) for label in labels] if labels is not None else None, count, columns)
    shown = dict(spread(list(rows.items()), MOST_DOWN))
    across = max(len(at) for at in shown.values())
    style = fitting(theme, figsize, fig, ax)
    finite = pictures[np.isfinite(pictures)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    mosaic = _mosaic(pictures, list(shown.values()), across, low, high, style)

    def draw(_: int, ax: Axes) -> None:
        down = len(shown)
        ax.imshow(mosaic, interpolation="nearest", aspect="equal", extent=_extent(mosaic, across, down))
        ax.set_ylim(down - 0.5, -0.5)
        ax.grid(False)
        ax.set_xticks([])
        ax.tick_params(axis="y", length=0, labelcolor=style.ink)
        for spine in ax.spines.values():
            spine.set_visible(False)
        word_ticks(ax.yaxis, shortened(list(shown), 24), down) if labels is not None else ax.set_yticks([])

    drawn = sum(len(at) for at in shown.values())
    notes = [f"{drawn} of {count} images" if drawn < count else f"{count} image{'s' if count > 1 else ''}"]
    notes += [f"{len(shown)} of {len(rows)} labels"] if labels is not None and len(shown) < len(rows) else []
    notes += [f"{pictures.shape[1]} × {pictures.shape[2]}"]
    notes += [f"{_near_zero(low, high):.3g} to {high:.3g}"] if finite.size else []
    tall = mosaic.shape[0] / mosaic.shape[1]
    wide = float(np.clip(0.8 * across, 2.5, 9.0))
    size = wide + (1.2 if labels is not None else 0.2), float(np.clip(wide * tall, 1, 9)) + 0.8
    return side_by_side(
        [""], draw, ax=ax, title=title, named="images", subtitle=with_not_finite_words(notes, pictures),
        style=style, fig=fig, figsize=figsize, single_size=size,
    )  # fmt: skip


def _near_zero(low: float, high: float) -> float:
    return 0.0 if abs(low) < 1e-3 * (high - low) else low


def _pictures(images: Any) -> np.ndarray:
    """Return images as [sample, height, width, 1 or 3 colours]."""
    if isinstance(images, list | tuple) and len(shapes := {np.shape(as_array(image)) for image in images}) > 1:
        raise ValueError(
            f"the images differ in shape: {some(sorted(map(str, shapes)))}; crop or pad them to one, or draw "
            "those of each shape apart"
        )
    array = np.asarray(as_array(images), np.float64)
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 3):
        array = array[None]
    if array.ndim == 3:
        array = array[..., None]
    elif array.ndim == 4 and array.shape[-1] not in (1, 3) and array.shape[1] in (1, 3):
        array = np.moveaxis(array, 1, -1)
    if array.ndim != 4 or array.shape[-1] not in (1, 3) or not array.size:
        raise ValueError(
            f"images have the shape {np.shape(as_array(images))}; give [sample, height, width], or with 1 or 3 colours "
            "[sample, colour, height, width] or [sample, height, width, colour]"
        )
    return array


def _rows(labels: Sequence[str] | None, count: int, columns: int | None) -> dict[str, list[int]]:
    """Return the images that stand in each row, by the name of the row."""
    if labels is None:
        across = columns or min(MOST_ACROSS, int(np.ceil(np.sqrt(1.6 * count))))
        return {str(row): list(range(count))[row * across :][:across] for row in range(-(-count // across))}
    found: dict[str, list[int]] = {}
    for at, label in enumerate(labels):
        found.setdefault(label, []).append(at)
    return {label: spread(at, columns or MOST_ACROSS) for label, at in found.items()}


def _mosaic(
    pictures: np.ndarray, rows: Sequence[Sequence[int]], across: int, low: float, high: float, style: Style
) -> np.ndarray:
    """Return one picture of all tiles, [height, width, 3], with a gap between them in the colour of the panel."""
    _, height, width, _ = pictures.shape
    gap = max(1, min(height, width) // 12)
    panel, missing, infinite = map(to_rgb, (style.panel, style.nan, style.inf))
    out = np.empty((len(rows) * (height + gap), across * (width + gap), 3))
    out[:] = panel
    for row, images in enumerate(rows):
        for column, at in enumerate(images):
            tile = (pictures[at] - low) / (high - low or 1.0)
            bad = [check(tile).any(-1, keepdims=True) for check in (np.isnan, np.isinf)]
            tile = np.where(bad[0], missing, np.where(bad[1], infinite, np.broadcast_to(tile, (height, width, 3))))
            y, x = row * (height + gap), column * (width + gap)
            out[y : y + height, x : x + width] = np.clip(tile, 0, 1)
    return out


def _extent(mosaic: np.ndarray, across: int, down: int) -> tuple[float, float, float, float]:
    """Return the sides of the mosaic in data coordinates, in which rows are counted and tiles keep their shape."""
    each = mosaic.shape[1] / across / (mosaic.shape[0] / down)  # the width of a tile, in heights
    return -0.5, across * each - 0.5, down - 0.5, -0.5
