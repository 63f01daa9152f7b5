"""What one file holds: read by its layout, it answers as a server does, up to pooling and rounding."""

import functools
import gzip

import numpy as np
import pytest
from hand_made import ALL, ask, line_of, log_of

from tandv.log import logframe
from tandv.log.shown import ABSENT, INFINITE, NAN
from tandv.page.answers import answers_of
from tandv.page.answers.columns import Columns, flagged, largest
from tandv.page.codes import FLOAT64, codes_of, values_of
from tandv.page.envelope import unpack
from tandv.page.layouts import layouts
from tandv.page.pooled import pooled

ARRAYS = (
    "starts", "steps", "flags", "over", "high", "low", "counts", "early", "bins", "shares", "lanes", "flagsOne",
    "highOne", "lowOne", "countsOne", "sharesOne", "lanesOne", "numbers", "lossy",
    "curveSteps", "curveValues", "curveState",
)  # fmt: skip


class File:
    """A run as its file holds it."""

    def __init__(self, head, arrays):
        self.head = head
        self.arrays = dict(zip(ARRAYS, arrays, strict=True))
        self.codes = self.arrays["high"].astype(np.uint16) * 256 + self.arrays["low"]

    def rows(self, tt):
        return [i for i, (kind, _) in enumerate(self.head["tensors"]) if kind == tt]

    def values(self, tt, metric):
        if metric in self.head["counted"]:
            return self.arrays["counts"][self.head["counted"].index(metric)][self.rows(tt)]
        return values_of(self.codes[self.head["rounded"].index(metric)][self.rows(tt)])

    def values_of_first_steps(self, tt, metric):
        if metric in self.head["counted"]:
            return self.arrays["countsOne"][self.head["counted"].index(metric)][self.rows(tt)]
        less = self.arrays["highOne"].astype(np.uint16) * 256 + self.arrays["lowOne"]
        return values_of((self.codes - less)[self.head["rounded"].index(metric)][self.rows(tt)])

    def columns(self):
        """Return which of all steps are in each column."""
        counts, starts = self.arrays["steps"], self.arrays["starts"]
        edges = np.cumsum(counts) - counts
        return Columns(0, int(counts.sum()), edges, starts, int(counts.max()))

    def shares_of_first_steps(self, tensor):
        lowest, bins, at = self.arrays["bins"][tensor]
        part = slice(at, at + len(self.arrays["steps"]) * bins)
        less = self.arrays["sharesOne"][part]
        return lowest, (self.arrays["shares"][part] - less).reshape(-1, bins)

    def shares(self, tensor):
        lowest, bins, at = self.arrays["bins"][tensor]
        columns = len(self.arrays["steps"])
        return lowest, self.arrays["shares"][at : at + columns * bins].reshape(columns, bins)


def files(answers, **choices):
    return [File(*one) for one in unpack(pooled(answers, **choices))]


@pytest.fixture(scope="module")
def log():
    return logframe.example_log()


@pytest.fixture(scope="module")
def answers(log):
    return answers_of(log)


@pytest.fixture(scope="module")
def file_of(answers):
    """Return the file of the log with at most some columns, which is made once."""
    return functools.cache(lambda columns: files(answers, most=columns)[0])


@pytest.mark.parametrize("columns", [50, 7])
@pytest.mark.parametrize("tt", logframe.EXAMPLE_TYPES)
@pytest.mark.parametrize("metric", ["mean", "rm2", "max_abs", "nans", "numel"])
def test_statistics_are_those_of_a_heat_map_rounded(answers, file_of, columns, tt, metric):
    file = file_of(columns)
    _, (values, flags, starts) = ask(answers, kind="heat", tt=tt, metric=metric, **ALL | {"w": 50})
    of = file.columns()
    all_values, all_flags = values, flags
    values, flags = largest(values, of), flagged(flags, of)
    found = file.values(tt, metric)
    if metric in ("nans", "numel"):
        np.testing.assert_array_equal(found, values)
    else:
        np.testing.assert_allclose(found, values, rtol=0.0031)
        np.testing.assert_array_equal(np.sign(found), np.sign(values))
    np.testing.assert_array_equal(file.arrays["flags"][file.rows(tt)], flags)
    np.testing.assert_array_equal(file.arrays["starts"], [*starts[of.edges], 49])
    assert file.arrays["steps"].sum() == 50
    if columns == 50:
        assert not file.arrays["flagsOne"].size and not file.arrays["lowOne"].size
    else:
        one = file.values_of_first_steps(tt, metric)
        np.testing.assert_allclose(one, all_values[:, of.edges], rtol=0.0031)
        np.testing.assert_array_equal(file.arrays["flagsOne"][file.rows(tt)], all_flags[:, of.edges])


def test_what_overflows_is_exact_for_every_format(answers):
    [file] = files(answers, most=7)
    formats = list(file.head["meta"]["formats"])
    assert formats == ["e4m3", "e5m2", "fp16", "bf16"]
    for tt in logframe.EXAMPLE_TYPES:
        for bit, short in enumerate(formats):
            _, (_, flags, _) = ask(answers, kind="heat", tt=tt, metric="rm2", format=short, **ALL | {"w": 50})
            pooled_flags = flagged(flags, file.columns())
            np.testing.assert_array_equal(file.arrays["over"][file.rows(tt)] >> bit & 1, pooled_flags >> 2 & 1)


@pytest.mark.parametrize("columns", [50, 7])
def test_shares_and_lanes_are_those_of_the_map(answers, file_of, columns):
    file = file_of(columns)
    for tensor, (tt, layer) in enumerate(file.head["tensors"]):
        head, (shares, lanes, _, _) = ask(answers, kind="map", tt=tt, layer=layer, **ALL | {"w": 50})
        edges = file.columns().edges
        one, lanes_one = shares[edges], lanes[:, edges]
        shares, lanes = np.maximum.reduceat(shares, edges, axis=0), np.maximum.reduceat(lanes, edges, axis=1)
        lowest, found = file.shares(tensor)
        at = head["bins"].index(lowest)
        np.testing.assert_array_equal(found, shares[:, at : at + found.shape[1]])
        rest = np.delete(shares, np.s_[at : at + found.shape[1]], axis=1)
        assert not rest.any()
        np.testing.assert_array_equal(file.arrays["lanes"][tensor], lanes)
        if columns == 7:
            of_first_steps = file.shares_of_first_steps(tensor)[1]
            np.testing.assert_array_equal(of_first_steps, one[:, at : at + found.shape[1]])
            np.testing.assert_array_equal(file.arrays["lanesOne"][tensor], lanes_one)


def test_a_change_is_measured_from_the_exact_start(answers):
    [file] = files(answers, most=50)
    head, (change, _, _) = ask(answers, kind="heat", tt="Weight", metric="std", change=True, **ALL)
    names = [*file.head["rounded"], *file.head["counted"]]
    base = file.arrays["early"][names.index("std")][file.rows("Weight")]
    np.testing.assert_allclose(np.log2(file.values("Weight", "std") / base[:, None]), change, atol=0.0045)
    assert file.head["change"].replace("{}", "std") == head["base"]


def test_firsts_curves_and_transitions_are_those_of_a_server(answers):
    [file] = files(answers, most=7)
    for short in ("e4m3", "bf16"):
        assert file.head["firsts"][short] == ask(answers, kind="firsts", format=short)[0]
    assert file.head["firsts"][""] == ask(answers, kind="firsts", format=None)[0]
    assert file.head["curves"] == ask(answers, kind="curves")[0]
    assert file.head["transitions"] == ask(answers, kind="transitions")[0]


def test_it_says_what_was_pooled_and_rounded(answers):
    rounded = "statistics are rounded to 0.3 %, shares of exponents to 5 %, counts are exact"
    assert files(answers, most=50)[0].head["meta"]["notes"] == [f"this file holds all 50 steps; {rounded}"]
    assert files(answers, most=7)[0].head["meta"]["notes"] == [
        f"this file holds 50 steps in 7 columns: of each what is largest in size, for maps and lines, and its first "
        f"step, at which the cursor stands; {rounded}",
        "the page that `tandv view` serves has every step",
    ]


def test_casts_that_are_not_predicted_are_marked_nowhere_which_it_says(answers):
    ((head, arrays),) = unpack(pooled(answers, predict=False))
    assert not arrays[ARRAYS.index("lossy")].any()
    assert head["meta"]["notes"][-1] == (
        "what a cast would lose is not marked in this file: the page that `tandv view` serves marks it"
    )


def test_special_values_have_codes_of_their_own():
    values = np.array([np.nan, 0, -0.0, np.inf, -np.inf, 1, -1, 2**-149, -(2.0**127)])
    np.testing.assert_allclose(values_of(codes_of(values)), values, rtol=0.0031)
    assert codes_of(values)[:5].tolist() == [0, 1, 1, 2, 3]


def test_values_of_any_size_and_sign_are_rounded_to_three_thousandths():
    random = np.random.default_rng(0)
    values = np.exp2(random.uniform(-149, 128, 10_000)) * random.choice([-1, 1], 10_000)
    np.testing.assert_allclose(values_of(codes_of(values)), values, rtol=0.0031)


def test_a_run_beyond_float32_has_wider_codes():
    rows = {("Weight", "a", step): {"rm2": 1e250 if step else 1.0, 0: 8} for step in range(2)}
    [file] = files(answers_of(log_of(rows, dtype="float64")))
    assert values_of(file.codes[file.head["rounded"].index("rm2")], FLOAT64)[0].tolist() == pytest.approx(
        [1.0, 1e250], rel=0.024
    )
    assert any("rounded to 2.4 %" in note for note in file.head["meta"]["notes"])


def test_a_value_beyond_the_codes_has_the_nearest():
    assert values_of(codes_of(np.array([1e-300, -1e-300]))).tolist() == pytest.approx(
        [2.0**-150, -(2.0**-150)], rel=0.02
    )


def test_nan_infinity_and_what_was_not_logged_survive():
    rows = {("Weight", "a", step): {"rm2": 1.0, 0: 8} for step in range(8)}
    rows["Weight", "a", 1] = {"rm2": 1.0, 0: 7, "nans": 1}
    rows["Weight", "a", 5] = {"rm2": 1.0, 0: 7, np.inf: 1, "infs": 1}
    rows["Weight", "late", 6] = {"rm2": 1.0, 0: 8}
    [file] = files(answers_of(log_of(rows)), most=4)
    assert file.arrays["flags"].tolist() == [[0, NAN, INFINITE, 0], [ABSENT, ABSENT, 0, ABSENT]]
    assert file.arrays["starts"].tolist() == [0, 1, 5, 7, 7]  # what is found and the last step begin a column


def test_two_runs_share_their_columns_and_where_they_part_is_exact():
    one = line_of(dict.fromkeys(range(20), 1.0))
    other = line_of({step: 1.0 if step < 13 else 2.0 for step in range(1, 30, 2)})
    answers = answers_of(one, other)
    first, second = files(answers, most=6)
    assert first.arrays["starts"].tolist() == [0, 4, 9, 14, 19, 19]
    assert first.arrays["steps"].tolist() == [4, 5, 5, 5, 1]
    assert second.arrays["starts"].tolist() == [1, 5, 9, 15, 19, 29, 29]
    assert second.arrays["steps"].tolist() == [2, 2, 3, 2, 5, 1]
    assert (first.arrays["numbers"].tolist(), second.arrays["numbers"].tolist()) == ([*range(5)], [*range(6)])
    said = first.head["against"]["1"]["Activation"]["rm2"]
    head, _ = ask(answers, kind="heat", tt="Activation", metric="rm2", against=1, **ALL)
    assert said == {"parted": head["parted"], "base": head["base"]} and said["parted"] == 13


def test_if_all_steps_fit_each_is_a_column_in_every_run():
    found = layouts([np.array([0, 10]), np.array([10, 20])], 3)
    assert [one.columns.starts.tolist() for one in found] == [[0, 10, 10], [10, 20, 20]]
    assert [one.steps.tolist() for one in found] == [[1, 1], [1, 1]]


def test_curves_alone_have_no_other_arrays():
    [(head, arrays)] = unpack(pooled(answers_of({"loss": [2.0, float("nan")]})))
    assert set(head) == {"meta", "curves", "transitions"}
    assert next(array.tolist() for array in arrays) == [0, 1] and len(arrays) == 3


def test_a_run_of_many_tensors_has_fewer_columns(monkeypatch):
    monkeypatch.setattr("tandv.page.pooled.CELLS", 40)
    monkeypatch.setattr("tandv.page.pooled.FEWEST", 3)
    df = logframe.example_log(layers=5, steps=30, tensor_types=["Weight", "Gradient"])
    assert len(files(answers_of(df))[0].arrays["steps"]) == 4


def test_what_an_insight_column_lacks_elsewhere_is_no_value():
    df = logframe.example_log(layers=2, steps=4)
    of_gradients = (df[("metadata", "tensor_type")] == "Weight_Gradient").to_numpy()
    df[("scalar_stats", "gradient_norm")] = np.where(of_gradients, 1.0, np.nan)
    [file] = files(answers_of(df))
    assert np.isnan(file.values("Weight", "gradient_norm")).all()
    assert not file.arrays["flags"][file.rows("Weight")].any()
    _, (_, flags, _) = ask(answers_of(df), kind="heat", tt="Weight", metric="gradient_norm", **ALL)
    assert (flags == ABSENT).all()


def test_a_small_run_is_a_small_file(answers):
    assert len(gzip.compress(pooled(answers))) < 25_000
