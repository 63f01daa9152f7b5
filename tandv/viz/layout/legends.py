"""Legends that take only the room there is: names are shortened to what tells them apart, and entries left out.

>>> shortened([f"model.layers.{i}.attention.output_projection" for i in (0, 1)], 20)
['…layers.0…', '…layers.1…']
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.measuring import points, renderer_of
from tandv.viz.layout.style import Style
from tandv.viz.layout.written import as_written, readable

LONGEST = 40  # characters of a name in a legend or of a row
_HANDLE = 3.4  # font sizes that the line of an entry and the space to the next column take


def cut(words: str, most: int = LONGEST) -> str:
    """Return words without their middle if there are more than `most` characters of them.

    Numbers between dots are kept where there is room, as they tell layers of one kind apart.

    >>> cut("transformer.layers.11.attention.output_projection", 20)
    'trans…layers.11…tion'
    """
    if len(words) <= most:
        return words
    for numbers in _NUMBERS:
        short = _cut_around([match.span() for match in numbers.finditer(words)], words, most)
        if short:
            return short
    return _without_middle(words, most)


_NUMBERS = (re.compile(r"[^\W\d_]+[._/]\d+(?![^\W_])"), re.compile(r"(?<=[._/])\d+(?![^\W_])"))


def _cut_around(numbers: Sequence[tuple[int, int]], words: str, most: int) -> str:
    """Return words with their beginning, their end and the numbers between these; "" if there is no room for them."""
    ends = words.startswith("…"), words.endswith("…")  # what is cut already has no such end
    begin = 0 if ends[0] else most // 2
    end = len(words) if ends[1] else len(words) - (most - 1) // 2
    while True:
        kept = [(a, b) for a, b in numbers if b > begin and a < end]
        middle = "…".join(words[a:b] for a, b in kept)
        room = most - len(middle) - 2
        if not kept or room < 0:
            return ""
        first = 0 if ends[0] else min((room + 1) // 2, kept[0][0])
        last = len(words) if ends[1] else max(len(words) - (room - first), kept[-1][1])
        if (first, last) == (begin, end) or len(kept) == len(numbers):
            dots = ["…" if first < kept[0][0] else "", "…" if last > kept[-1][1] else ""]
            return words[:first] + dots[0] + middle + dots[1] + words[last:]
        begin, end = first, last


def _without_middle(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most // 2]}…{words[-((most - 1) // 2) :]}"


def shortened(names: Sequence[str], most: int = LONGEST) -> list[str]:
    """Return names of about `most` characters that are as distinct as they were.

    Where they would look the same without their middle, what all have in common is left out instead.
    """
    words = [name for name in dict.fromkeys(names) if name]
    for way in (_cut_all, partial(_varying, context=1), partial(_varying, context=0), _ends_left_out):
        short = way(words, most=most)
        if len(set(short)) == len(words) and max(map(len, short), default=0) <= most + 2:
            break
    else:
        short = [f"{i}: {cut(name, max(most - 4, 3))}" for i, name in enumerate(words, 1)]
    found = dict(zip(words, short, strict=True))
    return [found.get(name, "") for name in names]


def _cut_all(names: Sequence[str], most: int) -> list[str]:
    return [_without_middle(name, most) for name in names]


def _varying(names: Sequence[str], most: int, context: int) -> list[str]:
    """Return the words in which names of equally many words differ, each with so many words before it."""
    parts = [re.split(r"([._/·~: ]+)", name) for name in names]
    out = []
    for name, words in zip(names, parts, strict=True):
        like = [other for other in parts if len(other) == len(words)]
        varies = [len(set(column)) > 1 for column in zip(*like, strict=True)]
        kept = [any(varies[i : i + 1 + 2 * context]) for i in range(len(varies))]
        # What stands between two words that are kept is kept with them.
        between = [0 < i < len(kept) - 1 and kept[i - 1] and kept[i + 1] for i in range(len(kept))]
        shown = (word if kept[i] or between[i] else "…" for i, word in enumerate(words))
        out.append(re.sub(r"[._/ ]*…[._/…· ]*", "…", "".join(shown)) if any(kept) else cut(name, most))
    return out


def _ends_left_out(names: Sequence[str], most: int) -> list[str]:
    """Return names without the beginning and the end that all have."""
    begin = _whole(_common(names))
    end = _whole(_common([name[len(begin) :][::-1] for name in names]))[::-1]
    middles = [name[len(begin) : len(name) - len(end)] for name in names]
    spare = max(most - max(map(len, middles)) - 2, 0)
    before = _whole(begin[::-1][: spare * 2 // 3], begin[::-1])[::-1]
    after = _whole(end[: spare - len(before)], end)
    dots = ("…" if len(before) < len(begin) else "", "…" if len(after) < len(end) else "")
    return [dots[0] + (before + middle + after).strip("._/ ") + dots[1] for middle in middles]


def _common(names: Sequence[str]) -> str:
    """Return the beginning that all names have."""
    first, last = min(names), max(names)
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _whole(part: str, name: str = "") -> str:
    """Return the beginning of a name without the word that may be divided at its end."""
    return part if part == name else re.sub(r"[^\W_]+$", "", part)


def legend_entries(panels: Sequence[Axes]) -> dict[str, Any]:
    """Return every labelled artist of the panels once."""
    found: dict[str, Any] = {}
    for ax in panels:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return found


def fitted(
    entries: Mapping[str, Any], width: float, rows: int, style: Style, fig: AnyFigure
) -> tuple[list[Any], list[str], int]:
    """Return the handles, names and columns of a legend of `width` pixels and at most so many rows.

    Names are shortened first; where that is not enough, evenly spaced entries are shown and the others counted.
    """
    names, handles = [readable(name) for name in entries], list(entries.values())
    for most in (LONGEST, 28, 20, 14):
        short = shortened(names, most)
        columns = _columns(short, width, style, fig)
        if math.ceil(len(short) / columns) <= rows:
            return handles, short, columns
    short = shortened(names, 20)
    columns = _columns(short, width, style, fig)
    if columns * rows == 1:
        return handles[:1], [f"{short[0]} and {len(names) - 1:,} more"], 1
    kept = np.unique(np.linspace(0, len(names) - 1, max(columns * rows - 1, 1)).round().astype(int))
    shown = [short[i] for i in kept] + [f"and {len(names) - len(kept):,} more"]
    return [handles[i] for i in kept] + [Line2D([], [], linestyle="none")], shown, columns


def _columns(names: Sequence[str], width: float, style: Style, fig: AnyFigure) -> int:
    font, renderer = FontProperties(size=style.text), renderer_of(fig)
    longest = max(renderer.get_text_width_height_descent(name, font, False)[0] for name in names)
    return max(1, min(len(names), int(width / (longest + points(fig, _HANDLE * style.text)))))


def figure_legend(
    fig: AnyFigure, entries: Mapping[str, Any], height: float, style: Style, formulas: bool = False
) -> Legend:
    """Draw a legend at the top right of a figure, at most about `height` pixels high; names may be formulas."""
    pad = points(fig, 7.0)
    rows = max(int(height / points(fig, style.text * 1.5)), 1)
    handles, names, columns = fitted(entries, fig.bbox.width - 2 * pad, rows, style, fig)
    legend = fig.legend(
        handles, names, loc="upper right", bbox_to_anchor=(1 - pad / fig.bbox.width, 1 - pad / fig.bbox.height),
        bbox_transform=fig.transSubfigure, ncols=columns, frameon=False, fontsize=style.text, labelcolor=style.ink,
        borderpad=0, borderaxespad=0, handlelength=1.4, handletextpad=0.5, columnspacing=1.3,
    )  # fmt: skip
    as_written(*legend.get_texts(), formulas=formulas)
    return legend


def own_legend(ax: Axes, style: Style, formulas: bool = False) -> None:
    """Give Axes of the caller's figure a legend inside of them, where it covers least; names may be formulas."""
    entries = legend_entries([ax])
    if entries:
        rows = max(int(0.5 * ax.bbox.height / points(ax.figure, style.small * 1.5)), 1)
        handles, names, columns = fitted(entries, 0.6 * ax.bbox.width, rows, style, ax.figure)
        legend = ax.legend(
            handles, names, ncols=columns, fontsize=style.small, labelcolor=style.ink, handlelength=1.4,
            facecolor=style.panel, edgecolor=style.grid, framealpha=0.85,
        )  # fmt: skip
        as_written(*legend.get_texts(), formulas=formulas)
        legend.set_in_layout(False)
