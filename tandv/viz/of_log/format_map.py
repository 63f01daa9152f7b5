"""Draw which number formats the tensors of layers can be cast to: layers by formats, coloured by the worst SQNR."""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from tandv.analysis.whatif import Choice, Plan
from tandv.messages import UnknownName, named_arguments, not_made_by, unknown
from tandv.viz.layout.colours import Scale
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.hatched import Hatched
from tandv.viz.layout.heat import Heat
from tandv.viz.layout.keys import Key
from tandv.viz.layout.layer_axis import layer_axis
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import word_ticks
from tandv.viz.of_arrays.matrices import paint
from tandv.viz.of_log.maps import hatches
from tandv.viz.of_log.not_finite import marks_of

_SPAN = 20.0  # dB on either side of the limit that colours tell apart


@named_arguments
def format_map(
    plan: Plan,
    tt: str | list[str] | None = None,
    col_wrap: int | None = None,
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the worst SQNR of each layer in each number format, a panel for each tensor type; dots are the plan.

    A dot is on the narrowest format that keeps all that was asked for at all steps; a cross on formats that do not; a
    layer without a dot stays as it is. Layers with NaN or infinity at some step, which SQNR leaves out, are hatched.

    >>> from tandv.analysis.whatif import whatif_plan
    >>> from tandv.log.example import example_log
    >>> fig = format_map(whatif_plan(example_log(steps=5), "sqnr=20,underflow=1%"))

    Args:
        plan: the plan that `tandv.whatif_plan` returns.
        tt: a tensor type or a list of these; None for all of the plan.
        col_wrap: how many panels are put side by side.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for a tensor type that the plan does not have, TypeError for anything but a plan.
    """
    if not isinstance(plan, Plan):
        raise TypeError(not_made_by("tandv.whatif_plan(log, want)", "plan", plan))
    style = fitting(theme, figsize, fig, ax)
    there = sorted(dict.fromkeys(one.tensor_type for one in plan.choices))
    wanted = there if tt is None else [tt] if isinstance(tt, str) else list(tt)
    if wrong := [one for one in wanted if one not in there]:
        raise UnknownName(unknown("tensor type", wrong[0], there, "this plan"))
    if not wanted:
        raise UnknownName("the plan has no tensors")
    chosen = {kind: _in_order([one for one in plan.choices if one.tensor_type == kind], plan) for kind in wanted}
    limit = plan.want.get("sqnr", _SPAN)
    scale = Scale("linear", max(limit - _SPAN, 0.0), limit + _SPAN, below=limit > _SPAN, above=True)

    def draw(part: pd.DataFrame, ax: Axes) -> Key:
        kind = part[("metadata", "tensor_type")].iloc[0]
        return _draw(chosen[kind], plan, kind, ax, scale, style)

    alike = len({tuple(one.layer for one in choices) for choices in chosen.values()}) == 1
    layers = max(len(one) for one in chosen.values())
    high = float(np.clip(1.4 + 0.19 * layers, 2.6, 9.0))
    return facet(
        pd.DataFrame({("metadata", "tensor_type"): wanted}), draw, ("tensor_type",), fig=fig, figsize=figsize,
        col_wrap=col_wrap, ax=ax, title=title, named="Worst SQNR by format",
        subtitle=_subtitles(plan),
        single_size=(6.4, high), panel_size=(3.2, high), sharey=alike, style=style,
    )  # fmt: skip


def _subtitles(plan: Plan) -> list[str]:
    """Return what marks mean and what the plan is of, in as many words as there may be room for, and in fewer."""
    kept = ", ".join(
        f"SQNR ≥ {limit:g} dB" if name == "sqnr" else f"{name} ≤ {100 * limit:.3g}%"
        for name, limit in plan.want.items()
    )
    of = f"scale {plan.scale}"
    steps = f"steps {plan.steps[0]:,} to {plan.steps[1]:,}"
    return [
        f"dot: {kept}; ×: not; {of}, {steps}",
        f"dot: {kept}; ×: not; {of}",
        f"dot: {kept}; {of}",
        f"dot: {kept}",
        of,
    ]


def _in_order(choices: list[Choice], plan: Plan) -> list[Choice]:
    """Return choices in the order of the model."""
    places = {layer: place for place, layer in enumerate(plan.layers)}
    return sorted(choices, key=lambda one: places.get(one.layer, len(places)))


def _draw(choices: list[Choice], plan: Plan, kind: str, ax: Axes, scale: Scale, style: Style) -> Key:
    values = np.array([[one.worst[name][0] for name in plan.formats] for one in choices], float)
    shown = np.where(np.isposinf(values), 1e6, values)  # nothing is lost: beyond the end of the key
    x, y = np.arange(len(plan.formats) + 1) - 0.5, np.arange(len(choices) + 1) - 0.5
    some = np.array([one.not_finite for one in choices], float)  # shares of steps with NaN, and with infinity
    marks = np.repeat(marks_of(some.T)[:, None], len(plan.formats), axis=1)
    heat = Heat(ax, shown, x, y, partial(paint, scale=scale, colours=style.colours, style=style), marks=marks)
    if marks.any():
        Hatched(heat, (style.nan, style.inf, style.paper))
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(True)
    ax.set_xlim(x[0], x[-1])
    names = [one.layer for one in choices]
    layer_axis(ax, names, style)
    word_ticks(ax.xaxis, plan.formats, len(plan.formats))
    ax.set_xlabel("format")
    heat.note = (ax.xaxis.label, "layer")
    dots = [(plan.formats.index(one.format), row) for row, one in enumerate(choices) if one.format is not None]
    failed = [
        (plan.formats.index(name), row)
        for row, one in enumerate(choices)
        for name in dict.fromkeys(failure.format for failure in one.failures)
    ]
    tall = ax.bbox.height * 72 / ax.figure.dpi / max(len(choices), 1)  # points of a row
    size = float(np.clip(0.45 * tall, 1.5, 6.0))
    for cells, marker, called in ((failed, "x", "fails"), (dots, "o", "plan")):
        if cells:
            (line,) = ax.plot(
                *zip(*cells, strict=True), linestyle="none", marker=marker, markersize=size, color=style.ink, zorder=3,
                markeredgecolor=style.ink if marker == "x" else style.paper, markeredgewidth=max(size / 6, 0.5),
            )  # fmt: skip
            line.set_gid(called)
            line.set_path_effects([withStroke(linewidth=max(size / 2, 1.5), foreground=style.paper)])
    ax.set_xlim(x[0], x[-1])
    places = np.arange(len(plan.formats))
    drawn = Drawn("format_map", "format", "layer", tuple(names), (kind,), places, values, tuple(names), heat.cell_at)
    remember(ax, drawn)
    return Key(scale, style.colours, hatches(marks, style), "SQNR, dB")
