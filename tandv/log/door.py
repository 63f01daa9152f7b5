"""The door of every function that takes a log: it is a table, or the place of one of which only a part is read."""

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import pandas as pd

from tandv.log.choice_of_steps import Steps
from tandv.messages import named_arguments, some

if TYPE_CHECKING:
    from tandv.log.opened import Log

Names = str | re.Pattern[str] | Sequence[str | re.Pattern[str]]
Ranks = int | Sequence[int]
Label = Any  # of a column: (part, name)
COUNTS = ("exponent_counts", 0)  # any of these stands for all counts of exponents


class Indexed(Protocol):
    """A log that has been opened where it lies: `tandv.log.opened.Log`, which this file must not import at once."""

    def frame(
        self,
        layer: Names | None = None,
        tt: Names | None = None,
        step: Steps | None = None,
        columns: Sequence[Label] | None = None,
    ) -> pd.DataFrame: ...


AnyLog = pd.DataFrame | Indexed | str | os.PathLike[str]


@named_arguments
def loaded(
    df: AnyLog,
    layer: Names | None = None,
    tt: Names | None = None,
    step: Steps | None = None,
    columns: Sequence[Label] | None = None,
    rank: Ranks | None = None,
) -> pd.DataFrame:
    """Return a log as a table: itself if it is one, else the rows and columns that are needed of what lies at a place.

    Every function that takes a log calls this first and goes on with a table. Rows of all phases are read, so that
    `select` chooses among them, and of all ranks that are not left unread by `rank`.

    >>> from tandv.log.example import example_log
    >>> from tandv.log.files import write_parquet
    >>> write_parquet(example_log(), "log.parquet")
    >>> loaded("log.parquet", layer="head", columns=[("scalar_stats", "rm2")]).shape
    (250, 6)

    Args:
        df: the log, or its place: a run's folder or a file, also at an address such as "s3://bucket/run".
        layer: a layer's name, a compiled pattern, or a list of these; None for all.
        tt: a tensor type, a compiled pattern, or a list of these; None for all.
        step: an integer, a list, or a slice; None for all.
        columns: the labels of the columns that are needed besides the metadata, such as ("scalar_stats", "rm2"), and
            ("exponent_counts", 0) for all counts of exponents; None for all.
        rank: a rank, or several: the folders of others are not read, of a run in which each rank has its own. Rows of
            others may still come, so that `select` chooses; None for all.

    Raises UnknownName for what is not in the log, TypeError for what is no log, and what `tandv.read` raises.
    """
    if not is_table(df):
        return log_at(df, rank).frame(layer, tt, step, columns)
    from tandv.log.sound import sound  # not before it is needed: it brings the schema

    return sound(df)


def is_table(df: Any) -> TypeGuard[pd.DataFrame]:
    """Tell whether a log is a table, rather than the place of one.

    >>> is_table("run")
    False

    Args:
        df: the log, or the place of one.

    Raises SchemaError for a table that is no log: its columns have one level.
    """
    if not isinstance(df, pd.DataFrame):
        return False
    if df.columns.nlevels != 2:
        from tandv.log.schema import SchemaError

        raise SchemaError(
            f"not a tandv log: the columns of this table are of one level ({some(list(map(str, df.columns)))}), not of "
            'two such as ("metadata", "name"); give what tandv.read returns, or draw curves, one number a step, by '
            "viz.metric_curves"
        )
    return True


def is_log(value: Any) -> bool:
    """Tell whether something may be a log: a table, or what a place is named by; nothing is looked at.

    >>> is_log("run"), is_log(3)
    (True, False)

    Args:
        value: anything.
    """
    if isinstance(value, pd.DataFrame | str | os.PathLike):
        return True
    from tandv.log.opened import Log

    return isinstance(value, Log)


def log_at(df: Any, rank: Ranks | None = None) -> "Log":
    """Return the log at a place, opened, of which an index is kept.

    >>> from tandv.log.example import example_log
    >>> from tandv.log.files import write_parquet
    >>> write_parquet(example_log(), "log.parquet")
    >>> log_at("log.parquet").rows
    1250

    Args:
        df: the place of a log, or the log when it has been opened.
        rank: a rank, or several, whose folders alone are opened, of a run in which each rank has its own; None for all.
    """
    from tandv.log.opened import opened  # not before it is needed: it brings all readers of files

    return opened(df, rank)
