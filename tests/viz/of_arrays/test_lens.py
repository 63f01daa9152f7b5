"""The map of the logit lens."""

from types import SimpleNamespace

import numpy as np
import pytest

from tandv import viz
from tandv.viz.layout.tables import drawn

PROBABILITY = np.array([[[0.1, 0.2, np.nan], [0.3, np.nan, np.nan]], [[0.9, 0.8, np.nan], [0.7, np.nan, np.nan]]])
LENS = SimpleNamespace(layers=["h.0", "h.1"], probability=PROBABILITY, rank=np.where(np.isnan(PROBABILITY), np.nan, 10))


def test_the_last_layer_is_at_the_top_and_examples_are_averaged():
    figure = viz.lens_map(LENS)
    np.testing.assert_allclose(drawn(figure.axes[0]).values, [[0.8, 0.8], [0.2, 0.2]])
    assert [one.get_text() for one in figure.axes[0].get_yticklabels()] == ["h.1", "h.0"]
    words = " ".join(one.get_text() for one in figure.findobj(lambda a: hasattr(a, "get_text")))
    assert "mean of all examples  |  0.2 after the first layer, 0.8 after the last" in words


def test_ranks_are_drawn_by_their_logarithm_and_of_one_example():
    figure = viz.lens_map(LENS, "rank", example=0, tokens=[["a", "b", "c"], ["d", "e", "f"]])
    np.testing.assert_allclose(drawn(figure.axes[0]).values, [[1, 1]] * 2)
    assert [one.get_text() for one in figure.axes[0].get_xticklabels()] == ["a", "b"]
    with pytest.raises(LookupError, match="there are the examples 0 to 1, not 2"):
        viz.lens_map(LENS, example=2)
