"""Let a plot of one step run through the steps: an animated GIF, or a picture for each step.

>>> from tandv import viz
>>> from tandv.log.logframe import example_log
>>> animate(viz.exp_hist, "weights.gif", df=example_log(steps=3), layer="head", tt="Weight").name
'weights.gif'
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot
from matplotlib.animation import PillowWriter
from matplotlib.figure import Figure

from tandv.log.logframe import steps as logged_steps
from tandv.viz.of_arrays.history import as_history, spread

MOST = 100  # frames of an animation, unless the steps are given


def animate(
    f: Callable[..., Figure],
    path: str | Path,
    steps: Sequence[int] | None = None,
    seconds: float = 0.3,
    dpi: float | None = None,
    **kwargs: Any,
) -> Path:
    """Write a plot at one step after the other to an animated GIF, or to a picture for each step; return the path.

    All steps have the axes that show all of them, so that what moves is the data.

    >>> import numpy as np
    >>> from tandv import viz
    >>> history = {step: {"attention": np.full((1, 2, 4, 4), 0.25)} for step in (0, 100, 200)}
    >>> _ = animate(viz.attention_pattern, "pattern.gif", history=history, head=1)
    >>> _ = animate(viz.attention_pattern, "pattern {step}.png", steps=[0, 200], history=history, head=1)
    >>> sorted(path.name for path in Path().glob("pattern*"))
    ['pattern 0.png', 'pattern 200.png', 'pattern.gif']

    Args:
        f: a plot of `tandv.viz` that has a `step`, such as `exp_hist` of a log or `attention_pattern` of a history.
        path: the .gif to write, or a name with "{step}" in it, such as "correlations/{step}.png"; its folder is made
            if it is not there.
        steps: the steps; by default all of the log or history, of more than 100 so many evenly spaced ones.
        seconds: how long a frame of the GIF is shown.
        dpi: pixels per inch; by default those of the figure.
        **kwargs: the other arguments of the plot.

    Raises ValueError for another ending, frames of no time, or where there are no steps, TypeError for a plot without a
    step.
    """
    if not callable(f):
        raise TypeError(f"f is a plot of tandv.viz, such as viz.exp_hist, not {type(f).__name__}")
    if "step" not in inspect.signature(f).parameters:
        raise TypeError(f"{f.__name__} has no step to go through; animate a plot of one step, such as viz.exp_hist")
    path = Path(path)
    each = "{step}" in str(path)
    if not each and path.suffix.lower() != ".gif":
        raise ValueError(f'{path} is neither a .gif nor a name with "{{step}}" in it, such as "plot {{step}}.png"')
    if not seconds > 0:
        raise ValueError(f"seconds is how long a frame is shown, above 0 such as 0.3, not {seconds}")
    shown = list(steps) if steps is not None else spread(_steps(kwargs), MOST)
    if not shown:
        raise ValueError("there are no steps to go through; give steps=[0, 100, ...]")
    frames = _frames(f, shown, kwargs)
    made = str(path).replace("{step}", str(shown[0]))
    Path(made).parent.mkdir(parents=True, exist_ok=True)
    if each:
        for step, figure in frames:
            figure.savefig(str(path).replace("{step}", str(step)), dpi=dpi or "figure")
        return path
    per_second: Any = 1 / seconds  # which may be a fraction
    writer, first = PillowWriter(per_second), None
    for _, figure in frames:
        if first is None:
            writer.setup(first := figure, str(path), dpi)
        writer.grab_frame()
    writer.finish()
    return path


def _frames(f: Callable[..., Figure], steps: Sequence[int], kwargs: dict[str, Any]) -> Iterator[tuple[int, Figure]]:
    """Yield one figure again and again, with the plot at each step, and the same limits of its axes at all of them."""
    figure = f(**kwargs, step=steps[0])
    limits = [[(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes]]
    limits += [[(ax.get_xlim(), ax.get_ylim()) for ax in f(**kwargs, step=one, fig=figure).axes] for one in steps[1:]]
    alike = len({len(one) for one in limits}) == 1
    for step in steps:
        f(**kwargs, step=step, fig=figure)
        for panel, ax in enumerate(figure.axes if alike else ()):
            ax.set(xlim=_widest([one[panel][0] for one in limits]), ylim=_widest([one[panel][1] for one in limits]))
        yield step, figure
    pyplot.close(figure)


def _widest(limits: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return limits that hold all of these, in the direction of the first."""
    low, high = min(map(min, limits)), max(map(max, limits))
    return (low, high) if limits[0][0] <= limits[0][1] else (high, low)


def _steps(kwargs: dict[str, Any]) -> list[int]:
    if "df" in kwargs:
        return list(logged_steps(kwargs["df"]))
    return list(as_history(kwargs["history"])) if "history" in kwargs else []
