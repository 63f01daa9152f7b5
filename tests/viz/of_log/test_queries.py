"""What plots of a log show in panels, and what they refuse to show."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from tandv import viz
from tandv.log.logframe import SchemaError, example_log
from tandv.viz.layout.tables import drawn

LOG = example_log(layers=2, steps=4, tensor_types=["Weight"])
DRAWN = {
    "line": lambda df, **k: viz.scalar_line(df, "head", "Weight", "rm2", **k),
    "histogram": lambda df, **k: viz.exp_hist(df, "head", "Weight", 3, **k),
    "map of exponents": lambda df, **k: viz.exp_heatmap(df, "head", "Weight", **k),
    "map": lambda df, **k: viz.scalar_global_heatmap(df, "Weight", "rm2", **k),
}


@pytest.mark.parametrize("name", DRAWN)
def test_rows_that_are_there_twice_are_refused_and_not_pooled(name):
    with pytest.raises(SchemaError, match="rows? repeats? the name, tensor_type and step"):
        DRAWN[name](pd.concat([LOG, LOG]))


@pytest.mark.parametrize("name", DRAWN)
def test_several_phases_have_a_panel_each(name):
    within = LOG.copy()
    within[("scalar_stats", "rm2")] *= 3
    both = pd.concat([LOG, within])
    both[("metadata", "phase")] = np.repeat(["", "rollout"], len(LOG))
    figure = DRAWN[name](both, phase=["", "rollout"])
    panels = [ax for ax in figure.axes if drawn(ax) is not None]
    assert [ax.get_title(loc="left") for ax in panels] == ["outside of phases", "phase rollout"]
    if name == "line":
        outside, inside = (drawn(ax).values[0] for ax in panels)
        np.testing.assert_allclose(inside, 3 * outside)


@pytest.mark.parametrize("setting", ["figure.autolayout", "figure.constrained_layout.use"])
def test_settings_of_matplotlib_move_no_panel(setting):
    with matplotlib.rc_context({setting: True}):
        figure = viz.scalar_global_heatmap(example_log(layers=2, steps=4), ["Weight", "Gradient"], "rm2")
        before = [ax.get_position().bounds for ax in figure.axes]
        figure.canvas.draw()
    assert [ax.get_position().bounds for ax in figure.axes] == before
