"""Names under which others know some of the plots: thin faces of them.

>>> VisualizationTools().plot_attention_pattern is plot_attention_pattern
True
"""

from collections.abc import Mapping
from typing import Any

from tandv.viz.of_arrays.attention import attention_heads, attention_pattern, entropy_evolution
from tandv.viz.of_arrays.correlations import correlation_history, layer_correlations
from tandv.viz.of_arrays.filters import activation_heatmap, conv_filters

plot_activation_heatmap = activation_heatmap
plot_attention_pattern = attention_pattern
plot_corr_means = correlation_history
plot_entropy_evolution = entropy_evolution
plot_filter_visualization = conv_filters
plot_layerwise_correlations = layer_correlations


def plot_attention_heads_comparison(before: Any, after: Any, layer: str | None = None, **look: Any) -> Any:
    """Draw the heads of a layer at two moments: `attention_heads` of two arrays, or of two dicts by layer."""
    moments = [arrays if isinstance(arrays, Mapping) else {"attention": arrays} for arrays in (before, after)]
    return attention_heads(dict(enumerate(moments)), layer, [0, 1], **look)


class VisualizationTools:
    """The plots of arrays under one name."""

    plot_activation_heatmap = staticmethod(activation_heatmap)
    plot_attention_heads_comparison = staticmethod(plot_attention_heads_comparison)
    plot_attention_pattern = staticmethod(attention_pattern)
    plot_entropy_evolution = staticmethod(entropy_evolution)
    plot_filter_visualization = staticmethod(conv_filters)
