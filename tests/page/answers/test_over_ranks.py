"""The smallest and the largest value of a cell over the ranks, in the answer about it."""

import numpy as np
import pandas as pd
import pytest
from hand_made import ask

from tandv.log.example import example_log
from tandv.log.files import write_parquet
from tandv.log.ranks import RANK
from tandv.page.answers import answers_of
from tandv.page.answers.over_ranks import MOST_RANKS

CELL = {"kind": "at", "tt": "Weight", "layer": "embed", "step": 1, "metric": "rm2"}


def log(values, nans=0):
    """The rows of a tensor on several ranks at two steps, with these values at each step."""
    one = example_log(layers=1, steps=2, tensor_types=["Weight"])
    one = one[one["metadata"]["name"] == "embed"]
    df = pd.concat([one] * len(values), ignore_index=True)
    df[RANK] = np.repeat(np.arange(len(values)), 2)
    df[("scalar_stats", "rm2")] = np.repeat(np.float64(values), 2)
    df[("scalar_stats", "nans")] = np.where(df[RANK] == 1, nans, 0)
    return df


@pytest.mark.parametrize("lies", ["in memory", "in a file"])
def test_the_ranks_at_both_ends_are_told_and_who_has_nans(lies, tmp_path):
    df = log([2.0, 1.0, 5.0], nans=3)
    if lies == "in a file":
        write_parquet(df, tmp_path / "log.parquet")
        df = tmp_path / "log.parquet"
    answers = answers_of(df)
    head, _ = ask(answers, **CELL)
    assert head["ranks"] == {
        "smallest": 1.0, "rank_of_smallest": 1, "largest": 5.0, "rank_of_largest": 2, "most": {"nans": 1}
    }  # fmt: skip
    assert ask(answers, **CELL | {"rank": 0})[0]["ranks"]["rank_of_largest"] == 2  # of all, whichever is shown


def test_where_no_rank_has_a_finite_value_there_is_none():
    head, _ = ask(answers_of(log([np.nan, np.nan])), **CELL)
    assert (head["ranks"]["smallest"], head["ranks"]["largest"]) == (None, None)


def test_where_nothing_tells_or_it_would_take_long_nothing_is_said():
    one = example_log(layers=1, steps=2, tensor_types=["Weight"])
    assert "ranks" not in ask(answers_of(one), **CELL)[0]
    assert "ranks" not in ask(answers_of(log(np.ones(MOST_RANKS + 1))), **CELL)[0]
