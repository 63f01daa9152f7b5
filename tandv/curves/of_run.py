"""The curves of a run: what `tracker.step(loss=...)` was given, kept in the folder of the run.

While the run goes on they are lines of JSON in `curves.jsonl`, one for each step; when it closes they become
`curves.parquet`, a column for each name. A killed run keeps the lines, the last of which may be torn.

>>> Path("run").mkdir()
>>> _ = Path("run/curves.jsonl").write_text(line(0, {"loss": 2.0}) + line(1, {"loss": float("nan"), "lr": 0.5}))
>>> run_curves("run")["lr"].to_dict()
{0: nan, 1: 0.5}
"""

import json
import math
import os
import re
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tandv.curves._reading import DamagedCurves, read_file
from tandv.curves.curves import Curves, as_curves, table_of_curves
from tandv.messages import UnknownName, named_arguments, unknown
from tandv.place import Place, place_of

__all__ = [
    "LINES", "RESERVED", "RUN", "TABLE", "DamagedCurves", "beside_each_other", "curves_beside", "given", "is_loss",
    "learning_rate_of", "line", "losses_of", "nan_is_given", "run_curves", "write_table",
]  # fmt: skip

LINES, TABLE = "curves.jsonl", "curves.parquet"
RUN = "run.json"  # in the folder of every run
_LEARNING_RATE = re.compile(r"(?<![a-z0-9])(lr|learning_?rate)(?![a-z0-9])")
RESERVED = ("step", "steps")  # columns of these names are steps, see `as_curves`


def run_curves(run: Any) -> pd.DataFrame | None:
    """Return the curves of a run, a table as `as_curves` returns it; None if the run has none.

    A name that was given no number at a step is NaN there, as is one whose number was NaN; of the latter,
    `attrs["nan"]` names the steps, see `given`. Several rows of one step are averaged.

    >>> from tandv.log.example import example_log
    >>> run_curves(example_log()) is None
    True

    Args:
        run: the folder of a run, finished or not, its finished log, or a log that was read from there (its
            `attrs["run"]` names the folder).
    """
    where = run.attrs.get("run") if isinstance(run, pd.DataFrame) else getattr(run, "place", run)
    if not isinstance(where, str | os.PathLike | Place):
        return None
    folder = place_of(where)
    if (found := _of_folder(folder)) is not None or (around := folder.around()) is None:
        return found
    return _of_folder(around) if RUN in around.names() else None  # of the run's log in one file


def _of_folder(folder: Place) -> pd.DataFrame | None:
    for name in (TABLE, LINES, TABLE):  # again: the run may close meanwhile
        file = folder.below(name)
        if (state := file.state()) is None:
            continue
        try:
            found = read_file(file.absolute(), name == TABLE, state)
        except FileNotFoundError:
            continue
        return found.copy() if len(found.columns) else None
    return None


@named_arguments
def curves_beside(log: Any, train_stats: Any = None) -> pd.DataFrame | None:
    """Return the curves to show beside a log: those that are given, else the losses of its run; None if there are none.

    >>> curves_beside(None, {"loss": [2.0, 1.0]})["loss"].tolist()
    [2.0, 1.0]

    Args:
        log: a log, or the folder of a run.
        train_stats: training curves, as `as_curves` takes them; None for the losses of the log's run, False for none.

    Raises what `as_curves` raises.
    """
    if train_stats is False:
        return None
    if train_stats is not None:
        return as_curves(train_stats)
    found = run_curves(log)
    return None if found is None else losses_of(found)


@named_arguments
def given(curves: Curves, name: str) -> pd.Series:
    """Return one curve at the steps at which it was given a number, be it NaN, as far as that is known.

    >>> Path("sparse").mkdir()
    >>> _ = Path("sparse/curves.jsonl").write_text(line(0, {"loss": 2.0, "val": float("nan")}) + line(1, {"loss": 1.0}))
    >>> given(run_curves("sparse"), "val").index.tolist()
    [0]

    Args:
        curves: a table as `as_curves` or `run_curves` returns it; of the former, nothing is left out.
        name: of the curve.

    Raises UnknownName if there is no curve of this name, and what `as_curves` raises for what is no curves.
    """
    curves = table_of_curves(curves)
    if not (isinstance(name, Hashable) and name in curves.columns):
        raise UnknownName(unknown("curve", name, curves.columns))
    curve = curves[name]
    if "nan" not in curves.attrs:
        return curve
    return curve[curve.notna() | curve.index.isin(curves.attrs["nan"].get(name, []))]


def nan_is_given(curves: pd.DataFrame, name: str) -> bool:
    """Tell whether NaN in the curve that `given` returns is a number that was NaN, rather than none, as far as known.

    >>> nan_is_given(as_curves({"loss": [2.0, float("nan")]}), "loss")
    False

    Args:
        curves: a table as `as_curves` or `run_curves` returns it.
        name: of the curve.
    """
    return "nan" in curves.attrs and name not in curves.attrs.get("nan_or_none", ())


@named_arguments
def beside_each_other(curves: Curves, more: Curves) -> pd.DataFrame:
    """Return one table of two; the second adds the curves that the first lacks, and `given` knows the steps of each.

    >>> both = beside_each_other(as_curves({"loss": [2.0, 1.0]}), as_curves({"step": [1, 2], "val": [3.0, 4.0]}))
    >>> both.index.tolist(), given(both, "val").to_dict()
    ([0, 1, 2], {1: 3.0, 2: 4.0})

    Args:
        curves, more: tables as `as_curves` or `run_curves` returns them.

    Raises what `as_curves` raises for what is no curves.
    """
    curves, more = table_of_curves(curves), table_of_curves(more)
    new = more[[name for name in more.columns if name not in curves.columns]]
    out = curves.join(new, how="outer").rename_axis("step")
    out.attrs["nan"] = {
        name: curve.index[curve.isna()].tolist()
        for table in (curves, new)
        for name in table.columns
        if (curve := given(table, name)).isna().any()
    }
    out.attrs["nan_or_none"] = [
        name for table in (curves, new) for name in table.columns if not nan_is_given(table, name)
    ]
    return out


def losses_of(curves: Curves) -> pd.DataFrame:
    """Return the curves that share an axis with a loss: the losses, else the first of them.

    >>> list(losses_of(as_curves({"lr": [0.1], "train_loss": [2.0], "val_loss": [2.5]})))
    ['train_loss', 'val_loss']

    Args:
        curves: a table as `as_curves` returns it.

    Raises what `as_curves` raises for what is no curves.
    """
    curves = table_of_curves(curves)
    losses = [name for name in curves.columns if is_loss(str(name))]
    return curves[losses or list(curves.columns[:1])]


def is_loss(name: str) -> bool:
    """Tell whether a curve is a loss, by its name.

    >>> is_loss("val_loss"), is_loss("lr")
    (True, False)

    Args:
        name: the name of a curve.
    """
    return "loss" in name.lower() or name in ("train", "val", "test")


def learning_rate_of(names: Iterable[str]) -> str | None:
    """Return the first curve that is a learning rate, by its name; None if there is none.

    >>> learning_rate_of(["loss", "train/learning_rate"]), learning_rate_of(["lr-AdamW"]), learning_rate_of(["flr"])
    ('train/learning_rate', 'lr-AdamW', None)

    Args:
        names: the names of curves, or a table of them.

    Raises TypeError for anything else.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"names are those of curves, such as table.columns, not {type(names).__name__}")
    return next((name for name in names if isinstance(name, str) and _LEARNING_RATE.search(name.lower())), None)


def line(step: int, numbers: Mapping[str, float]) -> str:
    """Return the numbers of one step as a line of JSON, in which NaN and infinity are text.

    >>> line(3, {"loss": float("nan"), "lr": 0.5})
    '{"step": 3, "loss": "NaN", "lr": 0.5}\\n'

    Args:
        step: the step.
        numbers: its numbers by name.
    """
    plain = {name: value if math.isfinite(value) else _WORDS[str(value)] for name, value in numbers.items()}
    return json.dumps({"step": step} | plain) + "\n"


_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def write_table(curves: pd.DataFrame, path: Path) -> None:
    """Write curves to a parquet file: the steps, and a column of float64 for each name, null where there is no number.

    >>> curves = as_curves({"step": [0, 1], "loss": [2.0, float("nan")]})
    >>> write_table(curves, Path("curves.parquet"))
    >>> pd.read_parquet("curves.parquet").columns.tolist()
    ['step', 'loss']

    Args:
        curves: a table as `run_curves` returns it.
        path: the file; it appears only when it is complete.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    steps, given = curves.index.to_numpy(np.int64), curves.attrs.get("nan", {})
    columns: dict[str, Any] = {"step": pa.array(steps)}
    for name in curves.columns:
        values = curves[name].to_numpy(np.float64)
        columns[name] = pa.array(values, mask=np.isnan(values) & ~np.isin(steps, given.get(name, [])))
    aside = path.with_name(f".{path.name}")
    pq.write_table(pa.table(columns), aside, compression="zstd", write_page_checksum=True)
    with aside.open("rb") as written:
        os.fsync(written.fileno())
    aside.replace(path)
