"""Plot patterns of heads with their tokens, and heads before and after.

Attention is given as probabilities [..., head, query, key]: one array, {layer: array}, or {step: {layer: array}}.

>>> pattern = np.tril(np.ones((2, 6, 6))) / np.arange(1, 7)[:, None]
>>> fig = attention_pattern({"layers.0": pattern}, head=1, tokens=list("banana"))
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.arrays import as_array
from tandv.messages import named_arguments
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import step_text, value_text
from tandv.viz.of_arrays.history import as_history, chosen_layer, chosen_steps, spread
from tandv.viz.of_arrays.patterns import draw_patterns, pattern_of

Size = tuple[float, float] | None
MOST_HEADS = 8  # panels side by side


@named_arguments
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
    mask: Any = None,
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
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all. Means are of
            these, and what is no token is drawn as missing.

    Raises UnknownName for a layer, step, head or example that is not there.
    """
    arrays, known = _with_heads(history), None if mask is None else as_array(mask)
    layer = chosen_layer(arrays, layer)
    [at] = chosen_steps(arrays, layer, step)
    heads = _heads_of(arrays[at][layer], head, layer)
    words = _words(tokens, example, arrays[at][layer].shape[-2:])
    patterns = [pattern_of(arrays[at][layer], one, example, known) for one in heads]
    several = len(heads) > 1
    titles = [f"head {one}" for one in heads]
    notes = [f"step {step_text(at)}"] if len(arrays) > 1 or at else []
    notes.append(
        "mean of all examples" if example is None and arrays[at][layer].ndim > 3 else f"example {example or 0}"
    )
    notes += [] if several else [_entropy_words(arrays[at][layer], heads[0], example, known)]
    return draw_patterns(
        patterns, titles, words, len(heads), f"{layer or 'attention'} · {'heads' if several else titles[0]}", notes,
        fitting(theme, figsize, fig, ax), single_size=(5.6, 5.2), figsize=figsize, fig=fig, ax=ax, title=title,
    )  # fmt: skip


@named_arguments
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
    mask: Any = None,
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
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all. Means are of
            these, and what is no token is drawn as missing.

    Raises UnknownName for a layer, step, head or example that is not there.
    """
    arrays, known = as_history(history), None if mask is None else as_array(mask)
    layer = chosen_layer(arrays, layer)
    there = [one for one in arrays if layer in arrays[one]]
    steps = spread(there, 2) if step is None else chosen_steps(arrays, layer, step)
    if (shape := arrays[steps[0]][layer].shape)[:-2] == ():
        raise ValueError(
            f"attention of heads is [head, query, key] or [example, head, query, key], not of shape {shape}"
        )
    count = shape[-3]
    chosen = _heads_of(arrays[steps[0]][layer], range(min(count, MOST_HEADS)) if heads is None else heads, layer)
    words = _words(tokens, example, arrays[steps[0]][layer].shape[-2:])
    shown = [(one, head) for one in steps for head in chosen]
    titles = [f"head {head}" + (f" · step {step_text(one)}" if len(arrays) > 1 else "") for one, head in shown]
    notes = [f"{len(chosen)} of {count} heads"] if len(chosen) < count else [f"{count} heads"]
    notes.append("mean of all examples" if example is None else f"example {example}")
    patterns = [pattern_of(arrays[one][layer], head, example, known) for one, head in shown]
    style = fitting(theme, figsize, fig, ax)
    columns = [f"head {head}" for head in chosen] if len(steps) > 1 else ()  # narrow panels have no room for both
    rows = [f"step {step_text(one)}" for one in steps] if len(steps) > 1 else ()
    return draw_patterns(
        patterns, titles, words, len(chosen), layer or "attention", notes, style, columns, rows, figsize=figsize,
        fig=fig, ax=ax, title=title,
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


def _words(tokens: Any, example: int | None, shape: tuple[int, ...]) -> list[str] | None:
    """Return a word for each key; of one key more than tokens, the last is the sink."""
    if tokens is None:
        return None
    listed = as_array(tokens)
    if listed.ndim == 2:
        if example is None:
            raise ValueError("tokens of several examples need example=, the number of the one to draw")
        listed = listed[example]
    queries, keys = shape
    sink = ["sink"] if keys == queries + 1 == len(listed) + 1 else []
    if len(listed) + len(sink) != keys:
        raise ValueError(f"there are {len(listed)} tokens for {keys} positions; give one for each")
    return [str(one) for one in listed] + sink


def _entropy_words(array: np.ndarray, head: int, example: int | None, mask: np.ndarray | None) -> str:
    """Return the mean entropy of a head's rows and the largest possible one, in words, and what goes to a sink."""
    from tandv.analysis.attention import without_sink  # imports SciPy
    from tandv.analysis.attention.sinks import among_tokens

    found = without_sink(array.reshape(-1, *array.shape[-3:])[:, head].astype(np.float64))
    rows = among_tokens(found)
    queries, keys = rows.shape[-2:]
    real = np.ones((len(rows), keys), bool) if mask is None else np.broadcast_to(mask.astype(bool), (len(rows), keys))
    is_causal = queries == keys and not np.triu(rows, 1).any()
    visible = real[:, None] & (np.tri(keys, dtype=bool) if is_causal else rows > 0)
    chosen = real[:, keys - queries :] & (True if example is None else np.arange(len(rows))[:, None] == example)
    counted = chosen & (rows.sum(-1) > 0)
    if not counted.any():
        return "no row attends to any key"
    entropy = -np.where(rows > 0, rows * np.log(np.where(rows > 0, rows, 1)), 0).sum(-1)[counted].mean()
    most = np.log(visible.sum(-1)[counted]).mean()
    words = f"entropy {value_text(max(0.0, float(entropy)))} of at most {value_text(float(most))} nats"
    return (
        words if found.sink is None else f"{words}  |  {value_text(100 * found.sink[counted].mean(), 2)} % to the sink"
    )
