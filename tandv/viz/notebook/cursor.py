"""A vertical line on every Axes whose x is the step: it follows the mouse and is drawn over a stored background."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from tandv.viz.notebook.surface import in_turn

_MERGED = 0.004  # seconds: events closer together are handled as one
_SETTLED = 0.15  # seconds after the last event, when the whole image is sent again


class Cursor:
    """Draws the line at a step on all `axes` by blitting; events never queue, the last one wins."""

    def __init__(self, canvas: Any, axes: Sequence[Axes], colour: str):
        self._canvas = canvas
        self._lines: list[tuple[Axes, Line2D]] = [
            (ax, ax.axvline(ax.get_xlim()[0], color=colour, linewidth=1.0, animated=True, visible=False, zorder=9))
            for ax in axes
        ]
        self._background: Any = None
        self._wanted: float | None = None
        self._waiting: asyncio.TimerHandle | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._connection = canvas.mpl_connect("draw_event", self._on_draw)
        self.step: float | None = None
        self._hidden = False

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Hide the line while an image is saved (matplotlib saves animated artists too)."""
        self._hidden = True
        for _, line in self._lines:
            line.set_visible(False)
        try:
            yield
        finally:
            self._hidden = False

    def close(self) -> None:
        self._canvas.mpl_disconnect(self._connection)
        for handle in (self._waiting, self._settling):
            if handle is not None:
                handle.cancel()
        for _, line in self._lines:
            line.remove()
        self._lines.clear()

    def move(self, step: float | None) -> None:
        """Show the line at `step`, or hide it (None); later if the front end is busy."""
        self._wanted = step
        if self._waiting is None:
            self._waiting = later(_MERGED, self._draw)

    def _on_draw(self, event: Any) -> None:
        """Store the new image, which is without the line, as background, and draw the line on top."""
        if event.canvas is not self._canvas or self._hidden:  # the figure is being saved
            return
        self._background = self._canvas.copy_from_bbox(self._canvas.figure.bbox)
        self._draw_lines()

    @in_turn
    def _draw(self) -> None:
        self._waiting = None
        self.step = self._wanted
        if self._background is None or not self._lines:
            return
        self._canvas.restore_region(self._background)
        self._draw_lines()
        self._send()
        if self._settling is not None:
            self._settling.cancel()
        self._settling = later(_SETTLED, in_turn(self._send))

    def _draw_lines(self) -> None:
        for ax, line in self._lines:
            line.set_visible(self.step is not None)
            if self.step is not None:
                line.set_xdata([self.step, self.step])
                ax.draw_artist(line)

    def _send(self) -> None:
        self._canvas.blit(self._canvas.figure.bbox)


def later(seconds: float, action: Callable[[], None]) -> asyncio.TimerHandle | None:
    """Call `action` after some seconds where an event loop runs (a notebook's kernel), else at once."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        action()
        return None
    return loop.call_later(seconds, action)
