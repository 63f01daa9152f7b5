import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tandv.log import logframe
from tandv.log.logframe import SchemaError, UnknownName, concat, curves, example_log, frame, problems, select, validate

INF = float("inf")


def log(names=("a", "b"), steps=(0, 1), tt="Weight", exponents=(-1, 0), counts=None, **metadata):
    """A log of every name at every step; std is 10 * step + the place of the name."""
    rows = [(name, step) for step in steps for name in names]
    text = {"name": [name for name, _ in rows], "type": [""] * len(rows), "tensor_type": [tt] * len(rows)}
    std = np.array([10.0 * step + names.index(name) for name, step in rows])
    counts = np.ones((len(rows), len(exponents) + 2), int) if counts is None else counts
    metadata = {**text, "step": [step for _, step in rows], "dtype": ["float32"] * len(rows), **metadata}
    return frame(metadata, {"std": std}, counts, exponents)


def labels(df):
    return [name for top, name in df.columns if top == "exponent_counts"]


# --------------------------------------------------------------------------------------------- checking


def test_a_log_passes_unchanged():
    df = log()
    assert validate(df) is df


@pytest.mark.parametrize("dtype", ["object", "str", "string", "category"])
def test_text_may_be_stored_any_way(dtype):
    df = log()
    for name in ("name", "type", "tensor_type", "dtype"):
        df[("metadata", name)] = df[("metadata", name)].astype(dtype)
    assert list(problems(df)) == []
    assert logframe.layers(df) == ["a", "b"]
    assert len(select(df, "b", "Weight", 1)) == 1


def test_every_problem_is_named_at_once():
    df = log().drop(columns=[("metadata", "dtype"), ("exponent_counts", INF)])
    df[("metadata", "step")] = df[("metadata", "step")].astype(float)
    df[("scalar_stats", "std")] = "high"
    df[("exponent_counts", -1)] = -3
    df[("exponent_counts", "7")] = 1
    df[("losses", "train")] = 0.0
    with pytest.raises(SchemaError) as error:
        validate(df)
    said = str(error.value).splitlines()
    assert said[0] == "not a tandv log:"
    for words in (
        "top-level column 'losses' is unknown",
        "('metadata', 'dtype') is missing",
        "('metadata', 'step') is float64, allowed are whole numbers",
        "('scalar_stats', 'std') is ",
        "columns '7' are not labelled by an integer",
        "columns -1 hold negative counts",
        '("exponent_counts", float("inf")) is missing; add it as zeros if nothing can overflow',
    ):
        assert sum(words in line for line in said) == 1, words
    assert len(said) == 8


@pytest.mark.parametrize(
    "wrong, words",
    [
        ([1, 2], "it is a list, not a pandas DataFrame"),
        (pd.DataFrame({"loss": [1.0]}), "the columns are one flat level"),
        (log().iloc[:0], "it has no rows"),
        (
            pd.concat([log(), log()[[("scalar_stats", "std")]]], axis=1),
            "('scalar_stats', 'std') is there more than once",
        ),
        (
            pd.concat([log(), log()]),
            "4 rows repeat the name, tensor_type and step of another, first ('a', 'Weight', 0)",
        ),
        (pd.concat([log(), log().iloc[:1]]), "1 row repeats the name, tensor_type and step of another"),
        (
            log().astype({("metadata", "step"): float}).replace({("metadata", "step"): {1.0: 1.5}}),
            "('metadata', 'step') is float64, allowed are whole numbers; use .round()",
        ),
        (log().drop(columns=[("scalar_stats", "std")]), 'there is no ("scalar_stats", ...) column'),
        (log(dtype=["float32", "int8", "torch.float32", "float32"]), "'int8', 'torch.float32', which ml_dtypes"),
        (log(name=["a", None, "a", "b"]), "('metadata', 'name') has 1 rows without a value"),
        (log().rename(columns={-1: -1.5}, level=1), "columns -1.5 are not labelled by an integer"),
    ],
)
def test_a_problem_says_what_is_wrong(wrong, words):
    with pytest.raises(SchemaError, match=re.escape(words)):
        validate(wrong)


def test_ranks_tell_repeated_rows_apart():
    both = concat([log(rank=[0] * 4), log(rank=[1] * 4)])
    assert list(problems(both)) == []
    assert curves(both, "a", "Weight", "std")["a/std"].tolist() == [0.0, 10.0]  # the same on both


def test_counts_may_not_have_gaps():
    df = log()
    df[("exponent_counts", 0)] = [1.0, None, 2.0, 3.0]
    assert [p for p in problems(df) if "columns 0 are float64 with missing values" in p]


# --------------------------------------------------------------------------------------------- building


def test_frame_leaves_out_what_nothing_falls_into_but_keeps_the_ends():
    df = log(exponents=(-1, 0, 5), counts=np.array([[0, 0, 3, 0, 0]] * 4))
    assert labels(df) == [-INF, 0, INF]
    assert [type(e) for e in labels(df)] == [float, int, float]
    assert df[("exponent_counts", 0)].tolist() == [3, 3, 3, 3]


def test_frame_sorts_exponents_with_their_counts():
    df = log(exponents=(2, -7), counts=np.array([[1, 20, 70, 9]] * 4))
    assert df["exponent_counts"].iloc[0].to_dict() == {-INF: 1, -7: 70, 2: 20, INF: 9}


def test_frame_keeps_counts_that_do_not_fit_32_bits():
    assert log()[("exponent_counts", 0)].dtype == np.int32
    big = log(counts=np.full((4, 4), 3_000_000_000))[("exponent_counts", 0)]
    assert (big.dtype, big[0]) == (np.int64, 3_000_000_000)


def test_frame_keeps_the_order_of_the_model_and_the_dtype_of_scalars():
    df = log(names=("z", "a"))
    assert df[("metadata", "name")].cat.categories.tolist() == ["z", "a"]
    text = {"name": ["a"], "type": [""], "tensor_type": ["Weight"], "step": [0], "dtype": ["float32"]}
    df = frame(text, {"mean": np.ones(1, np.float32), "numel": np.ones(1, np.int64)}, np.ones((1, 3)), [0])
    assert df["scalar_stats"].dtypes.tolist() == [np.float32, np.int64]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"name": ["a"]}, "'name' has 1 values for 4 rows"),
        ({"counts": np.ones((4, 3), int)}, r"counts have shape \(4, 3\), needed is \[rows, 4\]"),
    ],
)
def test_frame_names_what_does_not_fit(change, words):
    with pytest.raises(ValueError, match=words):
        log(**change)


def test_concat_fills_counts_with_zero_and_scalars_with_nan():
    left = log(names=("a",), steps=(0,), exponents=(3,), counts=np.array([[0, 5, 0]]))
    right = log(names=("b",), steps=(1,), exponents=(-2,), counts=np.array([[0, 7, 1]]))
    right[("scalar_stats", "extra")] = 2.5
    df = validate(concat([left, right]))
    assert df["exponent_counts"].to_dict("list") == {-INF: [0, 0], -2: [0, 7], 3: [5, 0], INF: [0, 1]}
    assert df[("scalar_stats", "extra")].isna().tolist() == [True, False]
    assert df[("metadata", "name")].tolist() == ["a", "b"]
    assert labels(df) == [-INF, -2, 3, INF]


def test_concat_of_nothing_says_so():
    with pytest.raises(ValueError, match="nothing to join"):
        concat([])


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True), st.integers(1, 8))
def test_a_log_cut_into_steps_and_joined_is_the_same(cuts, layers):
    df = example_log(layers=layers, steps=10)
    edges = sorted({0, 10, *cuts})
    pieces = [select(df, step=slice(a, b)) for a, b in itertools.pairwise(edges)]
    pd.testing.assert_frame_equal(concat(pieces), df)


# ----------------------------------------------------------------------------------------------- asking


def test_layers_are_in_model_order_also_where_a_type_runs_backwards():
    df = concat([log(names=("in", "mid", "out")), log(names=("out", "mid"), tt="Gradient")])
    assert logframe.layers(df) == ["in", "mid", "out"]
    assert logframe.layers(df, "Gradient") == ["mid", "out"]
    assert logframe.tensor_types(df) == ["Weight", "Gradient"]
    assert logframe.tensor_types(select(df, tt="Gradient")) == ["Gradient"]
    assert logframe.steps(df) == [0, 1]
    assert logframe.scalar_metrics(df) == ["std"]
    assert logframe.exponents(df) == [-1, 0]


@pytest.mark.parametrize(
    "choice, expected",
    [
        ({"layer": "b"}, [1, 11, 21]),
        ({"step": 0}, [0, 1]),
        ({"step": np.int64(2)}, [20, 21]),
        ({"step": [0, 2], "layer": ["b", "a"]}, [0, 1, 20, 21]),
        ({"step": slice(1, None), "layer": "a"}, [10, 20]),
        ({"step": slice(None, None, 2), "layer": "a"}, [0, 20]),
        ({"step": slice(0, 2), "layer": "a"}, [0, 10]),
        ({"layer": re.compile("^[b-z]$")}, [1, 11, 21]),
        ({"tt": ["Weight"], "layer": "a", "step": 1}, [10]),
    ],
)
def test_select_returns_exactly_the_rows_asked_for(choice, expected):
    assert select(log(steps=(0, 1, 2)), **choice)[("scalar_stats", "std")].tolist() == expected


def test_select_without_a_choice_is_the_log_itself():
    df = log()
    assert select(df) is df


@pytest.mark.parametrize(
    "choice, words",
    [
        ({"layer": "layers.0.atention.wq"}, "did you mean 'layers.0.attention.wq'"),
        ({"tt": "weight"}, "no tensor type 'weight' in this log; did you mean 'Weight'"),
        ({"layer": re.compile("conv")}, "no layer matches the pattern 'conv'; this log has 'embed'"),
        ({"step": 7}, "no step 7 in this log; the nearest are 5 and 10 (it has 3 steps, 0 to 10)"),
        ({"step": [5, 70]}, "no step 70 in this log; the nearest are 5 and 10"),
        ({"step": slice(6, 9)}, "no row has step 6:9; this log has 3 steps, 0 to 10"),
    ],
)
def test_what_was_not_logged_is_named_with_the_nearest(choice, words):
    df = select(example_log(steps=11), step=slice(0, 11, 5))
    with pytest.raises(UnknownName, match=re.escape(words)):
        select(df, **choice)


def test_choices_without_a_common_row_say_what_the_layer_has():
    df = concat([log(names=("a",)), log(names=("b",), tt="Gradient")])
    with pytest.raises(UnknownName, match="at once; this layer has 'Weight'"):
        select(df, "a", "Gradient")


def test_curves_are_floats_by_step_with_nan_where_a_layer_is_missing():
    df = concat([log(names=("a", "b"), steps=(0, 10)), log(names=("a",), steps=(5,))])
    table = curves(df, ["a", "b"], "Weight", "std")
    assert (table.index.name, table.index.tolist()) == ("step", [0, 5, 10])
    assert table["a/std"].tolist() == [0, 50, 100]
    assert table["b/std"].fillna(-1).tolist() == [1, -1, 101]
    assert curves(df, "a", ["Weight"], ["std"]).columns.tolist() == ["a/Weight/std"]
    with pytest.raises(UnknownName, match="no statistic 'stdd' in this log; did you mean 'std'"):
        curves(df, "a", "Weight", "stdd")


# ---------------------------------------------------------------------------------------------- example


def test_the_example_is_a_log_with_something_to_see():
    df = validate(example_log())
    pd.testing.assert_frame_equal(df, example_log())
    counts = df["exponent_counts"].sum(axis=1) + df[("scalar_stats", "nans")]
    assert (counts == df[("scalar_stats", "numel")]).all()
    last = curves(df, "head", "Activation", "infs")["head/infs"]
    assert last.loc[0] == 0 and last.loc[49] > 0
    assert np.isnan(curves(df, "head", "Gradient", "mean").loc[49].item())
    assert select(df, tt="Gradient", step=48)[("exponent_counts", -INF)].min() > 0
    assert logframe.tensor_types(df) == list(logframe.EXAMPLE_TYPES)
