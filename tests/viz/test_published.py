"""The published plots save their figure where they are told to."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tandv import viz

EVEN = np.full((2, 4, 4), 0.25)
GIVEN = {
    viz.plot_attention_pattern: [EVEN],
    viz.plot_attention_heads_comparison: [EVEN, EVEN],
    viz.plot_filter_visualization: [np.ones((2, 1, 3, 3))],
    viz.plot_activation_heatmap: [np.ones((5, 3))],
    viz.plot_entropy_evolution: [{0: [1.3, 1.2], 100: [1.2, 0.3]}],
    viz.plot_layerwise_correlations: [{"fc": np.eye(5)}],
    viz.plot_corr_means: [{"step": [0, 10], "mean_abs_r/a~b": [0.1, 0.5]}],
}


@pytest.mark.parametrize("plot", GIVEN, ids=lambda plot: plot.__name__)
def test_it_is_written_and_not_shown_again(plot, tmp_path):
    plt.close("all")
    shown = plot(*GIVEN[plot])
    assert [plt.figure(number) for number in plt.get_fignums()] == [shown]
    plt.close("all")
    path = tmp_path / "new" / "plot.png"
    figure = plot(*GIVEN[plot], save_path=path)
    assert plt.imread(path).shape[:2] == tuple(figure.canvas.get_width_height()[::-1])
    assert plt.get_fignums() == []


def test_each_is_a_plot_under_another_name_with_the_same_arguments():
    assert {plot.__name__ for plot in GIVEN} == {name for name in viz.__all__ if name.startswith("plot_")}
    ours = inspect.signature(viz.attention_pattern).parameters
    assert list(inspect.signature(viz.plot_attention_pattern).parameters) == [*ours, "save_path"]
    of_class = {name for name in vars(viz.VisualizationTools) if name.startswith("plot_")}
    assert all(getattr(viz.VisualizationTools, name) is getattr(viz, name) for name in of_class)
    assert len(of_class) == 5
