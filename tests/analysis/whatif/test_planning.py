"""Plans: the narrowest format that keeps what is asked for, and the order of risk."""

import json

import numpy as np
import pandas as pd
import pytest

from tandv.analysis.whatif import formats_in, read_plan, whatif_plan
from tandv.analysis.whatif.wanted import wanted
from tandv.formats import custom_format
from tandv.log.logframe import concat
from tests.analysis.whatif.test_prediction import log_of


def rows(values, name, kind, step):
    log = log_of(np.asarray(values, np.float32), kind=kind)
    log[("metadata", "name")] = pd.Categorical([name])
    log[("metadata", "step")] = step
    return log


def made(**tensors) -> pd.DataFrame:
    """Return a log of layer_kind=[values at step 0, at step 10, ...]."""
    return concat(
        [
            rows(values, *key.split("_", 1), 10 * step)
            for key, course in tensors.items()
            for step, values in enumerate(course)
        ]
    )


NORMAL = np.random.default_rng(0).standard_normal(4096)


def test_each_tensor_gets_the_narrowest_format_that_keeps_what_is_asked_for():
    log = made(
        a_Input=[NORMAL],
        a_Weight=[np.full(100, 0.5)],
        a_Gradient=[NORMAL * 1e-3],
        b_Gradient=[NORMAL * 1e-5, NORMAL * 1e-8],
    )
    plan = whatif_plan(log, "sqnr=20,underflow=1%", ["e4m3", "e2m1", "fp16"], scale="none")
    assert plan.formats == ["e2m1", "e4m3", "fp16"]
    assert plan.formats_of("a") == {"Input": "e4m3", "Weight": "e2m1", "Gradient": "fp16"}  # 0.5 is a value of e2m1
    assert plan.formats_of("b") == {"Gradient": None}
    assert plan.choices[0].layer == "b"  # its gradient vanishes even in fp16
    (last,) = [one for one in plan.choices[0].failures if one.format == "fp16" and one.quantity == "underflow"]
    assert (last.first, last.step, last.share) == (10, 10, 0.5)
    assert [step for step, _ in last.course] == [0, 10]
    assert last.course[1][1] == pytest.approx(last.worst) and last.worst > 0.9


def test_only_formats_that_are_no_wider_than_the_one_of_the_plan_are_said_to_fail():
    wide = custom_format(2, 9, name="wide")  # 12 bits, and nothing below 2^-10
    (one,) = whatif_plan(made(a_Weight=[NORMAL * 1e-3]), "sqnr=20", ["e4m3", "e5m2", wide], scale="none").choices
    assert one.format == "e5m2" and {failure.format for failure in one.failures} == {"e4m3"}


def test_a_limit_within_the_range_of_a_prediction_is_close():
    log = made(a_Weight=[NORMAL])  # e4m3: 31.6 dB
    assert [whatif_plan(log, f"sqnr={limit}", ["e4m3"]).choices[0].close for limit in (20, 31.5, 40)] == [
        False,
        True,
        False,
    ]


def test_gradients_come_first_and_ties_go_from_the_loss_backwards():
    gone = NORMAL * 1e-9
    log = made(first_Weight=[NORMAL], last_Weight=[NORMAL], first_Gradient=[gone], last_Gradient=[gone])
    plan = whatif_plan(log, "sqnr=20", ["e4m3"], scale="none")
    found = [(one.layer, one.tensor_type) for one in plan.choices]
    assert found[:2] == [("last", "Gradient"), ("first", "Gradient")]
    assert found[2:] == [("last", "Weight"), ("first", "Weight")]


def test_a_plan_is_written_as_json_by_layer_and_read_again(tmp_path):
    plan = whatif_plan(made(a_Weight=[np.full(9, 0.5)]), {"underflow": 0.5}, "e4m3")
    (tmp_path / "plan.json").write_text(plan.to_json())
    kept = json.loads((tmp_path / "plan.json").read_text())
    assert kept["layers"] == {"a": {"Weight": "e4m3"}}
    assert kept["order_of_risk"][0]["sqnr"] is None  # nothing is lost: infinity is no number of JSON
    assert read_plan(tmp_path / "plan.json") == read_plan(plan) == ({"a": {"Weight": "e4m3"}}, "max")


def test_formats_of_ones_own_are_in_the_plan_and_its_json(tmp_path):
    own = custom_format(4, 3, largest=30.0, name="my e4m3")
    plan = whatif_plan(made(a_Weight=[NORMAL]), "sqnr=20", [own], scale="none")
    assert plan.formats_of("a") == {"Weight": "my e4m3"}
    (tmp_path / "plan.json").write_text(plan.to_json())
    for given in (plan, json.loads(plan.to_json()), tmp_path / "plan.json"):
        assert read_plan(given)[0] == {"a": {"Weight": "my e4m3"}}
        (found,) = formats_in(given).values()
        assert found[2:] == own[2:]
    # A name is that of the plan, also where tandv has one that is called so: in IEEE's e4m3 240 is the largest.
    ieee = whatif_plan(made(a_Weight=[NORMAL]), "sqnr=20", custom_format(4, 3), scale="none")
    assert formats_in(ieee)["e4m3"].max == 240
    with pytest.raises(ValueError, match="two that differ are called 'e4m3'"):
        whatif_plan(made(a_Weight=[NORMAL]), "sqnr=20", [custom_format(4, 3), "e4m3"])


def test_a_description_of_a_format_that_lacks_numbers_is_refused():
    wrong = {"own_formats": {"mine": {"bits": 8, "max": -1}}, "layers": {"a": {"Weight": "mine"}}, "scale": 3}
    with pytest.raises(ValueError, match="own_formats, mine: a format has bits, max, smallest_normal") as error:
        formats_in(wrong)
    assert "no number format 'mine'" in str(error.value) and "scale: 3; allowed are none" in str(error.value)


def test_a_plan_of_no_rows_says_that_there_are_none():
    with pytest.raises(ValueError, match="a plan needs rows of .*; this log has no rows"):
        whatif_plan(made(a_Weight=[NORMAL]).iloc[:0])


def test_a_plan_has_one_scale():
    with pytest.raises(ValueError, match="a plan has one, such as 'none'"):
        whatif_plan(made(a_Weight=[NORMAL]), scale=["none", "max"])


def test_a_wrong_plan_is_refused_with_everything_that_is_wrong():
    with pytest.raises(ValueError, match="operand 'Bias'") as error:
        read_plan({"layers": {"a": {"Bias": "e4m3", "Weight": "e9m9"}}})
    assert "no number format 'e9m9'" in str(error.value)
    with pytest.raises(ValueError, match='no object "layers"'):
        read_plan({})


def test_what_is_asked_for_is_read_from_text():
    assert wanted("underflow=1%, sqnr=20dB") == {"sqnr": 20.0, "underflow": 0.01}
    assert wanted({"overflow": 0}) == {"overflow": 0.0}
    with pytest.raises(ValueError, match="no 'noise'") as error:
        wanted("noise=3,underflow=30,sqnr")
    assert "underflow=30.0 is no share" in str(error.value) and "'sqnr' is no limit" in str(error.value)
    with pytest.raises(ValueError, match="nothing is asked for"):
        wanted("")
    with pytest.raises(ValueError, match="want: 3 is neither text nor limits by quantity"):
        wanted(3)  # pyrefly: ignore[bad-argument-type]


def test_a_share_of_one_is_no_limit_and_is_refused():
    # Who writes underflow=1 means one percent: a share of 1 would let everything pass.
    for want in ("underflow=1", "underflow=100%", {"underflow": 1}):
        with pytest.raises(ValueError, match="no share from 0 to below 1, or percent such as 1%"):
            wanted(want)


def test_what_was_left_out_is_said():
    log = made(a_Activation=[NORMAL], a_Weight=[NORMAL], norm_Weight=[NORMAL])
    log[("metadata", "type")] = ["Linear", "Linear", "LayerNorm"]
    plan = whatif_plan(log, "sqnr=20")
    assert {one.layer for one in plan.choices} == {"a"}
    assert [note.split(";")[0] for note in plan.notes] == [
        "Inputs of layers were not logged, outputs stand for them",
        "The log has no Gradient: the plan says nothing of them.",
        "1 other names, such as norms and biases, are left out.",
    ]


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), "x", None])
def test_a_limit_that_is_no_number_is_refused(limit):
    with pytest.raises(ValueError, match="is no number of dB"):
        wanted({"sqnr": limit})


def test_a_tensor_with_nan_or_infinity_at_some_steps_says_so():
    nan, infinite = np.where(np.arange(4096) < 9, [[np.nan], [np.inf]], NORMAL)
    log = made(a_Weight=[NORMAL, nan, infinite, nan], a_Gradient=[NORMAL])
    plan = whatif_plan(log, "sqnr=20", ["e4m3"], scale="max")
    assert {one.tensor_type: one.not_finite for one in plan.choices} == {"Weight": (0.5, 0.25), "Gradient": (0.0, 0.0)}
    assert json.loads(plan.to_json())["order_of_risk"][1]["not_finite"] == [0.5, 0.25]
    bare = log.drop(columns=[("scalar_stats", "nans"), ("scalar_stats", "infs")])
    assert all(one.not_finite == (0, 0) for one in whatif_plan(bare, "sqnr=20", ["e4m3"], scale="max").choices)
