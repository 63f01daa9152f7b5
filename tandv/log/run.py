"""`read_run`: the log of a run's folder as one frame, or the part of it that is asked for."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tandv.log import logframe
from tandv.log._opening import AnyPath
from tandv.log._whole import DamagedPart, no_rows, parts
from tandv.log.door import Label, Names, Steps
from tandv.log.opened import Log
from tandv.messages import UnknownName, listed, unknown
from tandv.place import place_of

__all__ = ["DamagedPart", "parts", "read_run"]


def read_run(
    folder: AnyPath,
    layers: Names | None = None,
    tensor_types: Names | None = None,
    steps: Steps | None = None,
    columns: Sequence[str | Label] | None = None,
) -> pd.DataFrame:
    """Open the log of a run that is finished, was killed, or is still running, or a part of it.

    Only what is asked for is read. A damaged file is named in one DamagedPart warning and the others are returned.

    >>> from tandv.log.files import write_pickle
    >>> from pathlib import Path
    >>> Path("run").mkdir()
    >>> write_pickle(logframe.example_log(), "run/log.pkl")
    >>> read_run("run").shape
    (1250, 60)
    >>> read_run("run", layers="head", tensor_types="Weight", columns=["std", "rm2"])["scalar_stats"].shape
    (50, 2)

    Args:
        folder: the folder of the run, which a tracker made (`tracker.path`), also at an address such as
            "s3://bucket/run".
        layers: a layer's name, a compiled pattern (searched in the names), or a list of these; None for all.
        tensor_types: a tensor type, a compiled pattern, or a list of these; None for all.
        steps: an integer, a list, or a slice, which ends before its stop like `range`; None for all.
        columns: the statistics to read, such as "rm2", and "exponent_counts" for the counts of exponents; the metadata
            always comes. None for all.

    Raises FileNotFoundError if there is no such folder, UnreadableFile if nothing in it can be read, SchemaError if
    it has no rows yet, UnknownName for what is asked for and not in the log.
    """
    place = place_of(folder)
    if (kind := place.kind()) != "folder":
        what = "is a file; open it with read_pickle, read_parquet or read_csv" if kind else _missing(folder)
        raise FileNotFoundError(f"cannot open the run {folder}: the folder {what}")
    if not place.names():
        raise logframe.SchemaError(no_rows(place))
    log = Log(place)
    return log.frame(layers, tensor_types, steps, None if columns is None else labels_of(log, columns))


def _missing(folder: AnyPath) -> str:
    """Return that a folder is missing, and which runs there are beside it."""
    around = Path(folder).parent
    runs = sorted(file.parent.name for file in around.glob("*/run.json")) if "://" not in str(folder) else []
    return f"is missing; {around} has the runs {listed(runs)}" if runs else "is missing; give the folder tracker.path"


def labels_of(log: Log, columns: Sequence[str | Label]) -> list[Label]:
    """Return the labels of columns that were asked for by name.

    Args:
        log: the log.
        columns: names of statistics, "exponent_counts", or labels.

    Raises UnknownName for all that the log does not have.
    """
    has, out, problems = log.scalar_metrics(), [], []
    for column in [columns] if isinstance(columns, str) else columns:
        top, name = column if isinstance(column, tuple) else ("scalar_stats", column)
        if "exponent_counts" in (top, name):
            out.append(("exponent_counts", name))
        elif top == "scalar_stats" and name in has:
            out.append((top, name))
        elif top != "metadata":
            problems.append(unknown("statistic", name, [*has, "exponent_counts"], logframe.LOG))
    if problems:
        raise UnknownName("\n  ".join(problems))
    return out
