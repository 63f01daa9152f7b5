"""Make figures that go where matplotlib's figures go: notebooks, pickles, W&B, and pyplot's `show` and `savefig`.

>>> import matplotlib.pyplot as plt
>>> fig = new_figure((4.0, 3.0))
>>> plt.gcf() is fig
True
>>> plt.close(fig)
"""

import sys
from functools import partial
from io import BytesIO
from typing import Any

from matplotlib import pyplot
from matplotlib._pylab_helpers import Gcf
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from tandv.viz.layout.style import Style

AnyFigure = Figure | SubFigure

pyplots: Any = Gcf  # the figures that pyplot knows; `Any`, since what it takes for a manager is wider than its type
KEPT = 10  # figures that pyplot keeps for `show`: one per step of a training loop must not fill the memory


class _Waiting:
    """What pyplot knows of a figure until it shows it; a window is made only then, since most figures get none.

    The canvas does not know it, so that copies of a figure and figures from a pickle stay unknown to pyplot.
    """

    def __init__(self, figure: Figure, num: int):
        self.figure, self.num = figure, num

    @property
    def canvas(self) -> FigureCanvasBase:  # that of the figure at this time
        return self.figure.canvas

    def show(self) -> None:
        """Put a window of pyplot's backend in place of this; without a screen nothing is shown."""
        pyplots.destroy(self)
        backend: Any = pyplot._get_backend_mod()  # type: ignore[attr-defined]
        manager = backend.new_figure_manager_given_figure(self.num, self.figure)
        pyplots._set_new_active_manager(manager)
        manager.show()

    def destroy(self) -> None:
        """Nothing is to be released: there is no window."""

    def set_window_title(self, title: str) -> None:
        """Pyplot passes the label of a figure on; its window will have it."""


def new_figure(figsize: tuple[float, float]) -> Figure:
    """Return an empty figure of (width, height) in inches, which pyplot and a notebook can show."""
    fig = Figure(figsize=figsize, dpi=100)
    fig.set_layout_engine("none")  # whatever the settings of matplotlib ask for
    FigureCanvasAgg(fig)
    fig._repr_png_ = partial(png, fig)  # type: ignore[attr-defined]  # for notebooks without a backend for plots
    waiting = [manager for manager in pyplots.figs.values() if isinstance(manager, _Waiting)]
    for oldest in waiting[: max(len(waiting) + 1 - KEPT, 0)]:
        pyplots.destroy(oldest)
    pyplots._set_new_active_manager(_Waiting(fig, max(pyplot.get_fignums(), default=0) + 1))
    _forget_after_the_cell()
    return fig


def png(fig: Figure) -> bytes:
    """Return a figure as the bytes of a PNG."""
    out = BytesIO()
    fig.savefig(out, format="png")
    return out.getvalue()


def canvas(fig: AnyFigure | None, figsize: tuple[float, float], style: Style) -> Any:
    """Return an empty figure in the colours of the theme: a new one, or `fig` emptied."""
    if fig is None:
        fig = new_figure(figsize)
    else:
        for ax in fig.axes:
            if (owner := ax.get_figure(root=False)) is not None:  # a part of the figure may own them
                owner.delaxes(ax)  # what is thrown away need not be emptied before
        fig.clear()
    fig.set_facecolor(style.paper)
    return fig


def forget() -> None:
    """Make pyplot forget the figures that it has not shown."""
    for manager in [manager for manager in pyplots.figs.values() if isinstance(manager, _Waiting)]:
        pyplots.destroy(manager)


def _forget_after_the_cell() -> None:
    """Let pyplot forget figures at the end of a notebook's cell: it would show them again, beside the cell's value."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or getattr(shell, "kernel", None) is None:
        return
    ended = shell.events.callbacks["post_execute"]
    if forget not in ended:
        ended.insert(0, forget)  # before the backend's own callback, which shows all figures
