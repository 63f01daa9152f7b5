"""What plots of several runs share: the spread of a number of each run, as words and as an error bar.

>>> spread_words([100, 110, 120])
'110 ± 24.8 (3 of 3)'
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from tandv.curves import mean_and_reach
from tandv.viz.layout.style import Style


def spread_words(steps: Sequence[float | None]) -> str:
    """Return the mean of steps of several runs, its 95 % confidence interval, and how many of them there are.

    >>> spread_words([100, 110, 120, None])
    '110 ± 24.8 (3 of 4)'
    """
    known = [step for step in steps if step is not None]
    mean, reach = mean_and_reach(known)
    if not known:
        return "not reached"
    interval = "" if np.isnan(reach) else f" ± {_text(reach)}"
    return f"{_text(mean)}{interval} ({len(known)} of {len(steps)})"


def _text(steps: float) -> str:
    return f"{steps:,.0f}" if abs(steps) >= 100 else f"{steps:.3g}"


def draw_interval(ax: Axes, steps: Sequence[float], height: float, colour: str, style: Style) -> None:
    """Draw the mean of the steps of several runs at a height, with its 95 % confidence interval, not below step 0."""
    mean, reach = mean_and_reach(steps)
    sides = None if np.isnan(reach) else [[min(reach, mean)], [reach]]
    ax.errorbar(
        [mean], [height], xerr=sides, fmt="o", color=colour, markerfacecolor=style.paper, markersize=6,
        markeredgewidth=1.6, capsize=3, elinewidth=1.6, zorder=6, label="_interval", gid="interval",
    )  # fmt: skip
