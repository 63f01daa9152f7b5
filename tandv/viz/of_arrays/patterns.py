"""Draw patterns of attention side by side on one scale."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.analysis.patterns import mean_pattern
from tandv.viz.layout.colours import Scale
from tandv.viz.layout.keys import Key
from tandv.viz.layout.style import Style
from tandv.viz.of_arrays.matrices import draw_matrix, side_by_side


def draw_patterns(
    patterns: Sequence[np.ndarray],
    titles: Sequence[str],
    words: Sequence[str] | None,
    across: int,
    named: str,
    notes: Sequence[str],
    style: Style,
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
    **layout: Any,
) -> Figure:
    """Draw patterns side by side on one scale, titled each or by `columns` and `rows`; `layout` is that of `facet`."""
    top = max(float(np.nanmax(pattern, initial=0.0)) for pattern in patterns)
    scale = Scale("linear", 0.0, top or 1.0)

    def draw(number: int, ax: Axes) -> Key | None:
        draw_matrix(
            ax, patterns[number], scale, style.colours, style, plot="attention", what=titles[number],
            axes=("key", rows[number // across] if rows else "query"), columns=words,
            rows=None if words is None else words[: len(patterns[number])],
        )  # fmt: skip
        return Key(scale, style.colours) if number == across - 1 else None

    same = len({pattern.shape for pattern in patterns}) == 1
    heads = [*columns, *[""] * (len(titles) - len(columns))] if columns else titles
    return side_by_side(
        heads, draw, named=named, subtitle="  |  ".join(notes), style=style, col_wrap=across, sharex=same, sharey=same,
        panel_size=(2.5, 2.4), **layout,
    )  # fmt: skip


def pattern_of(array: np.ndarray, head: int, example: int | None, mask: np.ndarray | None = None) -> np.ndarray:
    """Return the pattern of a head in one example, or its mean over all; without tokens on both sides NaN.

    Args:
        array: [..., head, query, key].
        head: its number.
        example: its number, None for the mean.
        mask: which positions hold a token, [position] or [example, position]; a last key without one is a sink.
    """
    examples = array.reshape(-1, *array.shape[-3:])
    if example is None:
        return mean_pattern(examples[:, head : head + 1], mask)[0]
    if not 0 <= example < len(examples):
        raise LookupError(f"there are the examples 0 to {len(examples) - 1}, not {example}")
    one = None if mask is None else np.broadcast_to(mask, (len(examples), mask.shape[-1]))[example]
    return mean_pattern(examples[example : example + 1, head : head + 1], one)[0]
