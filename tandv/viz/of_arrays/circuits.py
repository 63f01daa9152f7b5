"""Plot how much heads read of what earlier heads write: a map of head × head.

>>> table = {("0", 0, "1", 0): [0.3, 0.6, 0.1, 0.2]}
>>> table = pd.DataFrame.from_dict(table, orient="index", columns=["q", "k", "v", "chance"])
>>> table.index = pd.MultiIndex.from_tuples(table.index, names=["from_layer", "from_head", "to_layer", "to_head"])
>>> fig = head_composition(table)
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.messages import check_choices, named_arguments, not_made_by
from tandv.viz.layout.colours import Scale
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.keys import Key
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import value_text
from tandv.viz.of_arrays.matrices import draw_matrix, side_by_side

Size = tuple[float, float] | None
Composition = Literal["q", "k", "v"]
WORDS = {"q": "queries", "k": "keys", "v": "values"}


@named_arguments
def head_composition(
    table: pd.DataFrame,
    by: Composition | Sequence[Composition] = ("q", "k", "v"),
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw how much each head (rows) reads of what each head of an earlier layer writes (columns).

    Colours begin at the chance level; pairs that cannot compose, since the row is not of a later layer, are empty. The
    line below the title names the strongest pair.

    >>> from tandv.analysis.circuits import HeadWeights, composition_scores
    >>> rng = np.random.default_rng(0)
    >>> heads = {f"{i}": HeadWeights(*rng.normal(size=(3, 2, 8, 3)), rng.normal(size=(2, 3, 8))) for i in range(3)}
    >>> fig = head_composition(composition_scores(heads), "k")

    Args:
        table: what `tandv.analysis.circuits.composition_scores` returns.
        by: "q" for reading by queries, "k" by keys, "v" by values, or several.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises ValueError for another way to read, TypeError for another table.
    """
    kinds: list[Composition] = [by] if isinstance(by, str) else list(by)
    for kind in kinds:
        check_choices(by=(kind, Composition))
    if "chance" not in getattr(table, "columns", ()):
        raise TypeError(not_made_by("composition_scores(heads)", "table", table))
    pairs = [(row[:2], row[2:]) for row in table.index]
    writes, reads = list(dict.fromkeys(one for one, _ in pairs)), list(dict.fromkeys(other for _, other in pairs))
    style = fitting(theme, figsize, fig, ax)
    chance, top = float(table["chance"].max()), float(np.nanmax(table[kinds].to_numpy(), initial=0.0))
    scale = Scale("linear", min(chance, top), max(top, chance * 1.01))
    names = _short([str(layer) for layer, _ in [*writes, *reads]])
    columns, rows = ([f"{names[str(layer)]}.{head}" for layer, head in some] for some in (writes, reads))
    at = [reads.index(other) for _, other in pairs], [writes.index(one) for one, _ in pairs]

    def draw(number: int, ax: Axes) -> Key | None:
        values = np.full((len(reads), len(writes)), np.nan)
        values[at] = table[kinds[number]]
        draw_matrix(
            ax, values, scale, style.colours, style, plot="head_composition", what=WORDS[kinds[number]],
            axes=("written by", "read by"), columns=columns, rows=rows,
        )  # fmt: skip
        for row, known in enumerate(~np.isnan(values)):  # what cannot compose lies right of what can
            first = int(known.nonzero()[0].max(initial=-1)) + 1
            ax.barh(row, len(writes) - first, 1.0, first - 0.5, color=ax.get_facecolor(), lw=0)
        for heads, line in ((writes, ax.axvline), (reads, ax.axhline)):
            for first in (n for n in range(1, len(heads)) if heads[n][0] != heads[n - 1][0]):  # of a layer
                line(first - 0.5, color=style.muted, lw=0.6)
        return Key(scale, style.colours, label="score") if number == len(kinds) - 1 else None

    scores = table[kinds].to_numpy(np.float64)
    notes = [f"by chance {value_text(chance, 2)}"]
    if np.isfinite(scores).any():
        pair, kind = np.unravel_index(np.nanargmax(scores), scores.shape)
        (source, one), (target, other) = pairs[int(pair)]
        notes.append(
            f"strongest {value_text(np.nanmax(scores), 2)}: {names[str(target)]}.{other} reads "
            f"{names[str(source)]}.{one} by its {WORDS[kinds[int(kind)]]}"
        )
    titles = [f"by {WORDS[kind]}" for kind in kinds]
    return side_by_side(
        titles if len(kinds) > 1 else [""], draw, ax=ax, title=title,
        named="Composition of heads" if len(kinds) > 1 else f"Composition of heads by {WORDS[kinds[0]]}",
        subtitle="  |  ".join(notes), style=style, fig=fig, figsize=figsize, col_wrap=len(kinds), sharex=True,
        sharey=True, panel_size=(3.6, 3.5), single_size=(5.6, 5.2),
    )  # fmt: skip


def _short(layers: Sequence[str]) -> dict[str, str]:
    """Return the part of each layer's name in which it differs from the others, such as the number of its block."""
    parts = [name.split(".") for name in dict.fromkeys(layers)]
    whole = {".".join(one): one for one in parts}
    if len({len(one) for one in parts}) > 1:
        return {name: name for name in whole}
    differs = [at for at in range(len(parts[0])) if len({one[at] for one in parts}) > 1]
    return {name: ".".join(one[at] for at in differs) or name for name, one in whole.items()}
