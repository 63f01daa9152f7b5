"""Colours and text sizes of all plots: themes for light and dark screens and for paper, safe for colour-blind readers.

>>> theme("dark").paper
'#11141b'
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure, SubFigure

from tandv.formats import number_format
from tandv.messages import check_choices

Theme = Literal["light", "dark", "paper"]


@dataclass(frozen=True)
class Style:
    """The colours and text sizes of a plot. Colours are "#rrggbb", sizes are in points.

    >>> from dataclasses import replace
    >>> replace(theme("light"), text=12.0).text
    12.0

    Args:
        name: the name of the theme.
        paper: the background of the figure.
        panel: the background of the Axes.
        ink: titles and main text.
        muted: labels and secondary text.
        grid: grid lines.
        edge: spines and ticks.
        bar: bars.
        bar_edge: the gaps between bars.
        alarm: markers of problems, transitions and the chosen layer.
        series: the colours of lines, in order.
        zero: cells and marks of zeros.
        nan: cells and marks of NaN.
        inf: cells and marks of infinities.
        colours: the colour map of values.
        diverging: the colour map of signed values.
        shares: the colour map of shares.
        title: the size of titles.
        text: the size of text.
        small: the size of tick labels.
        formats: the colour of each number format by its short name.
        subtitle: whether a line below the title says what is drawn.
        column: the width in inches of a figure of one panel, which otherwise suits the content; 0 for none.
    """

    name: str
    paper: str
    panel: str
    ink: str
    muted: str
    grid: str
    edge: str
    bar: str
    bar_edge: str
    alarm: str
    series: tuple[str, ...]
    zero: str
    nan: str
    inf: str
    colours: str = "viridis"
    diverging: str = "RdBu_r"
    shares: str = "cividis"
    title: float = 12.0
    text: float = 9.5
    small: float = 9.0
    formats: dict[str, str] = field(default_factory=dict)
    subtitle: bool = True
    column: float = 0.0

    def format_colour(self, name: str) -> str:
        """Return the colour of the number format `name`, which is the same in every plot."""
        return self.formats.get(number_format(name).short, self.muted)


# The colours of Okabe and Ito (2008), brightened for the dark theme.
_LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b6470", "#8c564b")
_DARK = ("#4da3e6", "#f2803a", "#2bc296", "#e594c0", "#f0b740", "#8fd0f5", "#a3adb8", "#c49c94")


def _formats(series: tuple[str, ...]) -> dict[str, str]:
    names = {
        "e4m3": 1,
        "e5m2": 0,
        "fp16": 2,
        "bf16": 3,
        "e2m1": 4,
        "e2m3": 5,
        "e3m2": 7,
        "fp32": 6,
        "fp64": 6,
    }
    return {name: series[i] for name, i in names.items()}


THEMES = {
    "light": Style(
        name="light",
        paper="#ffffff",
        panel="#ffffff",
        ink="#17212c",
        muted="#64707d",
        grid="#e8ebef",
        edge="#8d98a5",
        bar="#4f79b0",
        bar_edge="#ffffff",
        alarm="#d55e00",
        series=_LIGHT,
        zero="#b9c0c9",
        nan="#ff4fa8",
        inf="#d8231f",
        formats=_formats(_LIGHT),
    ),
    "dark": Style(
        name="dark",
        paper="#11141b",
        panel="#171b23",
        ink="#e8eaed",
        muted="#929ca8",
        grid="#272d37",
        edge="#5a6572",
        bar="#79a4dc",
        bar_edge="#171b23",
        alarm="#f2803a",
        series=_DARK,
        zero="#454e5a",
        nan="#ff6bb8",
        inf="#ff4a40",
        diverging="berlin",
        formats=_formats(_DARK),
    ),
}
# For print: the sizes are those of the figure on the page, so that no text is below 6 points.
THEMES["paper"] = replace(THEMES["light"], name="paper", title=8.0, text=7.5, small=7.0, subtitle=False, column=3.3)


def theme(name: Theme | Style = "light") -> Style:
    """Return a theme.

    >>> theme("light").name
    'light'

    Args:
        name: "light", "dark" or "paper"; a Style is returned unchanged.

    Raises ValueError for another name.
    """
    if isinstance(name, Style):
        return name
    check_choices(theme=(name, Theme))
    return THEMES[name]


def fitting(
    name: Theme | Style, figsize: tuple[float, float] | None, fig: SubFigure | Figure | None, ax: Axes | None
) -> Style:
    """Return a theme for a figure of that size in inches, or for `fig` or `ax`: with smaller text if it is small.

    Neither a Style nor the theme for print is changed: their sizes are meant as they are.
    """
    _check_place(figsize, fig)
    style = theme(name)
    there = fig if fig is not None else ax.figure if isinstance(ax, Axes) else None
    if isinstance(name, Style) or style.column or (figsize is None and there is None):
        return style
    wide, high = (there.bbox.width / there.dpi, there.bbox.height / there.dpi) if there else figsize  # type: ignore
    scale = min(max(min(wide / 4.6, high / 2.8), 0.75), 1.0)
    return replace(style, title=style.title * scale, text=style.text * scale, small=style.small * scale)


def _check_place(figsize: Any, fig: Any) -> None:
    if fig is not None and not isinstance(fig, Figure | SubFigure):
        raise TypeError(
            f"fig is a figure or sub-figure of matplotlib, not {type(fig).__name__}; one Axes is given by ax=, and its "
            "figure is axes.figure"
        )
    try:
        width, height = (1, 1) if figsize is None else figsize
        fits = 0 < width < math.inf and 0 < height < math.inf
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(f"figsize={figsize!r} must be (width, height) in inches, such as (8, 4)")


def colours_for(count: int, style: Style) -> list[str]:
    """Return a colour for each of so many curves: distinct ones for a few, a gradient from first to last for many."""
    if count <= len(style.series):
        return list(style.series[:count])
    return [
        to_hex(shade)
        for shade in matplotlib.colormaps[style.colours](
            np.linspace(*((0.3, 1.0) if style.name == "dark" else (0.05, 0.87)), count)
        )
    ]


def dress(ax: Axes, style: Style, grid: Literal["both", "x", "y", "none"] = "both") -> None:
    """Apply the theme to empty Axes."""
    ax.set_facecolor(style.panel)
    for side, spine in ax.spines.items():
        spine.set_color(style.edge)
        spine.set_linewidth(0.8)
        spine.set_visible(side in ("left", "bottom"))
    ax.tick_params(which="both", colors=style.edge, labelcolor=style.muted, labelsize=style.small, width=0.8, length=3)
    ax.tick_params(which="minor", length=0)
    ax.set_axisbelow(True)
    if grid != "none":
        ax.grid(True, axis=grid, color=style.grid, linewidth=0.8)
    ax.xaxis.label.set(color=style.muted, size=style.text)
    ax.yaxis.label.set(color=style.muted, size=style.text)
