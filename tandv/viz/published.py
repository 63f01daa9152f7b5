"""Published names of some plots.

>>> VisualizationTools().plot_attention_pattern is plot_attention_pattern
True
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, Theme
from tandv.viz.of_arrays.attention import attention_heads, attention_pattern
from tandv.viz.of_arrays.correlation_history import correlation_history
from tandv.viz.of_arrays.filters import activation_heatmap, conv_filters
from tandv.viz.of_arrays.heads import entropy_evolution
from tandv.viz.of_arrays.layer_correlations import layer_correlations

plot_activation_heatmap = activation_heatmap
plot_attention_pattern = attention_pattern
plot_corr_means = correlation_history
plot_entropy_evolution = entropy_evolution
plot_filter_visualization = conv_filters
plot_layerwise_correlations = layer_correlations


def plot_attention_heads_comparison(
    before: Any,
    after: Any,
    layer: str | None = None,
    heads: Sequence[int] | None = None,
    example: int | None = None,
    tokens: Sequence[Any] | np.ndarray | None = None,
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the heads of a layer at two moments; see `attention_heads`.

    >>> import numpy as np
    >>> fig = plot_attention_heads_comparison(np.full((2, 4, 4), 0.25), np.stack([np.eye(4)] * 2))

    Args:
        before: probabilities [..., head, query, key], or a dict of them by layer.
        after: the same later.
        layer: the name of the layer; by default the first.
        heads: the indices of the heads; by default the first 8.
        example: the index of the example; by default the mean over all examples.
        tokens: words or numbers for the ticks, [position] or [example, position].
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.
    """
    moments = [arrays if isinstance(arrays, Mapping) else {"attention": arrays} for arrays in (before, after)]
    return attention_heads(
        dict(enumerate(moments)),
        layer,
        [0, 1],
        heads,
        example,
        tokens,
        figsize=figsize,
        theme=theme,
        fig=fig,
        ax=ax,
        title=title,
    )


class VisualizationTools:
    """The plots of arrays as methods of one class.

    >>> VisualizationTools.plot_filter_visualization is conv_filters
    True
    """

    plot_activation_heatmap = staticmethod(activation_heatmap)
    plot_attention_heads_comparison = staticmethod(plot_attention_heads_comparison)
    plot_attention_pattern = staticmethod(attention_pattern)
    plot_entropy_evolution = staticmethod(entropy_evolution)
    plot_filter_visualization = staticmethod(conv_filters)
