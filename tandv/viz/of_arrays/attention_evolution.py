"""Plot attention over training: patterns of heads at chosen steps, and the scores of all heads.

>>> early, late = np.full((2, 4, 4), 0.25), np.stack([np.eye(4), np.full((4, 4), 0.25)])
>>> fig = attention_evolution({0: {"layers.1": early}, 500: {"layers.1": late}})
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tandv.arrays import as_array
from tandv.curves import Curves, as_curves
from tandv.messages import check_choices, named_arguments
from tandv.viz.layout.figures import AnyFigure, canvas
from tandv.viz.layout.legends import shortened
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import step_text
from tandv.viz.of_arrays.heads import panels_of
from tandv.viz.of_arrays.history import as_history, chosen_steps, spread
from tandv.viz.of_arrays.patterns import draw_patterns, pattern_of
from tandv.viz.of_curves.families import Marks, XScale, draw_families
from tandv.viz.of_curves.metrics import describe

Size = tuple[float, float] | None


@named_arguments
def attention_evolution(
    history: Any,
    tokens: Any = None,
    causal: bool | None = None,
    heads: Sequence[tuple[str, int]] | None = None,
    steps: Sequence[int] | None = None,
    transitions: Marks = None,
    xscale: XScale = "linear",
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    title: str | None = None,
    mask: Any = None,
    curves: Curves | None = None,
) -> Figure:
    """Draw how attention evolves: mean patterns of heads at chosen steps, and the scores of all heads over training.

    Below the patterns: entropy, the specialisation of layers and, of causal attention, the score of previous tokens;
    with tokens also those of duplicate tokens and induction, each with its chance level.

    >>> early, late = np.full((2, 4, 4), 0.25), np.stack([np.eye(4), np.full((4, 4), 0.25)])
    >>> fig = attention_evolution({0: {"layers.1": early}, 500: {"layers.1": late}})

    Args:
        history: {step: {layer: array}}; arrays are probabilities [..., head, query, key].
        tokens: the tokens as numbers, [position] or [example, position].
        causal: whether attention is causal; None decides for each layer: it is if no position ever attends to a later
            one.
        heads: pairs such as ("layers.1", 2); by default the four whose entropy or scores change most.
        steps: the steps of the patterns; by default the first, the last, and two between.
        transitions: transitions to mark, as `find_transitions` returns them; True detects them here.
        xscale: "linear", or "log" for an axis of log(1 + step).
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all. Entropies,
            scores and mean patterns are of these.
        curves: what `attention_curves` returned of all examples, where `history` has only means; None computes it.

    Raises UnknownName for a layer or step that is not there.
    """
    check_choices(xscale=(xscale, XScale))
    from tandv.analysis.attention import attention_curves  # imports SciPy

    arrays = as_history(history)
    table = attention_curves(arrays, tokens, causal=causal, mask=mask) if curves is None else as_curves(curves)
    style = fitting(theme, figsize, fig, None)
    chosen = list(heads) if heads is not None else _most_changed(table, _rows_for(figsize, fig))
    at = spread(list(arrays), 4) if steps is None else chosen_steps(arrays, chosen[0][0], steps)
    panels = panels_of(table)
    down = -(-len(panels) // 3)
    size = figsize or (11.0, 1.75 * len(chosen) + 0.9 + 2.5 * down)
    whole = canvas(fig, size, style)
    high = whole.bbox.height / whole.dpi
    low = max(
        min(2.5 * down / (1.75 * len(chosen) + 0.9 + 2.5 * down), 0.42),
        min(1.6 * down / high, 0.5 if high > 4 else 0.42),
    )
    upper, lower = whole.subfigures(2, 1, height_ratios=[1 - low, low])
    titles = [f"{layer} head {head} · step {step_text(one)}" for layer, head in chosen for one in at]
    known = None if mask is None else as_array(mask)
    shown = [pattern_of(arrays[one][layer], head, None, known) for layer, head in chosen for one in at]
    notes = ["mean patterns", describe({"": table})]
    rows = shortened([f"{layer} head {head}" for layer, head in chosen], 18)
    draw_patterns(
        shown, titles, None, len(at), "Attention over training", notes, style, fig=upper, title=title,
        columns=[f"step {step_text(one)}" for one in at], rows=rows,
    )  # fmt: skip
    families = {title: family for title, (family, _) in panels.items()}
    chance = {title: level for title, (_, level) in panels.items()}
    draw_families(
        table, families, chance=chance, transitions=transitions, xscale=xscale, title="", style=style, fig=lower,
        ylabel={title: "nats" for title in panels if title in ("entropy", "specialisation")}, col_wrap=3,
    )  # fmt: skip
    return whole


def _rows_for(figsize: Size, fig: AnyFigure | None) -> int:
    """Return how many rows of patterns fit in a figure: four, or fewer in a small one."""
    high = figsize[1] if figsize else fig.bbox.height / fig.dpi if fig is not None else 9.0
    return min(max(int(high * 0.8 - 1), 1), 4)


def _most_changed(curves: pd.DataFrame, most: int) -> list[tuple[str, int]]:
    """Return the heads whose entropy (relative to its largest) or scores have the widest range, in model order."""
    size: dict[tuple[str, int], float] = {}
    for column in curves:
        layer, _, rest = str(column).rpartition("/head")
        head, _, name = rest.partition("/")
        if head.isdigit():
            values = curves[column].to_numpy()
            unit = np.nanmax(values) or 1.0 if name == "entropy" else 1.0
            size[layer, int(head)] = max(size.get((layer, int(head)), 0.0), float(np.ptp(values) / unit))
    best = sorted(size, key=lambda place: -np.nan_to_num(size[place]))[:most]
    return [place for place in size if place in best]
