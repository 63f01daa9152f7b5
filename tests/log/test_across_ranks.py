"""The smallest and the largest value over the ranks, and the ranks that have them."""

import numpy as np
import pandas as pd
import pytest

from tandv.log.across_ranks import rank_extremes
from tandv.log.example import example_log
from tandv.log.ranks import RANK
from tandv.messages import UnknownName


def log(values):
    """Three ranks' rows of one tensor at two steps, with these values."""
    one = example_log(layers=1, steps=2, tensor_types=["Weight"])
    one = one[one["metadata"]["name"] == one["metadata"]["name"].iloc[0]]
    df = pd.concat([one] * 3, ignore_index=True)
    df[RANK] = np.repeat([2, 0, 1], 2)
    df[("scalar_stats", "rm2")] = values
    return df


def test_the_odd_rank_is_named():
    found = rank_extremes(log([5.0, 1.0, 2.0, 1.0, 9.0, np.nan]))
    assert found[["smallest", "rank_of_smallest", "largest", "rank_of_largest"]].to_numpy().tolist() == [
        [2.0, 0, 9.0, 1],
        [1.0, 0, 1.0, 0],  # of equal ones the lowest; NaN only where there is nothing else
    ]


def test_what_the_log_lacks_is_said():
    with pytest.raises(UnknownName, match="per_rank=True"):
        rank_extremes(example_log(layers=1, steps=1))
    with pytest.raises(UnknownName, match="no statistic 'rm3'"):
        rank_extremes(log(1.0), "rm3")
