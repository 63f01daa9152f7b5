"""Pictures of a log: every plot takes a log (or curves) and returns a matplotlib Figure.

>>> from tandv import viz
>>> from tandv.logframe import example_log
>>> fig = viz.scalar_line(example_log(), layer="head", tt="Activation", scalar_metric=["rm2", "max_abs"])
"""

from tandv.viz.drawn import Drawn, Place, drawn
from tandv.viz.dynamics import training_dynamics
from tandv.viz.effects import setting_effects
from tandv.viz.generalisation import emergence_plot, grokking_plot
from tandv.viz.metrics import metric_curves
from tandv.viz.norms import norms
from tandv.viz.notebook import Viewer, interactive
from tandv.viz.overview import overview
from tandv.viz.plots import exp_heatmap, exp_hist, scalar_global_heatmap, scalar_line
from tandv.viz.style import Style, theme

__all__ = [
    "Drawn",
    "Place",
    "Style",
    "Viewer",
    "drawn",
    "emergence_plot",
    "exp_heatmap",
    "exp_hist",
    "grokking_plot",
    "metric_curves",
    "norms",
    "overview",
    "interactive",
    "scalar_global_heatmap",
    "scalar_line",
    "setting_effects",
    "theme",
    "training_dynamics",
]
