"""One tensor: exponents over steps, statistics over steps, and its exact row at one step."""

import numpy as np
import pytest
from hand_made import ALL, ask, error_of, line_of, log_of

from tandv.log import logframe
from tandv.log.shown import ABSENT, NAN
from tandv.page.answers import answers_of

ZERO = -np.inf


@pytest.fixture(scope="module")
def log():
    return logframe.example_log()


@pytest.fixture(scope="module")
def answers(log):
    return answers_of(log)


def test_exponents_are_shares_of_all_values(answers, log):
    rows = logframe.select(log, "head", "Gradient")
    bins = logframe.exponents(log)
    counts = rows[[("exponent_counts", n) for n in bins]].to_numpy()
    share = counts / rows[("scalar_stats", "numel")].to_numpy()[:, None]
    head, (codes, lanes, starts, logged) = ask(answers, kind="map", tt="Gradient", layer="head", **ALL)
    assert head == {"bins": bins, "cols": 50, "pooled": 1}
    np.testing.assert_array_equal(codes == 0, share == 0)
    back = np.exp2((codes.astype(float) - 255) / 8)
    np.testing.assert_allclose(back[share > 0], share[share > 0], rtol=2 ** (1 / 16) - 1 + 1e-9)
    assert lanes[:, -1].tolist() == [0, 0, 1]  # all NaN
    assert starts.tolist() == [*range(50), 49] and logged.tolist() == [1] * 50


def test_of_a_column_each_exponent_and_lane_has_its_largest_share():
    answers = answers_of(
        log_of(
            {
                ("Weight", "fc", 0): {0: 8},
                ("Weight", "fc", 1): {0: 4, 1: 2, ZERO: 2},
                ("Weight", "fc", 2): {1: 4, ZERO: 0, np.inf: 2, "infs": 2, "nans": 2},
            }
        )
    )
    head, (codes, lanes, starts, logged) = ask(answers, kind="map", tt="Weight", layer="fc", **ALL | {"w": 1})
    assert head == {"bins": [0, 1], "cols": 1, "pooled": 3}
    assert codes.tolist() == [[255, 247]]  # 1, 1/2
    assert lanes.tolist() == [[0.25], [0.25], [0.25]]
    assert starts.tolist() == [0, 2] and logged.tolist() == [1]


def test_a_step_without_the_tensor_is_not_logged():
    answers = answers_of(log_of({("Weight", "a", 0): {0: 8}, ("Weight", "a", 1): {0: 8}, ("Weight", "b", 1): {0: 8}}))
    _, (codes, _, _, logged) = ask(answers, kind="map", tt="Weight", layer="b", **ALL)
    assert logged.tolist() == [0, 1] and codes.tolist() == [[0], [255]]


def test_lines_are_the_lowest_and_the_highest_value_of_each_column():
    rows = {0: -1.0, 1: 3.0, 2: np.nan, 4: 5.0}
    df = log_of({("Activation", "fc", s): {"rm2": 1, "mean": v, "nans": int(v != v)} for s, v in rows.items()})
    head, (low, high, flags, low2, high2, flags2, starts) = ask(
        answers_of(df), kind="lines", tt="Activation", layer="fc", metrics=["mean", "rm2"], **ALL | {"w": 2}
    )
    assert (head["cols"], head["pooled"], head["metrics"]) == (2, 2, ["mean", "rm2"])
    assert low.tolist() == [-1, 5] and high.tolist() == [3, 5] and flags.tolist() == [0, NAN]
    assert low2.tolist() == high2.tolist() == [1, 1] and flags2.tolist() == [0, NAN]
    assert starts.tolist() == [0, 2, 4]


def test_lines_of_a_late_layer_begin_as_not_logged():
    df = log_of({("Weight", "a", 0): {"rm2": 1}, ("Weight", "a", 3): {"rm2": 1}, ("Weight", "b", 3): {"rm2": 2}})
    _, (low, _, flags, _) = ask(answers_of(df), kind="lines", tt="Weight", layer="b", metrics=["rm2"], **ALL)
    np.testing.assert_array_equal(low, [np.nan, 2])
    assert flags.tolist() == [ABSENT, 0]


@pytest.mark.parametrize("step", [0, 20, 45, 49])
def test_the_row_of_a_step_is_exact(answers, log, step):
    row = logframe.select(log, "head", "Activation", step).iloc[0]
    head, (counts, lanes, profile, flags) = ask(
        answers, kind="at", tt="Activation", layer="head", step=step, metric="std"
    )
    assert head["step"] == step and head["logged"] is True
    for name, value in head["stats"].items():
        assert value == row[("scalar_stats", name)], name
    exponents = dict(row["exponent_counts"].items())
    expected = {n: exponents.get(n, 0) for n in head["bins"]}
    assert dict(zip(head["bins"], counts.tolist(), strict=True)) == expected
    inside = [n for n in exponents if np.isfinite(n) and exponents[n]]
    assert head["bins"] == list(range(min(inside), max(inside) + 1))
    assert lanes.tolist() == [
        exponents[ZERO],
        exponents[np.inf],
        row[("scalar_stats", "nans")],
    ]
    assert counts.sum() + lanes.sum() == row[("scalar_stats", "numel")]
    at_step = logframe.select(log, tt="Activation", step=step)[("scalar_stats", "std")]
    np.testing.assert_array_equal(profile, at_step.to_numpy(np.float32))
    assert flags.tolist() == [0, 0, 0, 0, 2 * (step >= 45)]


def test_all_nan_is_a_row_without_counts(answers):
    head, (counts, lanes, profile, flags) = ask(answers, kind="at", tt="Gradient", layer="head", step=49, metric="rm2")
    assert head["stats"]["rm2"] == "nan" and head["stats"]["nans"] == 4096 and head["bins"] == []
    assert counts.tolist() == [] and lanes.tolist() == [0, 0, 4096]
    assert np.isnan(profile[4]) and flags[4] == NAN


@pytest.mark.parametrize(("asked", "found"), [(-5, 0), (3, 0), (4, 4), (99, 4), (4.7, 4)])
def test_between_logged_steps_the_last_one_is_meant(asked, found):
    head, (_, _, profile, _) = ask(
        answers_of(line_of({0: 1.0, 4: 2.0})), kind="at", tt="Activation", layer="fc", step=asked, metric="rm2"
    )
    assert head["step"] == found and profile.tolist() == [2.0 if found else 1.0]


def test_a_tensor_that_was_not_logged_at_a_step_leaves_the_profile():
    df = log_of({("Weight", "a", 0): {"rm2": 1, 0: 8}, ("Weight", "b", 1): {"rm2": 2, 0: 8}})
    head, (counts, lanes, profile, flags) = ask(answers_of(df), kind="at", tt="Weight", layer="b", step=0, metric="rm2")
    assert head == {"step": 0, "logged": False, "stats": {}, "bins": []}
    assert counts.tolist() == [] and lanes.tolist() == [0, 0, 0]
    np.testing.assert_array_equal(profile, [1, np.nan])
    assert flags.tolist() == [0, ABSENT]


def test_unknown_names_are_answered_by_the_nearest(answers):
    at = {"kind": "at", "step": 0}
    assert error_of(answers, **at, tt="Gradient", layer="haed", metric="rm2") == (
        "no layer 'haed' in Gradient of this log; did you mean 'head'?"
    )
    assert error_of(answers, **at, tt="Gradients", layer="head", metric="rm2").startswith("no tensor type 'Gradients'")
    assert error_of(answers, **at, tt="Gradient", layer="head", metric="rms2").startswith("no statistic 'rms2'")
    assert error_of(answers, kind="map", tt="Gradient", layer="x", **ALL).startswith("no layer 'x'")
    assert error_of(answers, kind="lines", tt="Gradient", layer="head", metrics=["rm2", "q"], **ALL).startswith(
        "no statistic 'q'"
    )
