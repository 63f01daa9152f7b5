"""The plot of sharpness: the fit goes through the values, and the shade is as wide as its 10 to 90 %."""

import numpy as np
import pandas as pd
import pytest

from tandv import viz
from tandv.analysis.transitions import Evidence, Transition
from tandv.analysis.transitions.sharpness import Sharpness, sharpness
from tandv.messages import UnknownName

STEPS = np.arange(400)
CURVES = {"step": STEPS, "acc": 0.2 + 0.6 / (1 + np.exp(-(STEPS - 200) / 10)), "loss": np.exp(-STEPS / 50)}
JUMP = Transition("acc", 180, 200, 220, 0.2, 0.8, Evidence())


def test_the_fit_goes_through_the_values_and_its_width_is_shaded():
    figure = viz.sharpness_plot(CURVES, [JUMP])
    (ax,) = figure.axes
    fit = next(line for line in ax.lines if line.get_label() == "logistic fit")
    x, y = fit.get_data()
    assert np.abs(y - (0.2 + 0.6 / (1 + np.exp(-(x - 200) / 10)))).max() < 0.01
    shade = next(patch for patch in ax.patches if patch.get_label() == "10 to 90 %")
    assert (shade.get_x(), shade.get_width()) == pytest.approx((200 - 21.97, 43.94), abs=0.5)
    assert figure.texts[0].get_text() == "acc, step 200"
    assert figure.texts[1].get_text().endswith("steps from 10 to 90 %, with the interval of 95%")


def test_several_have_a_panel_each_with_their_width():
    figure = viz.sharpness_plot(CURVES, [JUMP, JUMP._replace(start=170)])
    assert [ax.get_title("left").partition(":")[0] for ax in figure.axes] == ["acc, step 200"] * 2


def test_the_interval_of_the_width_is_that_of_the_slope_upside_down():
    fit = Sharpness("acc", 0.0, 2 * np.log(9), 1.0, low=0.5, high=2.0, unexplained=0.0)
    assert fit.width_interval == pytest.approx((np.log(9), 4 * np.log(9)))
    assert fit._replace(low=0.0, high=np.inf).width_interval == (0.0, np.inf)
    found = sharpness(pd.Series(CURVES["acc"], STEPS, name="acc"), JUMP)
    low, high = found.width_interval
    assert low <= found.width <= high


def test_what_cannot_be_drawn_says_why():
    with pytest.raises(ValueError, match="no transition whose sharpness could be drawn"):
        viz.sharpness_plot({"loss": [1.0] * 50})
    with pytest.raises(UnknownName, match="accc"):
        viz.sharpness_plot(CURVES, [JUMP._replace(quantity="accc")])
    short = viz.sharpness_plot({"acc": [0.0, 1.0, 1.0]}, [Transition("acc", 0, 1, 1, 0.0, 1.0, Evidence())])
    assert short.texts[1].get_text().startswith("no fit, too few values")


def test_a_confidence_in_percent_is_refused():
    with pytest.raises(ValueError, match="confidence is a share between 0 and 1, such as 0.95 for 95 %, not 95"):
        viz.sharpness_plot({"loss": [2.0, 1.0]}, confidence=95)
