"""Plot attention: patterns of heads with their tokens, before and after, and over training.

Attention is given as probabilities [..., head, query, key]: one array, {layer: array}, or {step: {layer: array}}.

>>> pattern = np.tril(np.ones((2, 6, 6))) / np.arange(1, 7)[:, None]
>>> fig = attention_pattern({"layers.0": pattern}, head=1, tokens=list("banana"))
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.arrays import as_array
from tandv.messages import check_choices
from tandv.viz.layout.colours import Scale
from tandv.viz.layout.figures import AnyFigure, canvas
from tandv.viz.layout.legends import shortened
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import step_text, value_text
from tandv.viz.layout.titles import Key
from tandv.viz.of_arrays.heads import panels_of
from tandv.viz.of_arrays.history import as_history, chosen_layer, chosen_steps, spread
from tandv.viz.of_arrays.matrices import draw_matrix, side_by_side
from tandv.viz.of_curves.families import Marks, XScale, draw_families
from tandv.viz.of_curves.metrics import describe

Size = tuple[float, float] | None
MOST_HEADS = 8  # panels side by side


def attention_pattern(
    history: Any,
    layer: str | None = None,
    head: int | Sequence[int] = 0,
    step: int | None = None,
    example: int | None = None,
    tokens: Sequence[Any] | np.ndarray | None = None,
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw where a head attends: a row for each query, a column for each key.

    The line below the title gives the entropy of the head's rows and the largest possible one.

    >>> pattern = np.tril(np.ones((2, 6, 6))) / np.arange(1, 7)[:, None]
    >>> fig = attention_pattern({"layers.0": pattern}, head=1)

    Args:
        history: {step: {layer: array}}, or {layer: array} of a single moment; arrays are probabilities [..., head,
            query, key], or [query, key] of one head.
        layer: the name of the layer; by default the first.
        head: the index of the head, or several.
        step: the step; by default the last.
        example: the index of the example; by default the mean over all examples.
        tokens: words or numbers for the ticks, [position] or [example, position].
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for a layer, step, head or example that is not there.
    """
    arrays = _with_heads(history)
    layer = chosen_layer(arrays, layer)
    [at] = chosen_steps(arrays, layer, step)
    heads = _heads_of(arrays[at][layer], head, layer)
    words = _words(tokens, example, arrays[at][layer].shape[-1])
    patterns = [_pattern(arrays[at][layer], one, example) for one in heads]
    several = len(heads) > 1
    titles = [f"head {one}" for one in heads]
    notes = [f"step {step_text(at)}"] if len(arrays) > 1 or at else []
    notes.append(
        "mean of all examples" if example is None and arrays[at][layer].ndim > 3 else f"example {example or 0}"
    )
    notes += [] if several else [_entropy_words(arrays[at][layer], heads[0], example)]
    return _patterns(
        patterns, titles, words, len(heads), f"{layer or 'attention'} · {'heads' if several else titles[0]}", notes,
        fitting(theme, figsize, fig, ax), single_size=(5.6, 5.2), figsize=figsize, fig=fig, ax=ax, title=title,
    )  # fmt: skip


def attention_heads(
    history: Any,
    layer: str | None = None,
    step: int | Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    example: int | None = None,
    tokens: Sequence[Any] | np.ndarray | None = None,
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the heads of a layer side by side, a row of panels for each step: before and after.

    >>> early, late = np.full((2, 4, 4), 0.25), np.stack([np.eye(4), np.full((4, 4), 0.25)])
    >>> fig = attention_heads({0: {"layers.1": early}, 500: {"layers.1": late}})

    Args:
        history: {step: {layer: array}}, or {layer: array} of a single moment; arrays are probabilities [..., head,
            query, key].
        layer: the name of the layer; by default the first.
        step: the step, or several; by default the first and the last.
        heads: the indices of the heads; by default the first 8.
        example: the index of the example; by default the mean over all examples.
        tokens: words or numbers for the ticks, [position] or [example, position].
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for a layer, step, head or example that is not there.
    """
    arrays = as_history(history)
    layer = chosen_layer(arrays, layer)
    there = [one for one in arrays if layer in arrays[one]]
    steps = spread(there, 2) if step is None else chosen_steps(arrays, layer, step)
    count = arrays[steps[0]][layer].shape[-3]
    chosen = _heads_of(arrays[steps[0]][layer], range(min(count, MOST_HEADS)) if heads is None else heads, layer)
    words = _words(tokens, example, arrays[steps[0]][layer].shape[-1])
    shown = [(one, head) for one in steps for head in chosen]
    titles = [f"head {head}" + (f" · step {step_text(one)}" if len(arrays) > 1 else "") for one, head in shown]
    notes = [f"{len(chosen)} of {count} heads"] if len(chosen) < count else [f"{count} heads"]
    notes.append("mean of all examples" if example is None else f"example {example}")
    patterns = [_pattern(arrays[one][layer], head, example) for one, head in shown]
    style = fitting(theme, figsize, fig, ax)
    return _patterns(
        patterns, titles, words, len(chosen), layer or "attention", notes, style, figsize=figsize, fig=fig, ax=ax,
        title=title,
    )  # fmt: skip


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
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all. Entropies
            and scores are of these.

    Raises UnknownName for a layer or step that is not there.
    """
    check_choices(xscale=(xscale, XScale))
    from tandv.analysis.attention import attention_curves  # imports SciPy

    arrays = as_history(history)
    curves = attention_curves(arrays, tokens, causal=causal, mask=mask)
    style = fitting(theme, figsize, fig, None)
    chosen = list(heads) if heads is not None else _most_changed(curves, _rows_for(figsize, fig))
    at = spread(list(arrays), 4) if steps is None else chosen_steps(arrays, chosen[0][0], steps)
    panels = panels_of(curves)
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
    shown = [_pattern(arrays[one][layer], head, None) for layer, head in chosen for one in at]
    notes = ["mean patterns", describe({"": curves})]
    rows = shortened([f"{layer} head {head}" for layer, head in chosen], 18)
    _patterns(
        shown, titles, None, len(at), "Attention over training", notes, style, fig=upper, title=title,
        columns=[f"step {step_text(one)}" for one in at], rows=rows,
    )  # fmt: skip
    families = {title: family for title, (family, _) in panels.items()}
    chance = {title: level for title, (_, level) in panels.items()}
    draw_families(
        curves, families, chance=chance, transitions=transitions, xscale=xscale, title="", style=style, fig=lower,
        ylabel={title: "nats" for title in panels if title in ("entropy", "specialisation")}, col_wrap=3,
    )  # fmt: skip
    return whole


def _patterns(
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


def _with_heads(history: Any) -> dict[int, dict[str, np.ndarray]]:
    """Return {step: {layer: array}}; a pattern [query, key] is that of a layer with one head."""
    return {
        step: {layer: array[None] if array.ndim == 2 else array for layer, array in arrays.items()}
        for step, arrays in as_history(history).items()
    }


def _heads_of(array: np.ndarray, wanted: int | Sequence[int], layer: str) -> list[int]:
    if array.ndim < 3:
        raise ValueError(f"attention has shape {array.shape}; give [..., head, query, key] (one head: attention[None])")
    heads = [int(wanted)] if isinstance(wanted, int | np.integer) else [int(one) for one in wanted]
    count = array.shape[-3]
    if not heads or not all(0 <= one < count for one in heads):
        raise LookupError(f"{layer or 'this attention'} has the heads 0 to {count - 1}, not {wanted}")
    return heads


def _pattern(array: np.ndarray, head: int, example: int | None) -> np.ndarray:
    examples = array.reshape(-1, *array.shape[-3:])
    if example is None:
        return examples[:, head].mean(0, dtype=np.float64)
    if not 0 <= example < len(examples):
        raise LookupError(f"there are the examples 0 to {len(examples) - 1}, not {example}")
    return examples[example, head].astype(np.float64)


def _words(tokens: Any, example: int | None, count: int) -> list[str] | None:
    if tokens is None:
        return None
    listed = as_array(tokens)
    if listed.ndim == 2:
        if example is None:
            raise ValueError("tokens of several examples need example=, the number of the one to draw")
        listed = listed[example]
    if len(listed) != count:
        raise ValueError(f"there are {len(listed)} tokens for {count} positions; give one for each")
    return [str(one) for one in listed]


def _entropy_words(array: np.ndarray, head: int, example: int | None) -> str:
    """Return the mean entropy of a head's rows and the largest possible one, in words."""
    examples = array.reshape(-1, *array.shape[-3:])[:, head].astype(np.float64)
    rows = examples if example is None else examples[example : example + 1]
    visible = (rows > 0).any(0).sum(-1)
    if not visible.any():
        return "no row attends to any key"
    if rows.shape[-1] == rows.shape[-2] and not np.triu(rows, 1).any():
        visible = np.arange(1, rows.shape[-1] + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(rows > 0, rows * np.log(rows), 0).sum(-1)[:, visible > 0].mean()
    most = np.log(visible[visible > 0]).mean()
    return f"entropy {value_text(max(0.0, float(entropy)))} of at most {value_text(float(most))} nats"


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
