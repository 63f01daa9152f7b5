"""Rows of several ranks: chosen, or merged into what a measurement of their values together is."""

import re

import numpy as np
import pandas as pd
import pytest

from reference import reference, reference_counts
from tandv.log.logframe import UnknownName, curves, example_log, frame, ranks, select
from tandv.log.ranks import RANK, merged, needed

BINS = list(range(-160, 70))


def measured(values):
    """Return statistics and exponent counts of values."""
    counted = reference_counts(values)
    return reference(values) | {"calls": 1}, [counted.get(n, 0) for n in (-np.inf, *BINS, np.inf)]


def log_of(tensors):
    """Return a log with a row for each (name, step, rank) of a dict of tensors."""
    found = [measured(np.asarray(values, float)) for values in tensors.values()]
    names, steps, of_rank = zip(*tensors, strict=True)
    text = {"name": names, "type": ["Linear"] * len(names), "tensor_type": ["Activation"] * len(names)}
    scalars = {name: np.array([statistics[name] for statistics, _ in found]) for name in found[0][0]}
    metadata = {**text, "step": steps, "dtype": ["float32"] * len(names), "rank": np.array(of_rank)}
    return frame(metadata, scalars, np.array([counts for _, counts in found]), BINS)


def statistics(df):
    return {name: df[("scalar_stats", name)].tolist() for top, name in df.columns if top == "scalar_stats"}


RANDOM = np.random.default_rng(0)
PIECES = {
    "of one size": [RANDOM.normal(0, 1, 100), RANDOM.normal(0, 3, 100)],
    "of many sizes": [RANDOM.normal(5, 1, n) for n in (1, 20, 300, 4)],
    "a large mean": [1e6 + RANDOM.normal(0, 1, 50), 1e6 + 2 + RANDOM.normal(0, 1, 70)],
    "NaN and infinity on one": [np.array([np.nan, 1.0, -4.0, np.inf]), np.array([0.0, 0.5, 2.0])],
    "nothing finite on one": [np.array([np.nan, np.inf]), np.array([3.0, -1.0])],
    "nothing finite": [np.array([np.nan]), np.array([-np.inf, np.nan])],
    "zeros": [np.zeros(3), np.zeros(2)],
    "far from one": [1e-40 * RANDOM.normal(0, 1, 9), 1e18 * RANDOM.normal(0, 1, 9)],
}


@pytest.mark.parametrize("name", PIECES)
def test_ranks_merge_to_the_measurement_of_their_values_together(name):
    pieces = PIECES[name]
    merged_row = select(log_of({("fc", 0, rank): piece for rank, piece in enumerate(pieces)}))
    expected, counts = measured(np.concatenate(pieces))
    found = {name: values[0] for name, values in statistics(merged_row).items()}
    assert found == pytest.approx(expected | {"calls": len(pieces)}, rel=1e-9, abs=0, nan_ok=True)
    got = {n: c for (top, n), c in merged_row.iloc[0].items() if top == "exponent_counts" and c}
    assert got == {n: c for n, c in zip([-np.inf, *BINS, np.inf], counts, strict=True) if c}


TWO = log_of(
    {
        ("a", 0, 0): [1.0, 1.0],
        ("b", 0, 0): [8.0],
        ("a", 0, 1): [3.0, 3.0],
        ("b", 0, 1): [2.0],
        ("a", 1, 0): [5.0],
        ("c", 1, 1): [7.0],
    }
)


def test_each_tensor_and_step_has_one_row_in_the_order_of_the_log():
    rows = select(TWO)
    assert RANK not in rows.columns
    shown = rows["metadata"][["name", "step"]].astype({"name": str}).itertuples(index=False, name=None)
    assert list(shown) == [("a", 0), ("b", 0), ("a", 1), ("c", 1)]
    assert rows[("scalar_stats", "mean")].tolist() == [2.0, 5.0, 5.0, 7.0]
    assert rows.columns.tolist() == [label for label in TWO.columns if label != RANK]
    assert rows.dtypes.drop(["exponent_counts"], level=0).equals(
        TWO.drop(columns=[RANK]).dtypes.drop(["exponent_counts"], level=0)
    )


def test_a_rank_is_a_choice_and_several_stay_apart():
    assert ranks(TWO) == [0, 1]
    assert select(TWO, "a", rank=1)[("scalar_stats", "mean")].tolist() == [3.0]
    assert select(TWO, "a", step=0, rank=[0, 1])[RANK].tolist() == [0, 1]
    assert len(select(TWO, rank=0)) == 3
    alone = select(TWO, rank=0)
    assert select(alone) is alone  # one rank has nothing to merge with


def test_a_rank_that_is_not_there_is_named():
    with pytest.raises(UnknownName, match="no rank 7 in this log; this log has 0, 1"):
        select(TWO, rank=[0, 7])
    with pytest.raises(UnknownName, match="no rank 0 in this log: it has no rank of its rows"):
        select(example_log(), rank=0)
    with pytest.raises(ValueError, match="rank is an empty list"):
        select(TWO, rank=[])
    with pytest.raises(UnknownName, match="no row has layer 'c', rank 0 at once"):
        select(TWO, "c", rank=0)


def test_only_the_columns_that_are_asked_for_come_back():
    rows = select(TWO, "a", columns=[("scalar_stats", "std")])
    assert [label for label in rows.columns if label[0] != "metadata"] == [("scalar_stats", "std")]
    assert rows[("scalar_stats", "std")].tolist() == [1.0, 0.0]  # of 1, 1, 3, 3: the mean was there to merge it by


def test_without_numel_the_exponents_tell_how_many_values_there_are():
    bare = TWO.drop(columns=[("scalar_stats", name) for name in ("numel", "nans", "infs")])
    assert select(bare, "a", columns=[("scalar_stats", "mean")])[("scalar_stats", "mean")].tolist() == [2.0, 5.0]
    assert ("exponent_counts", 0) in needed([("scalar_stats", "mean")], bare.columns.tolist())


def test_float32_columns_stay_float32_and_hold_what_its_powers_would_overflow():
    df = log_of({("a", 0, 0): [1e30, -1e30], ("a", 0, 1): [1e30]})
    df[("scalar_stats", "rm8")] = df[("scalar_stats", "rm8")].astype(np.float32)
    rows = merged(df)
    assert rows[("scalar_stats", "rm8")].dtype == np.float32
    assert rows[("scalar_stats", "rm8")].iloc[0] == pytest.approx(1e30, rel=1e-6)


def test_a_statistic_without_a_rule_stays_where_all_ranks_agree_and_is_nan_where_not():
    df = log_of({("a", 0, 0): [1.0], ("a", 0, 1): [2.0], ("b", 0, 0): [1.0], ("b", 0, 1): [1.0]})
    df[("scalar_stats", "loss_scale")] = 1024.0
    df[("scalar_stats", "zeros_1e-05")] = [1, 2, 3, 4]  # a count of insight
    assert statistics(select(df))["loss_scale"] == [1024.0, 1024.0]
    assert statistics(select(df))["zeros_1e-05"] == [3, 7]
    df[("scalar_stats", "kurtosis")] = [1.0, 2.0, 3.0, 3.0]
    with pytest.warns(UserWarning, match="the ranks differ in kurtosis, .* choose one, such as rank=0"):
        assert statistics(select(df))["kurtosis"] == pytest.approx([np.nan, 3.0], nan_ok=True)
    assert statistics(select(df, rank=1))["kurtosis"] == [2.0, 3.0]


def test_phases_do_not_merge():
    df = log_of({("a", 0, 0): [1.0], ("a", 0, 1): [3.0], ("a", 0, 2): [10.0], ("a", 0, 3): [12.0]})
    df[RANK] = [0, 1, 0, 1]
    df.insert(0, ("metadata", "phase"), ["", "", "rollout", "rollout"])
    assert select(df)[("scalar_stats", "mean")].tolist() == [2.0]
    assert select(df, phase=re.compile(""))[("scalar_stats", "mean")].tolist() == [2.0, 11.0]


def test_curves_merge_ranks_or_name_them():
    assert curves(TWO, "a", "Activation", "mean").to_dict("list") == {"a/mean": [2.0, 5.0]}
    apart = curves(TWO, "a", "Activation", "mean", rank=[0, 1])
    assert apart.columns.tolist() == ["a/mean/rank 0", "a/mean/rank 1"]
    assert apart["a/mean/rank 1"].tolist() == pytest.approx([3.0, np.nan], nan_ok=True)


def test_counts_beyond_32_bits_are_added():
    one = example_log(layers=1, steps=1, tensor_types=["Weight"])
    one[("exponent_counts", -5)] = np.int32(2**31 - 1)
    df = pd.concat([one, one], ignore_index=True)
    df[RANK] = [0, 1]
    assert select(df)[("exponent_counts", -5)].tolist() == [2**32 - 2]
