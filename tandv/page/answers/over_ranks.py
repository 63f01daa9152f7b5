"""Which ranks have the smallest and the largest value of a statistic in a cell, where a log knows of single ranks."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tandv.log.across_ranks import COLUMNS, has_rank_extremes, rank_extremes
from tandv.log.schema import SchemaError
from tandv.messages import UnknownName
from tandv.page.answers.sources import LogSource

MOST_RANKS = 64  # whose own rows are read for one cell

_NOT_FINITE = ("nans", "infs")


def over_ranks(
    log: LogSource, tt: str, layer: str, step: int, metric: str, statistics: Mapping[str, float]
) -> dict[str, Any] | None:
    """Return the smallest and the largest value of a cell over the ranks and whose they are; None where nothing tells.

    Where some values are NaN or infinite, the ranks that have most of these are named too. Nothing is looked up where
    that takes long: in a log at an address, or of the own rows of very many ranks.

    Args:
        log: the log.
        tt: the tensor type.
        layer: the layer.
        step: the step.
        metric: the statistic.
        statistics: those of the cell.
    """
    whole = log.everything()
    if len(log.ranks) > MOST_RANKS or not getattr(getattr(whole, "place", None), "is_local", True):
        return None
    if not has_rank_extremes(whole):
        return None

    def found(metric: str) -> pd.Series | None:
        try:
            rows = rank_extremes(whole, metric, layer=layer, tt=tt, step=step)
        except (UnknownName, SchemaError, OSError, ValueError):  # not kept of it, or its files are being joined
            return None
        rows = rows[rows["phase"] == (log.phase or "")] if "phase" in rows.columns else rows
        return None if rows.empty else rows.iloc[0]

    if (row := found(metric)) is None:
        return None
    values = {name: None if pd.isna(row[name]) else float(row[name]) for name in COLUMNS[::2]}
    ranks = {name: int(row[name]) for name in COLUMNS[1::2]}
    bad = {name: found(name) for name in _NOT_FINITE if statistics.get(name)}
    most = {name: int(one["rank_of_largest"]) for name, one in bad.items() if one is not None}
    return {**values, **ranks, "most": most}
