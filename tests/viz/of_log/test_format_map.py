"""The map of layers by number formats: cells, dots on the plan, crosses on what fails."""

import numpy as np
import pytest

from tandv.analysis.whatif import whatif_plan
from tandv.messages import UnknownName
from tandv.viz import drawn, format_map
from tandv.viz.layout.hatched import Hatched
from tests.analysis.whatif.test_planning import NORMAL, made

FORMATS = ["e2m1", "e4m3", "fp16"]


@pytest.fixture
def plan():
    log = made(a_Gradient=[NORMAL], b_Gradient=[NORMAL * 1e-9], a_Weight=[NORMAL], b_Weight=[np.full(9, 0.5)])
    return whatif_plan(log, "sqnr=20,underflow=1%", FORMATS, scale="none")


def marks(ax, called):
    return [
        (int(x), int(y)) for line in ax.lines if line.get_gid() == called for x, y in zip(*line.get_data(), strict=True)
    ]


def test_dots_are_on_the_plan_and_crosses_on_what_fails(plan):
    fig = format_map(plan)
    gradient, weight = fig.axes[:2]
    assert gradient.get_title(loc="left") == "Gradient" and weight.get_title(loc="left") == "Weight"
    assert marks(gradient, "plan") == [(1, 0)]  # a: e4m3; b: none
    assert sorted(marks(gradient, "fails")) == [(0, 0), (0, 1), (1, 1), (2, 1)]
    assert marks(weight, "plan") == [(1, 0), (0, 1)]
    values = drawn(gradient).values
    assert values.shape == (2, 3) and values[1, 0] == pytest.approx(0, abs=0.1)


def test_one_tensor_type_can_be_chosen(plan):
    (ax,) = [one for one in format_map(plan, "Weight").axes if one.get_xlabel() == "format"]
    assert [text.get_text() for text in ax.get_xticklabels()] == FORMATS
    with pytest.raises(UnknownName, match="no tensor type 'Wieght'"):
        format_map(plan, "Wieght")


@pytest.mark.parametrize(
    ("width", "said"), [(6.4, "; ×: not; scale none, steps 0 to 0"), (3.3, "; ×: not; scale none")]
)
def test_what_dots_mean_is_said_in_as_many_words_as_there_is_room_for(plan, width, said):
    assert format_map(plan, figsize=(width, 2.8)).texts[1].get_text() == "dot: SQNR ≥ 20 dB, underflow ≤ 1%" + said


def test_layers_that_are_not_finite_at_some_step_are_hatched():
    log = made(a_Weight=[NORMAL, np.where(np.arange(4096) < 9, np.nan, NORMAL)], b_Weight=[NORMAL, NORMAL])
    fig = format_map(whatif_plan(log, "sqnr=20", FORMATS, scale="none"))
    heat, hatched = fig.axes[0].images[:2]
    assert heat.marks.any(axis=1).tolist() == [True, False] and isinstance(hatched, Hatched)
    assert all(line.get_zorder() > hatched.get_zorder() for line in fig.axes[0].lines if line.get_gid())  # still seen
    assert "some NaN" in [text.get_text() for text in fig.axes[0].texts]
