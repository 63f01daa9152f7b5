"""Draw patterns of attention side by side on one scale."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.viz.layout.colours import Scale
from tandv.viz.layout.style import Style
from tandv.viz.layout.titles import Key
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
            axes=("key", rows[number // across] if rows else "query"), columns=words, rows=words,
        )  # fmt: skip
        return Key(scale, style.colours) if number == across - 1 else None

    same = len({pattern.shape for pattern in patterns}) == 1
    heads = [*columns, *[""] * (len(titles) - len(columns))] if columns else titles
    return side_by_side(
        heads, draw, named=named, subtitle="  |  ".join(notes), style=style, col_wrap=across, sharex=same, sharey=same,
        panel_size=(2.5, 2.4), **layout,
    )  # fmt: skip


def pattern_of(array: np.ndarray, head: int, example: int | None) -> np.ndarray:
    examples = array.reshape(-1, *array.shape[-3:])
    if example is None:
        return examples[:, head].mean(0, dtype=np.float64)
    if not 0 <= example < len(examples):
        raise LookupError(f"there are the examples 0 to {len(examples) - 1}, not {example}")
    return examples[example, head].astype(np.float64)
