"""The key of the colours of a panel, above it, and what its special cells are."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Polygon, Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from tandv.viz.layout.colours import Scale, lookup
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.legends import figure_legend
from tandv.viz.layout.measuring import points, renderer_of
from tandv.viz.layout.style import Style
from tandv.viz.layout.titles import PAD


class Key(NamedTuple):
    """The key of the colours of a panel, drawn above it."""

    scale: Scale
    colours: str
    specials: Sequence[tuple[str, ...]] = ()  # name and colour of what has its own; and a hatch, for marks over cells
    label: str = ""


def columns_of(ax: Axes) -> int:
    """Return how many panels stand side by side where Axes belong to a grid."""
    place = ax.get_subplotspec()
    return place.get_gridspec().ncols if place is not None else 1


def colour_key(ax: Axes, key: Key, style: Style) -> list[tuple[str, ...]]:
    """Draw the colour bar and the swatches of special cells above the Axes, at their right end.

    Return the special cells for which there is no room.
    """
    fig, before = ax.figure, {*ax.get_children()}
    pixel_w, pixel_h = ax.bbox.width, ax.bbox.height
    renderer = renderer_of(fig)

    def x(pixels: float) -> float:
        return 1 - pixels / pixel_w

    def y(length: float) -> float:
        return 1 + points(fig, length) / pixel_h

    bar = min(points(fig, 130), (0.33 if ax.get_title("left") else 0.45) * pixel_w)
    low, high = y(5), y(12)
    anchor = points(fig, 6)
    image = AxesImage(ax, transform=ax.transAxes, extent=(x(anchor + bar), x(anchor), low, high))
    image.set_data(lookup(key.colours)[None, :, :])
    image.set_clip_on(False)
    image.set_extent((x(anchor + bar), x(anchor), low, high))
    image.set_in_layout(True)
    ax.add_artist(image)
    table, tip = lookup(key.colours), points(fig, 4)
    for beyond, start, step, colour in ((key.scale.below, anchor + bar, tip, 0), (key.scale.above, anchor, -tip, -1)):
        if beyond:  # values beyond the end of the scale have its colour
            corners = [(x(start), low), (x(start), high), (x(start + step), (low + high) / 2)]
            arrow = Polygon(corners, transform=ax.transAxes, facecolor=table[colour] / 255, linewidth=0, clip_on=False)
            ax.add_patch(arrow)
    taken: list[Bbox] = []
    first, *inner, last = key.scale.ticks(max(2, min(5, int(bar / points(fig, 30)))))
    for at, words in (first, last, *inner):  # the ends before what is between them
        where = x(anchor + bar * (1 - at))
        text = ax.text(
            where, y(14), words, transform=ax.transAxes, size=style.small, color=style.muted, ha="center", va="bottom",
        )  # fmt: skip
        box = text.get_window_extent(renderer)
        if at == 1 and (over := box.x1 - (ax.bbox.x1 + points(fig, 2))) > 0:
            text.set_x(where - over / pixel_w)
            box = text.get_window_extent(renderer)
        if any(box.x0 < other.x1 + 3 and other.x0 < box.x1 + 3 for other in taken):
            text.remove()
            continue
        taken.append(box)
        ax.plot([where, where], [high, y(14)], transform=ax.transAxes, color=style.muted, lw=0.7, clip_on=False)
    ends = ax.bbox.x1 - min((box.x0 for box in taken), default=ax.bbox.x1)
    at = max(anchor + bar + points(fig, 10), ends + points(fig, 6))
    most = fig.bbox.width / columns_of(ax)  # what a panel and the space beside it have
    free = max(0.8 * most, pixel_w) - at
    texts: dict[str, Text] = {}
    for words in [*(special[0] for special in reversed(key.specials)), key.label]:  # of the specials NaN is the last
        text = ax.text(
            0, y(4.5), words, transform=ax.transAxes, size=style.small, color=style.muted, ha="right", va="bottom"
        )
        wide = text.get_window_extent(renderer).width
        needs = wide + points(fig, 10 if words == key.label else 20)
        if not words or needs > free:
            text.remove()
            continue
        texts[words] = text
        free -= needs
    for words, colour, *marks in [(key.label, ""), *reversed(key.specials)]:
        if words not in texts:
            continue
        texts[words].set_x(x(at))
        at += texts[words].get_window_extent(renderer).width + points(fig, 4)
        if words == key.label:
            at += points(fig, 6)
            continue
        side = points(fig, 7)
        ax.add_patch(_swatch(ax, (x(at + side), low), colour, marks, style))
        at += side + points(fig, 9)
    ax._tandv_key_left = x(at)  # type: ignore[attr-defined]
    ax._tandv_key = [one for one in ax.get_children() if one not in before]  # type: ignore[attr-defined]
    return [one for one in key.specials if one[0] not in texts]


def words_above(ax: Axes, key: Key, left_out: Sequence[tuple[str, ...]], style: Style) -> None:
    """Write above the key of narrow Axes, a line each, what had no room beside it: its label, and special cells."""
    fig, line = ax.figure, points(ax.figure, 1.6 * style.small)
    written = {one.get_text() for one in ax._tandv_key if isinstance(one, Text)}  # type: ignore[attr-defined]
    lines = list(left_out) + ([(key.label, "")] if key.label and key.label not in written else [])
    start, end = points(fig, 15) + line, 1 - points(fig, 6) / ax.bbox.width
    for number, (words, colour, *marks) in enumerate(lines):
        low = 1 + (start + number * line) / ax.bbox.height
        text = ax.text(
            end, low, words, transform=ax.transAxes, size=style.small, color=style.muted, ha="right", va="bottom"
        )
        if words == key.label:
            continue
        left = end - (text.get_window_extent(renderer_of(fig)).width + points(fig, 11)) / ax.bbox.width
        ax.add_patch(_swatch(ax, (left, low + points(fig, 1) / ax.bbox.height), colour, marks, style))
    ax._tandv_key_lines = len(lines) * 1.6 * style.small  # type: ignore[attr-defined]


def _swatch(ax: Axes, at: tuple[float, float], colour: str, marks: Sequence[str], style: Style) -> Rectangle:
    """Return a square that shows a special cell, with its lower left corner at a place of the Axes."""
    side = points(ax.figure, 7)
    return Rectangle(
        at,
        side / ax.bbox.width,
        side / ax.bbox.height,
        transform=ax.transAxes,
        facecolor=style.panel if marks or not colour else colour,
        edgecolor=style.edge if not colour else colour if marks else "none",
        hatch=marks[0] if marks else None if colour else "//////",
        linewidth=0.0 if colour and not marks else 0.5,
        clip_on=False,
    )


def keys_with_legend(
    fig: AnyFigure, keys: Mapping[Axes, Key], head: float, lay_out: Callable[[float], None], style: Style
) -> float:
    """Draw the keys of panels; return the height of what is above the panels, in pixels.

    Where one has no room for all of its special cells, they are explained once for all panels, below the titles.

    Args:
        fig: the figure.
        keys: the key of each panel that has one.
        head: the height of the titles, in pixels.
        lay_out: positions the panels below a height.
        style: the style.
    """
    left_out = [one for ax, key in keys.items() for one in colour_key(ax, key, style)]
    rows = len({ax.get_position().y0 for ax in keys})
    if not left_out or fig.bbox.height - head < points(fig, 100 * rows):
        return head
    swatches = {
        name: Rectangle(
            (0, 0), 1, 1, facecolor=style.panel if marks or not colour else colour, edgecolor=colour or style.edge,
            hatch=marks[0] if marks else None if colour else "//////", linewidth=0.5,
        )
        for name, colour, *marks in dict.fromkeys(one for key in keys.values() for one in key.specials)
    }  # fmt: skip
    pad = points(fig, PAD)
    legend = figure_legend(fig, swatches, points(fig, 4 * style.text), style)
    legend.set_bbox_to_anchor((1 - pad / fig.bbox.width, 1 - (pad + head) / fig.bbox.height), fig.transSubfigure)
    head += legend.get_window_extent(renderer_of(fig)).height + points(fig, 4)
    for ax in keys:
        for artist in ax._tandv_key:  # type: ignore[attr-defined]
            artist.remove()
    lay_out(head)
    for ax, key in keys.items():
        colour_key(ax, key._replace(specials=()), style)
    return head
