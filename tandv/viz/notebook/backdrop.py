"""An image of what stays in a figure, over which the rest of it is drawn: most of a picture need not be drawn again."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure


class Backdrop(Artist):
    """The image of some artists of a figure; `draw_over` draws the figure with it in place of them.

    Args:
        figure: the figure, on a canvas of Agg.
        steady: the artists that stay as they are, in Axes of it; Axes without any of these do not belong to the image.
        aside: sub-figures that stay as a whole.
    """

    def __init__(self, figure: Figure, steady: Sequence[Artist], aside: Sequence[Any] = ()):
        super().__init__()
        self._figure, self._canvas = figure, figure.canvas
        self.key = (figure.dpi, *figure.bbox.size)
        self._steady = [*steady, *aside, figure.patch, *(part.patch for part in figure.subfigs)]
        stay = set(map(id, self._steady))
        axes = [ax for part in (figure, *figure.subfigs) if part not in aside for ax in part.axes]
        kept = [ax for ax in axes if any(id(one) in stay for one in ax.get_children())]
        moving = [ax for ax in axes if ax not in kept]
        moving += [one for ax in kept for one in ax.get_children() if id(one) not in stay]
        moving += [
            one for part in (figure, *figure.subfigs) if part not in aside for one in (*part.texts, *part.legends)
        ]
        renderer = self._canvas.get_renderer()  # type: ignore[attr-defined]
        renderer.clear()
        with _hidden(moving):
            figure.draw(renderer)
        self._image = self._canvas.copy_from_bbox(figure.bbox)  # type: ignore[attr-defined]
        self.set_zorder(-1e9)

    def draw(self, renderer: Any) -> None:
        renderer.restore_region(self._image)

    def draw_over(self) -> None:
        """Draw the figure: this image, and all artists that are not in it."""
        self._figure.add_artist(self)
        try:
            with _hidden(self._steady):
                self._canvas.draw()
        finally:
            self.remove()


@contextmanager
def _hidden(artists: Iterable[Artist]) -> Iterator[None]:
    seen = [one for one in artists if one.get_visible()]
    for one in seen:
        one.set_visible(False)
    try:
        yield
    finally:
        for one in seen:
            one.set_visible(True)
