"""Curves that share a panel: colours, gaps and transitions."""

import numpy as np

from tandv.analysis.transitions import Evidence, Transition
from tandv.viz.layout.style import THEMES
from tandv.viz.of_curves.families import draw_families

LIGHT = THEMES["light"]
STEPS = range(0, 50, 10)
TABLE = {"step": STEPS, **{f"c{i}": np.arange(5.0) + i for i in range(12)}}


def test_a_label_has_one_colour_in_all_panels_which_no_other_label_has():
    families = {"a": {f"head {i}": f"c{i}" for i in range(10)}, "b": {"head 9": "c0", "head 1": "c1"}}
    first, second = draw_families(TABLE, families, style=LIGHT).axes
    look = {line.get_label(): line.get_color() for line in first.lines}
    assert len(set(look.values())) == 10
    assert {line.get_label(): line.get_color() for line in second.lines} == {
        name: look[name] for name in ("head 1", "head 9")
    }
    few = draw_families(TABLE, {"a": {"x": "c0", "y": "c1"}}, style=LIGHT).axes[0]
    assert [line.get_color() for line in few.lines] == list(LIGHT.series[:2])


def test_a_curve_that_begins_later_has_no_mark_but_a_gap_has_one():
    table = {"step": STEPS, "late": [np.nan, np.nan, 1, 2, 3], "gap": [1, np.nan, 1, 2, 3]}
    late, gap = draw_families(table, {"late": {"late": "late"}, "gap": {"gap": "gap"}}, style=LIGHT).axes
    assert [line.get_label() for line in late.lines] == ["late"]
    assert late.lines[0].get_xdata().tolist() == [20, 30, 40]
    assert [line.get_xdata().tolist() for line in gap.lines if line.get_label() == "no value"] == [[10]]


def test_transitions_stand_in_their_own_panel_or_in_all():
    one = Transition("c0", 0, 10, 20, 0.0, 1.0, Evidence())
    families = {"a": {"x": "c0"}, "b": {"x": "c1"}}

    def marked(transition):
        axes = draw_families(TABLE, families, transitions=[transition], style=LIGHT).axes
        return [sum(line.get_gid() == "transition" for line in ax.lines) for ax in axes]

    assert marked(one) == [1, 0]
    assert marked(one._replace(quantity="c7")) == [1, 1]  # in the table, but in no panel
    assert marked(one._replace(quantity="loss")) == [1, 1]
