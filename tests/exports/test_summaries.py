"""What is charted of a step, on rows small enough to be worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from stored import counted_only, stored

from tandv.curves.of_run import line
from tandv.exports import summaries
from tandv.exports.summaries import Summary, of_block, of_log, summary, with_loop
from tandv.log import logframe
from tandv.track.common.measurements import Block, Quantity

TEXT = {
    "name": ["a", "b", "c", "a"],
    "type": ["Linear"] * 4,
    "tensor_type": ["Gradient", "Gradient", "Gradient", "Weight"],
    "dtype": ["float32"] * 4,
}
SCALARS = {
    "rm2": np.array([1.0, 4.0, 2.0, 9.0]),
    "max_abs": np.array([3.0, math.nan, 1.0, 9.0]),  # all values of b are NaN
    "mean": np.array([0.0, 0.0, 0.0, 0.0]),
    "numel": np.array([4, 2, 4, 8]),
    "zeros": np.array([1, 0, 2, 0]),
    "nans": np.array([0, 2, 0, 0]),
    "infs": np.array([1, 0, 0, 0]),
}
COUNTS = np.array([[1, 0, 2, 1], [0, 0, 0, 0], [2, 1, 1, 0], [0, 3, 5, 0]])  # -inf, -1, 0, inf
GRADIENT = {
    "Gradient/rm2/median": 2.0,
    "Gradient/rm2/min": 1.0,
    "Gradient/rm2/max": 4.0,
    "Gradient/max_abs/median": 2.0,
    "Gradient/max_abs/min": 1.0,
    "Gradient/max_abs/max": 3.0,
    "Gradient/zeros": 0.3,
    "Gradient/nans": 0.2,
    "Gradient/infs": 0.1,
}


@pytest.fixture(params=["log", "block"])
def found(request):
    if request.param == "block":
        quantities = [Quantity((i,), *row) for i, row in enumerate(zip(*list(TEXT.values())[:3], strict=True))]
        return of_block(Block(7, quantities, TEXT["dtype"], SCALARS, COUNTS, -1))
    ((step, found),) = of_log(logframe.frame(TEXT | {"step": [7] * 4}, SCALARS, COUNTS, [-1, 0]))
    assert step == 7
    return found


def test_layers_come_to_their_median_and_extremes_and_values_to_their_shares(found):
    assert {name: value for name, value in found.numbers.items() if name.startswith("Gradient")} == GRADIENT
    assert found.numbers["Weight/rm2/median"] == 9.0
    assert found.numbers["Weight/zeros"] == 0.0


def test_histograms_are_the_columns_of_the_log_added_up(found):
    assert found.histograms["Gradient/exponents"].counts.tolist() == [1, 3]
    assert found.histograms["Gradient/exponents"].edges.tolist() == [-1, 0, 1]
    assert found.histograms["Weight/exponents"].counts.tolist() == [3, 5]


def test_steps_of_a_log_come_one_by_one_ascending():
    two = logframe.frame(TEXT | {"step": [9, 9, 3, 3]}, SCALARS, COUNTS, [-1, 0])
    found = dict(of_log(two))
    assert list(found) == [3, 9]
    assert found[9].numbers["Gradient/rm2/max"] == 4.0
    assert found[3].numbers["Gradient/rm2/max"] == 2.0


def test_every_step_of_a_log_equals_that_step_alone():
    log = logframe.example_log(layers=2, steps=5)
    for step, found in of_log(log):
        ((_, alone),) = of_log(logframe.select(log, step=step).reset_index(drop=True))
        assert alone.numbers == found.numbers
        assert alone.histograms.keys() == found.histograms.keys()


def test_what_lies_outside_a_chosen_range_has_its_share():
    scalars = {"numel": np.array([10]), "zeros": np.array([2]), "infs": np.array([0]), "nans": np.array([0])}
    found = summary(["Weight"], scalars, np.array([[5, 1, 4]]), [0])
    assert (found.numbers["Weight/below"], found.numbers["Weight/above"]) == (0.3, 0.4)


def test_own_statistics_are_charted_where_there_are_no_others():
    found = summary(["Weight"] * 3, {"large": np.array([1.0, 5.0, 2.0]), "calls": np.ones(3)}, np.zeros((3, 3)), [0])
    assert found.numbers == {"Weight/large/median": 2.0, "Weight/large/min": 1.0, "Weight/large/max": 5.0}
    assert not found.histograms


def test_a_histogram_is_never_wider_than_wandb_takes():
    counts = np.zeros((1, 2 + 2000), np.int64)
    counts[0, [1, 1500, 2000]] = 3, 4, 5  # 2**-1000, 2**499 and 2**999
    histogram = summary(["Weight"], {}, counts, range(-1000, 1000)).histograms["Weight/exponents"]
    assert len(histogram.counts) == 510
    assert (histogram.edges[-1], histogram.counts[-1], histogram.counts.sum()) == (1000, 5, 9)


def test_an_empty_log_has_no_steps():
    empty = logframe.example_log(layers=1, steps=1).iloc[:0]
    assert isinstance(empty, pd.DataFrame) and list(of_log(empty)) == []


def test_insight_is_summarised_over_the_rows_that_have_it():
    more = {"sign_flips": [0.5, math.nan, 0.25, math.nan], "zeros_1e-05": [1, math.nan, 3, math.nan]}
    numbers = summary(TEXT["tensor_type"], SCALARS | {k: np.array(v) for k, v in more.items()}, COUNTS, [-1, 0]).numbers
    assert numbers["Gradient/sign_flips/median"] == 0.375
    assert numbers["Gradient/zeros_1e-05"] == 4 / 8  # of the values of a and c
    assert not [name for name in numbers if name.startswith("Weight/") and ("1e-05" in name or "flips" in name)]


def test_numbers_of_the_loop_are_added_to_their_steps(tmp_path):
    numbers = {0: {"loss": 2.0}, 2: {"loss": math.nan, "lr": 0.5}, 5: {"lr": 0.25}}
    (tmp_path / "curves.jsonl").write_text("".join(line(step, given) for step, given in numbers.items()))
    rows = [(1, Summary({"Weight/nans": 0.0}, {})), (2, Summary({"Weight/nans": 1.0}, {}))]
    found = dict(with_loop(rows, tmp_path))
    assert list(found) == [0, 1, 2, 5]
    assert [found[step].numbers for step in (0, 1, 5)] == [{"loss": 2.0}, {"Weight/nans": 0.0}, {"lr": 0.25}]
    assert list(found[2].numbers) == ["Weight/nans", "loss", "lr"]
    assert math.isnan(found[2].numbers["loss"])


def test_a_log_at_a_place_is_summarised_some_steps_at_a_time(tmp_path, monkeypatch):
    df = counted_only(logframe.example_log(layers=3, steps=12))
    run = stored(df, tmp_path / "run")
    monkeypatch.setattr(summaries, "_ROWS", 40)  # of 15 a step
    for one, other in zip(of_log(df), of_log(run), strict=True):
        assert one[0] == other[0]
        assert one[1].numbers == other[1].numbers
        for name, histogram in one[1].histograms.items():
            found = other[1].histograms[name]
            assert (found.lowest, found.counts.tolist()) == (histogram.lowest, histogram.counts.tolist())
