"""The training curves beside an interactive plot: their names stay distinct where there is little room."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tandv import viz
from tandv.viz.layout.style import THEMES
from tandv.viz.notebook.readout import draw_loss, shown_data


@pytest.mark.parametrize(("width", "names"), [(1.6, ["…task 0…", "…task 1…"]), (6.4, None)])
def test_names_of_curves_tell_them_apart_at_any_width(width, names):
    curves = pd.DataFrame({f"a long name of a loss on task {i} of five": [3.0, 2.0 + i] for i in range(2)})
    ax = draw_loss(Figure(figsize=(width, 3)), curves, THEMES["light"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == (names or list(curves))


def test_what_has_no_values_by_step_says_so():
    with pytest.raises(ValueError, match="no values by step or exponent to show as a table; save it as PNG"):
        shown_data(viz.image_grid(np.zeros((2, 4, 4))).axes)
