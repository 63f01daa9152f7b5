"""What every picture has to be: nothing cut off, nothing on top of something else."""

import itertools

import pytest


def _faults(figure) -> list[str]:
    figure.canvas.draw()
    renderer, page = figure.canvas.get_renderer(), figure.bbox
    found = []

    def box(text):
        return text.get_window_extent(renderer)

    def outside(text) -> bool:
        b = box(text)
        return b.x0 < page.x0 - 1 or b.x1 > page.x1 + 1 or b.y0 < page.y0 - 1 or b.y1 > page.y1 + 1

    def overlaps(texts) -> list[str]:
        boxes = [(t.get_text(), box(t)) for t in texts]
        return [
            f"{a!r} overlaps {b!r}"
            for (a, one), (b, other) in itertools.combinations(boxes, 2)
            if min(one.x1, other.x1) - max(one.x0, other.x0) > 1 and min(one.y1, other.y1) - max(one.y0, other.y0) > 2
        ]

    for ax in figure.axes:
        ticks = []
        for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
            low, high = sorted(axis.get_view_interval())
            there = [t for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
            ticks += [t.label1 for t in there if t.label1.get_visible() and t.label1.get_text()]
        around = [t for t in (ax.xaxis.label, ax.yaxis.label, ax.title, ax._left_title) if t.get_text()]
        found += [f"{t.get_text()!r} is cut off" for t in [*ticks, *around, *ax.texts] if outside(t)]
        found += overlaps([*ticks, *around])
        if ax.get_legend() is not None:
            found += [f"{t.get_text()!r} is cut off" for t in ax.get_legend().get_texts() if outside(t)]
    legends = [t for legend in figure.legends for t in legend.get_texts()]
    found += [f"{t.get_text()!r} is cut off" for t in [*figure.texts, *legends] if outside(t)]
    found += overlaps([*figure.texts, *legends, *(ax._left_title for ax in figure.axes if ax.get_title("left"))])
    return found


@pytest.fixture
def faults():
    """Return a function that lists the words of a figure that are cut off or overlap."""
    return _faults
