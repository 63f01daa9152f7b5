"""Which rank has the smallest and which the largest value of a statistic, of each tensor at each step."""

import numpy as np
import pandas as pd

from tandv.log.door import AnyLog, loaded
from tandv.log.ranks import RANK
from tandv.messages import UnknownName, named_arguments, unknown

_OF = ("step", "tensor_type", "name", "phase")


@named_arguments
def rank_extremes(df: AnyLog, scalar_metric: str = "rm2") -> pd.DataFrame:
    """Return the smallest and the largest value of a statistic over the ranks, and the ranks that have them.

    The log must keep the rows of each rank, as with `track(..., per_rank=True)`. A rank whose value is NaN, so that it
    has nothing finite, is left out where others have a value. Of ranks with the same value the lowest is named.

    >>> from tandv.log.example import example_log
    >>> df = pd.concat([example_log(layers=1, steps=1, tensor_types=["Weight"])] * 2)
    >>> df[RANK] = [0, 1]
    >>> df[("scalar_stats", "rm2")] = [1.0, 4.0]
    >>> found = rank_extremes(df)
    >>> found[["smallest", "rank_of_smallest", "largest", "rank_of_largest"]].values.tolist()
    [[1.0, 0.0, 4.0, 1.0]]

    Args:
        df: the log, or the place of one: a run's folder or a file.
        scalar_metric: the statistic, such as "rm2" or "max_abs".

    Raises UnknownName where the log has no ranks, or not this statistic.
    """
    table = loaded(df)
    label = ("scalar_stats", scalar_metric)
    if RANK not in table.columns:
        raise UnknownName("this log has no rank of its rows, those of all are merged; record with per_rank=True")
    if label not in table.columns:
        there = [name for top, name in table.columns if top == "scalar_stats"]
        raise UnknownName(unknown("statistic", scalar_metric, there, "this log"))
    of = [name for name in _OF if ("metadata", name) in table.columns]
    rows = pd.DataFrame({name: table[("metadata", name)].to_numpy() for name in of})
    rows["rank"], rows["value"] = table[RANK].to_numpy(), table[label].to_numpy(np.float64, na_value=np.nan)
    found = rows[of].drop_duplicates()
    for which, ascending in (("smallest", True), ("largest", False)):  # NaN comes last either way
        first = rows.sort_values(["value", "rank"], ascending=[ascending, True]).drop_duplicates(of)
        found = found.merge(first.rename(columns={"value": which, "rank": f"rank_of_{which}"}), on=of)
    return found
