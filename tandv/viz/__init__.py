"""Plots: every one takes a log, curves or arrays and returns a matplotlib Figure.

>>> from tandv import viz
>>> from tandv.log.logframe import example_log
>>> fig = viz.scalar_line(example_log(), layer="head", tt="Activation", scalar_metric=["rm2", "max_abs"])
"""

from tandv.messages import missing

try:
    import matplotlib  # noqa: F401
except ModuleNotFoundError as error:
    raise missing("matplotlib", "viz", "tandv.viz") from error

from tandv.viz.animation import animate
from tandv.viz.layout.style import Style, theme
from tandv.viz.layout.tables import Drawn, Place, drawn
from tandv.viz.notebook.interaction import interactive
from tandv.viz.notebook.viewer import Viewer
from tandv.viz.of_arrays.attention import attention_heads, attention_pattern
from tandv.viz.of_arrays.attention_evolution import attention_evolution
from tandv.viz.of_arrays.augmentations import augmentation_effect
from tandv.viz.of_arrays.circuits import head_composition
from tandv.viz.of_arrays.correlation_history import correlation_history
from tandv.viz.of_arrays.feature_correlations import feature_correlations
from tandv.viz.of_arrays.filters import activation_heatmap, conv_filters
from tandv.viz.of_arrays.heads import entropy_evolution, head_curves
from tandv.viz.of_arrays.images import image_grid
from tandv.viz.of_arrays.layer_correlations import layer_correlations
from tandv.viz.of_arrays.lens import lens_map
from tandv.viz.of_arrays.representations import decodability, group_accuracy, projection, similarity_curves
from tandv.viz.of_curves.changes import layer_changes
from tandv.viz.of_curves.dynamics import training_dynamics
from tandv.viz.of_curves.effects import setting_effects
from tandv.viz.of_curves.emergence import emergence_plot
from tandv.viz.of_curves.grokking import grokking_plot
from tandv.viz.of_curves.layers import layer_maps
from tandv.viz.of_curves.metrics import metric_curves
from tandv.viz.of_curves.sharpness import sharpness_plot
from tandv.viz.of_log.differences import differences
from tandv.viz.of_log.exponents import exp_heatmap, exp_hist
from tandv.viz.of_log.format_map import format_map
from tandv.viz.of_log.norms import norms
from tandv.viz.of_log.optimisation import optimisation
from tandv.viz.of_log.overview import overview
from tandv.viz.of_log.raster import gradient_raster
from tandv.viz.of_log.scalars import scalar_global_heatmap, scalar_line
from tandv.viz.of_log.widths import coordinate_check
from tandv.viz.published import (
    VisualizationTools,
    plot_activation_heatmap,
    plot_attention_heads_comparison,
    plot_attention_pattern,
    plot_corr_means,
    plot_entropy_evolution,
    plot_filter_visualization,
    plot_layerwise_correlations,
)

__all__ = [
    "Drawn",
    "Place",
    "Style",
    "Viewer",
    "VisualizationTools",
    "activation_heatmap",
    "animate",
    "attention_evolution",
    "attention_heads",
    "attention_pattern",
    "augmentation_effect",
    "conv_filters",
    "coordinate_check",
    "correlation_history",
    "decodability",
    "differences",
    "drawn",
    "entropy_evolution",
    "exp_heatmap",
    "exp_hist",
    "gradient_raster",
    "feature_correlations",
    "format_map",
    "group_accuracy",
    "head_composition",
    "head_curves",
    "image_grid",
    "interactive",
    "layer_correlations",
    "lens_map",
    "layer_changes",
    "layer_maps",
    "metric_curves",
    "optimisation",
    "overview",
    "plot_activation_heatmap",
    "plot_attention_heads_comparison",
    "plot_attention_pattern",
    "plot_corr_means",
    "plot_entropy_evolution",
    "plot_filter_visualization",
    "plot_layerwise_correlations",
    "projection",
    "scalar_global_heatmap",
    "scalar_line",
    "similarity_curves",
    "theme",
    "emergence_plot",
    "grokking_plot",
    "norms",
    "setting_effects",
    "sharpness_plot",
    "training_dynamics",
]
