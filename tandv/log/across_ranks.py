"""Which rank has the smallest and which the largest value of a statistic, of each tensor at each step.

A run whose ranks are merged keeps these in a log of their own, in a folder of the run's: `across_ranks/parts/`. Each of
its rows is of a tensor that several ranks have measured, and has four columns for each statistic.
"""

import os
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tandv.log.door import AnyLog, Names, Steps, is_table, log_at
from tandv.log.inventory import scalar_metrics
from tandv.log.ranks import RANK, ranks
from tandv.log.selection import select
from tandv.messages import UnknownName, named_arguments, unknown
from tandv.place import Place, place_of

if TYPE_CHECKING:
    from tandv.log.opened import Log

FOLDER = "across_ranks"  # in the folder of a run
COLUMNS = ("smallest", "rank_of_smallest", "largest", "rank_of_largest")

_OF = ("step", "tensor_type", "name", "phase")


def columns_of(scalar_metric: str) -> tuple[str, str, str, str]:
    """Return the columns that a log of extremes has for a statistic.

    >>> columns_of("rm2")
    ('smallest:rm2', 'rank_of_smallest:rm2', 'largest:rm2', 'rank_of_largest:rm2')

    Args:
        scalar_metric: the statistic.
    """
    smallest, rank_of_smallest, largest, rank_of_largest = (f"{column}:{scalar_metric}" for column in COLUMNS)
    return smallest, rank_of_smallest, largest, rank_of_largest


@named_arguments
def rank_extremes(
    df: AnyLog,
    scalar_metric: str = "rm2",
    layer: Names | None = None,
    tt: Names | None = None,
    step: Steps | None = None,
) -> pd.DataFrame:
    """Return the smallest and the largest value of a statistic over the ranks, and the ranks that have them.

    Of a run whose ranks were merged these are kept for the statistics that are looked at most ("mean", "std", "rm2",
    "max_abs", "zeros", "nans", "infs"), of tensors that several ranks have measured: outputs under data parallelism,
    and pieces of sharded tensors, but not copies, of which one rank's counts. Where the rows of each rank are kept, as
    with `track(..., per_rank=True)`, it is any statistic of any tensor. A rank whose value is NaN, so that it has
    nothing finite, is left out where others have a value. Of ranks with the same value the lowest is named.

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
        layer: a layer's name, a compiled pattern, or a list of these; None for all.
        tt: a tensor type, a compiled pattern, or a list of these; None for all.
        step: an integer, a list, or a slice, as in `select`; None for all.

    Raises UnknownName where nothing is known of single ranks, or not of this statistic, or for what is not in the log.
    """
    if there := ranks(df):
        return _of_rows(df, scalar_metric, there, layer, tt, step)
    if (log := _kept(df)) is None:
        raise UnknownName(
            "this log says nothing of single ranks: its rows are of one process, or those of all ranks were merged by "
            "a tandv that did not keep their extremes; record with per_rank=True"
        )
    labels = columns_of(scalar_metric)
    if labels[0] not in (has := scalar_metrics(log)):
        known = [name.removeprefix("smallest:") for name in has if name.startswith("smallest:")]
        what = unknown("statistic", scalar_metric, known, "what is kept of single ranks")
        raise UnknownName(f"{what}; per_rank=True keeps all")
    columns = [("scalar_stats", label) for label in labels]
    rows = select(log, layer, tt, step, phase=_all_phases(log), columns=columns)
    found = _tensors(rows)
    for column, label in zip(COLUMNS, columns, strict=True):
        found[column] = rows[label].to_numpy(np.int64 if column.startswith("rank") else np.float64)
    return found


def has_rank_extremes(df: AnyLog) -> bool:
    """Tell whether a log knows of single ranks, so that `rank_extremes` has something to return.

    >>> from tandv.log.example import example_log
    >>> has_rank_extremes(example_log())
    False

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    return len(ranks(df)) > 1 or _kept(df) is not None


def _of_rows(
    df: AnyLog, scalar_metric: str, there: list[int], layer: Names | None, tt: Names | None, step: Steps | None
) -> pd.DataFrame:
    """Return the extremes where the log has the rows of each rank."""
    label = ("scalar_stats", scalar_metric)
    if scalar_metric not in (has := scalar_metrics(df)):
        raise UnknownName(unknown("statistic", scalar_metric, has, "this log"))
    table = select(df, layer, tt, step, phase=_all_phases(df), rank=there, columns=[label])
    rows = _tensors(table)
    of = list(rows.columns)
    rows["rank"], rows["value"] = table[RANK].to_numpy(), table[label].to_numpy(np.float64, na_value=np.nan)
    found = rows[of].drop_duplicates()
    for which, ascending in (("smallest", True), ("largest", False)):  # NaN comes last either way
        first = rows.sort_values(["value", "rank"], ascending=[ascending, True]).drop_duplicates(of)
        found = found.merge(first.rename(columns={"value": which, "rank": f"rank_of_{which}"}), on=of)
    return found[[*of, *COLUMNS]]


def _tensors(table: pd.DataFrame) -> pd.DataFrame:
    """Return what each row is of."""
    of = [name for name in _OF if ("metadata", name) in table.columns]
    return pd.DataFrame({name: table[("metadata", name)].to_numpy() for name in of})


def _all_phases(df: AnyLog) -> re.Pattern[str] | None:
    has = ("metadata", "phase") in df.columns if is_table(df) else bool(log_at(df).phases())
    return re.compile("") if has else None


def _kept(df: AnyLog) -> "Log | None":
    """Return the log of the extremes of a run, given its own; None if there is none."""
    where = df.attrs.get("run") if is_table(df) else getattr(df, "place", df)
    if not isinstance(where, str | os.PathLike | Place):
        return None
    place = place_of(where)
    for folder in (place, place.around()):
        if folder is not None and (kept := folder.below(FOLDER, "parts")).kind() == "folder" and kept.files():
            return log_at(folder.below(FOLDER))
    return None
