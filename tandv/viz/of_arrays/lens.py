"""Plot what a language model would predict after each of its layers.

>>> from types import SimpleNamespace
>>> lens = SimpleNamespace(layers=["0", "1"], probability=np.full((2, 1, 4), 0.5), rank=np.ones((2, 1, 4)))
>>> fig = lens_map(lens)
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.arrays import as_array
from tandv.messages import check_choices, named_arguments, not_made_by
from tandv.viz.layout.colours import Scale
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.keys import Key
from tandv.viz.layout.legends import shortened
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import value_text
from tandv.viz.of_arrays.matrices import draw_matrix, side_by_side

Size = tuple[float, float] | None
Quantity = Literal["probability", "rank"]


@named_arguments
def lens_map(
    lens: Any,
    quantity: Quantity = "probability",
    example: int | None = None,
    tokens: Sequence[Any] | np.ndarray | None = None,
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the right next token's probability, or its rank, by layer (the last at the top) and position.

    The line below the title gives the mean of the first and of the last layer.

    >>> from types import SimpleNamespace
    >>> lens = SimpleNamespace(layers=["0", "1"], probability=np.full((2, 1, 4), 0.5), rank=np.ones((2, 1, 4)))
    >>> fig = lens_map(lens, "rank", example=0)

    Args:
        lens: what `tandv.probes.logit_lens` returns.
        quantity: "probability", or "rank" (1 for the most probable), whose colours are of its logarithm.
        example: the index of the example; by default the mean over all examples, of ranks the geometric one.
        tokens: words or numbers for the ticks, [position] or [example, position].
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises LookupError for an example that is not there, TypeError for what is no lens.
    """
    check_choices(quantity=(quantity, Quantity))
    if not hasattr(lens, "probability") or not hasattr(lens, "rank"):
        raise TypeError(not_made_by("tandv.probes.logit_lens(model, tokens)", "lens", lens))
    values = as_array(lens.probability if quantity == "probability" else lens.rank).astype(np.float64)
    if example is not None and not 0 <= example < values.shape[1]:
        raise LookupError(f"there are the examples 0 to {values.shape[1] - 1}, not {example}")
    values = values if quantity == "probability" else np.log10(values)
    table = _mean(values) if example is None else values[:, example]
    words = None if tokens is None else as_array(tokens)
    if words is not None and words.ndim == 2:
        if example is None:
            raise ValueError("tokens of several examples need example=, the number of the one to draw")
        words = words[example]
    ends = int(np.flatnonzero((~np.isnan(table)).any(0)).max(initial=0)) + 1  # no token follows the last
    table, words = table[:, :ends], None if words is None else words[:ends]
    top = max(float(np.nanmax(table, initial=0.0)), 1e-9)
    style, label = fitting(theme, figsize, fig, ax), "probability" if quantity == "probability" else "log10 of rank"
    means = _mean((values if example is None else table).reshape(len(values), -1, 1))[:, 0]
    shown = means if quantity == "probability" else 10**means
    notes = [
        f"{'mean' if quantity == 'probability' else 'geometric mean'} of "
        + ("all examples" if example is None else f"example {example}"),
        f"{value_text(shown[0], 2)} after the first layer, {value_text(shown[-1], 2)} after the last",
    ]

    def draw(_: int, ax: Axes) -> Key:
        scale = Scale("linear", 0.0, top)
        draw_matrix(
            ax, table[::-1], scale, style.colours, style, plot="lens_map", what=quantity, axes=("position", "layer"),
            columns=None if words is None else [str(one) for one in words], rows=shortened(list(lens.layers), 18)[::-1],
        )  # fmt: skip
        return Key(scale, style.colours, label=label)

    return side_by_side(
        [""], draw, ax=ax, title=title, named=f"Logit lens · {quantity} of the right token",
        subtitle="  |  ".join(notes), style=style, fig=fig, figsize=figsize, sharex=False, sharey=False,
        single_size=(7.0, max(2.6, 0.3 * len(table) + 1.8)),
    )  # fmt: skip


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the second axis, of what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0).sum(1), known.sum(1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
