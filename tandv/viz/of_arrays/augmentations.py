"""Plot what augmentations leave of the variance of layers."""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.messages import check_choices, named_arguments, not_made_by
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.layer_axis import layer_axis
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import length_in_points, linear_ticks, value_text
from tandv.viz.of_arrays.matrices import side_by_side

Size = tuple[float, float] | None
Agreement = Literal["icc", "mean_icc", "mean_r"]
# What each quantity is: the line below the title, the label of its axis, what zero says.
_ICC = "share of the variance that lies between images", "intraclass correlation", "no more alike than others"
_R = "how alike the augmentations of an image are", "mean correlation of two augmentations", "not alike"
_WORDS = {"icc": _ICC, "mean_icc": _ICC, "mean_r": _R}


@named_arguments
def augmentation_effect(
    table: pd.DataFrame,
    quantity: Agreement | None = None,
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw for each layer what share of its variance lies between images rather than between their augmentations.

    It is 1 if augmentation changes nothing, 0 (dashed) if the augmentations of an image are no more alike than those of
    different images. Of a single image, how alike its augmentations are is drawn instead.

    >>> from tandv.analysis.features import augmentation_analysis
    >>> outputs = {"fc": np.array([[1.0], [1.1], [5.0], [5.2]])}
    >>> fig = augmentation_effect(augmentation_analysis(outputs, images=["cat", "cat", "dog", "dog"]))

    Args:
        table: what `augmentation_analysis` returns.
        quantity: "icc", "mean_icc" or "mean_r"; None for "icc", of a single image "mean_r".
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises ValueError for another quantity, TypeError for another table.
    """
    check_choices(quantity=(quantity, Agreement | None))
    if "icc" not in getattr(table, "columns", ()):
        raise TypeError(not_made_by("augmentation_analysis(outputs)", "table", table))
    if quantity is None:
        single = "mean_r" in table and bool(table["icc"].isna().all())
        quantity = "mean_r" if single else "icc"
    subtitle, label_of_axis, zero = _WORDS[quantity]
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
        ax.axvline(0, color=style.muted, lw=1.3, ls=(0, (5, 2)), label=zero)
        # Where there is little room, the numbers at the ends of the bars take more of it.
        numbers = 4.5 * style.small / max(length_in_points(ax.xaxis), 1)
        ax.set_xlim(min(0.0, float(np.nanmin(np.append(values, 0.0)))) - 0.02, 1.02 + max(0.1, numbers))
        ax.grid(False, axis="y")
        linear_ticks(ax.xaxis)
        layer_axis(ax, layers, style)
        ax.set_xlabel(label_of_axis)

    return side_by_side(
        [""], draw, ax=ax, title=title, named="What augmentations leave",
        subtitle=subtitle,
        style=style, fig=fig, figsize=figsize, single_size=(7.0, max(2.2, 0.3 * len(values) + 1.5)),
    )  # fmt: skip
