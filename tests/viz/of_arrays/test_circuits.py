"""The map of heads that read what others write."""

import numpy as np
import pandas as pd
import pytest

from tandv import viz
from tandv.viz.layout.tables import drawn

ROWS = {("b.0", 0, "b.1", 0): [0.3, 0.6, 0.1], ("b.0", 1, "b.1", 0): [0.2, 0.25, 0.2], ("b.0", 0, "b.2", 1): [0.4] * 3}
TABLE = pd.DataFrame.from_dict(ROWS, orient="index", columns=["q", "k", "v"]).assign(chance=0.2)
TABLE.index = pd.MultiIndex.from_tuples(TABLE.index, names=["from_layer", "from_head", "to_layer", "to_head"])


def words(figure):
    return " ".join(one.get_text() for one in figure.findobj(lambda a: hasattr(a, "get_text")))


def test_rows_read_what_columns_write():
    figure = viz.head_composition(TABLE)
    assert [ax.get_title("left") for ax in figure.axes[:3]] == ["by queries", "by keys", "by values"]
    np.testing.assert_array_equal(drawn(figure.axes[1]).values, [[0.6, 0.25], [0.4, np.nan]])
    assert "by chance 0.2  |  strongest 0.6: 1.0 reads 0.0 by its keys" in words(figure)


def test_one_kind_has_a_panel_of_its_own_and_another_is_refused():
    figure = viz.head_composition(TABLE, "v")
    assert [one.get_text() for one in figure.axes[0].get_yticklabels()] == ["1.0", "2.1"]
    with pytest.raises(ValueError, match="by='w' is not one of 'q', 'k', 'v'"):
        viz.head_composition(TABLE, "w")
