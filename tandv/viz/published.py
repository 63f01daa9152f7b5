"""Published names of some plots, which also take the published `save_path=`.

>>> VisualizationTools().plot_attention_pattern is plot_attention_pattern
True
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.messages import named_arguments
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, Theme
from tandv.viz.of_arrays.attention import attention_heads, attention_pattern
from tandv.viz.of_arrays.correlation_history import correlation_history
from tandv.viz.of_arrays.filters import activation_heatmap, conv_filters
from tandv.viz.of_arrays.heads import entropy_evolution
from tandv.viz.of_arrays.layer_correlations import layer_correlations

_PATH = str | Path | None
_SAVE_PATH = inspect.Parameter("save_path", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_PATH)
_EXPLAINED = """    Args:
        save_path: a file to write the figure to, of the kind that its ending says, in a folder that is made if
            there is none; pyplot then does not show it.
"""


def published(plot: Callable[..., Figure], name: str = "") -> Callable[..., Figure]:
    """Return a plot that takes `save_path=` as well, the file to write its figure to.

    >>> fig = published(conv_filters)(np.ones((2, 1, 3, 3)), save_path="filters.png")
    >>> Path("filters.png").exists()
    True

    Args:
        plot: a plot of arrays or curves.
        name: its published name; by default the plot's own.
    """

    @wraps(plot)
    def saved(*data: Any, save_path: _PATH = None, **arguments: Any) -> Figure:
        figure = plot(*data, **arguments)
        if save_path is not None:
            Path(save_path).parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(save_path)
            pyplot.close(figure)
        return figure

    signature = inspect.signature(plot)
    parameters = [*signature.parameters.values(), _SAVE_PATH]
    saved.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    saved.__module__, saved.__name__ = __name__, name or plot.__name__  # where pickle looks for it
    saved.__qualname__ = saved.__name__
    saved.__doc__ = (plot.__doc__ or "").replace("    Args:\n", _EXPLAINED, 1)
    return named_arguments(saved)


plot_activation_heatmap = published(activation_heatmap, "plot_activation_heatmap")
plot_attention_pattern = published(attention_pattern, "plot_attention_pattern")
plot_corr_means = published(correlation_history, "plot_corr_means")
plot_entropy_evolution = published(entropy_evolution, "plot_entropy_evolution")
plot_filter_visualization = published(conv_filters, "plot_filter_visualization")
plot_layerwise_correlations = published(layer_correlations, "plot_layerwise_correlations")


@published
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

    >>> VisualizationTools.plot_filter_visualization is plot_filter_visualization
    True
    """

    plot_activation_heatmap = staticmethod(plot_activation_heatmap)
    plot_attention_heads_comparison = staticmethod(plot_attention_heads_comparison)
    plot_attention_pattern = staticmethod(plot_attention_pattern)
    plot_entropy_evolution = staticmethod(plot_entropy_evolution)
    plot_filter_visualization = staticmethod(plot_filter_visualization)
