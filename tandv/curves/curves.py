"""Curves: one row per step, a float column per quantity, whatever the source of the numbers.

>>> as_curves(TrainingStats(steps=[0, 10], train_loss=[2.0, 1.5]))["train_loss"].to_dict()
{0: 2.0, 10: 1.5}
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tandv.curves.separated import table_of
from tandv.curves.steps import steps_in
from tandv.messages import named_arguments, some
from tandv.place import Place, place_of


@dataclass
class TrainingStats:
    """Training curves: the training loss at some steps and, if there is any, the validation loss at the same steps.

    >>> TrainingStats(steps=[0, 1], train_loss=[2.0, 1.5], val_loss=[2.1, None])
    TrainingStats(steps=[0, 1], train_loss=[2.0, 1.5], val_loss=[2.1, None])

    Args:
        steps: the training steps, [n].
        train_loss: the training loss at each step, [n].
        val_loss: the validation loss at each step, [n]; `float("nan")` or None where there is none.

    Raises ValueError if lengths differ.
    """

    steps: Sequence[int]
    train_loss: Sequence[float]
    val_loss: Sequence[float | None] | None = None

    def __post_init__(self) -> None:
        losses: dict[str, Any] = {"train_loss": self.train_loss, "val_loss": self.val_loss}
        wrong = [
            f"{name} has {len(values)} values for {len(self.steps)} steps; give one per step"
            for name, values in losses.items()
            if values is not None and len(values) != len(self.steps)
        ]
        if wrong:
            raise ValueError("; ".join(wrong))


TrainingStats.__module__ = "tandv.curves"  # where it is public, and where plain `pickle` looks for it

AnyPath = str | os.PathLike[str]
_ENDINGS = (".csv", ".json")
_ALLOWED = "give the folder of a run, or a .csv or .json file of curves"
Curves = TrainingStats | Mapping[str, Sequence[float]] | pd.DataFrame | pd.Series | AnyPath


def as_curves(data: Curves) -> pd.DataFrame:
    """Return curves as one table: float columns, the index is called "step", of whole numbers if all steps are.

    >>> as_curves({"steps": [5, 6], "accuracy": [0.5, 0.75]})["accuracy"].to_dict()
    {5: 0.5, 6: 0.75}

    Args:
        data: a TrainingStats, a dict of sequences, a DataFrame or a Series. Steps are its column "step" or "steps", or
            the index of a table, or another column that is called like one ("global_step", "_step", "iteration",
            "epoch", "tokens", ...; what they count is in `attrs["unit"]`), or 0, 1, 2, ... Steps may be fractions, as
            of epochs. Or what `read_curves` opens: the folder of a run, or a file.

    Raises TypeError for anything else, ValueError naming every problem, and what `read_curves` raises.
    """
    if isinstance(data, str | os.PathLike):
        return read_curves(data)
    if isinstance(data, TrainingStats):
        losses: dict[str, Any] = {"train_loss": data.train_loss, "val_loss": data.val_loss}
        data = {"step": data.steps, **{name: values for name, values in losses.items() if values is not None}}
    if isinstance(data, pd.Series):
        table = data.to_frame(name="value" if data.name is None else data.name)
    elif isinstance(data, pd.DataFrame):
        if isinstance(data.columns, pd.MultiIndex):
            raise ValueError(
                "these are not curves: the columns have two levels, as those of a log; take its curves out with "
                "tandv.logframe.curves(df, layer=..., tt=..., scalar_metric=...)"
            )
        table = data.copy(deep=False)
    elif isinstance(data, Mapping):
        _check_sequences(data)
        lengths = {name: len(values) for name, values in data.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ValueError(f"curves differ in length: {listed} values; give every curve one value per step")
        table = pd.DataFrame({name: np.asarray(values) for name, values in data.items()})
    else:
        raise TypeError(
            f"curves are a TrainingStats, dict, DataFrame, Series or the folder of a run, not a {type(data).__name__}; "
            'for example {"step": [0, 1], "loss": [2.0, 1.5]}'
        )
    column, steps, unit = steps_in(table)
    curves = table if column is None else table.drop(columns=[column])
    if problems := _problems(curves, steps):
        raise ValueError("these are not curves:\n  " + "\n  ".join(problems))
    if all(map(_is_plain, curves.dtypes)):  # thousands of columns at once
        out = curves.astype(np.float64)
    else:
        out = curves.apply(lambda curve: pd.to_numeric(curve).astype(np.float64))
    out.columns = [str(name) for name in curves.columns]
    numbers = np.asarray(steps)
    whole = numbers.dtype.kind != "f" or bool((numbers == np.floor(numbers)).all())
    out.index = pd.Index(numbers.astype(np.int64) if whole else numbers.astype(np.float64), name="step")
    out.attrs = dict(table.attrs) | ({"unit": unit} if unit != "step" else {})
    return out


def table_of_curves(curves: Curves) -> pd.DataFrame:
    """Return curves as the table that they are already, else as `as_curves` makes it.

    >>> table_of_curves({"loss": [2.0]}).columns.tolist()
    ['loss']

    Args:
        curves: a table as `as_curves` returns it, which is taken as it is, or what it takes.

    Raises what `as_curves` raises.
    """
    return curves if isinstance(curves, pd.DataFrame) and curves.columns.nlevels == 1 else as_curves(curves)


def check_curve(curve: object) -> None:
    """Raise a TypeError unless this is one curve, a pandas Series of values by step.

    >>> check_curve(pd.Series([2.0, 1.5], index=[0, 10], name="loss"))
    """
    if not isinstance(curve, pd.Series):
        raise TypeError(
            "a curve is one pandas Series of values by step, such as pd.Series([2.0, 1.5], index=[0, 10], "
            f'name="loss"), not a {type(curve).__name__}; of several curves give one, as_curves(curves)["loss"]'
        )


def several_runs(data: object) -> bool:
    """Tell whether this is a dict of the curves of several runs, by the run's name, rather than the curves of one.

    >>> several_runs({"seed 0": {"loss": [1.0]}}), several_runs({"loss": [1.0]})
    (True, False)

    Args:
        data: what may be curves.
    """
    one = pd.DataFrame | Mapping | TrainingStats | str | os.PathLike
    return isinstance(data, Mapping) and any(isinstance(value, one) for value in data.values())


def _check_sequences(data: Mapping[str, Any]) -> None:
    if several_runs(data):
        raise TypeError(
            f"these are several runs, {some(list(map(repr, data)))}, and this takes the curves of one; go through "
            "them, as in {name: f(run) for name, run in runs.items()}"
        )
    single = [name for name, value in data.items() if isinstance(value, int | float) or getattr(value, "ndim", 1) == 0]
    if single:
        words = some([f"{name!r} is {data[name]}" for name in single])
        raise TypeError(f"curves have a value for each step, but {words}; give sequences, such as [2.0, 1.5]")


def _is_plain(dtype: Any) -> bool:
    """Tell whether a column is of NumPy's real numbers."""
    return isinstance(dtype, np.dtype) and dtype.kind in "biuf"


def _problems(curves: pd.DataFrame, steps: Any) -> list[str]:
    found = []
    if not len(curves.columns):
        found.append("there is no column besides the step; give at least one, such as a loss")
    for name, dtype in zip(curves.columns, curves.dtypes, strict=True):
        if _is_plain(dtype):
            continue
        try:
            if pd.to_numeric(curves[name]).dtype.kind == "c":
                found.append(f"column {name!r} holds complex numbers; give their real part, or their absolute value")
        except (ValueError, TypeError):
            found.append(f"column {name!r} holds something that is not a number; drop or convert it")
    values = np.asarray(steps)
    if len(values) and not (values.dtype.kind in "iuf" and np.isfinite(values).all()):
        what = "not all finite" if values.dtype.kind == "f" else str(values.dtype)
        found.append(f"steps are {what}, allowed are numbers, whole ones or such as 0.5 of an epoch; convert them")
    elif len(np.unique(values)) < len(values):
        found.append("a step occurs more than once; keep one row per step, or average the rows")
    return found


def read_curves(path: AnyPath) -> pd.DataFrame:
    """Open the curves of a run, from a .csv file with a column of steps, or a .json file as `write_curves` makes it.

    >>> path = write_curves({"loss": [2.0, 1.5]}, "curves.csv")
    >>> read_curves(path)["loss"].tolist()
    [2.0, 1.5]

    Args:
        path: the folder of a run, or a file of it, whose curves are what `tracker.step(loss=...)` was given; or the
            .csv or .json file. Each may be at an address, such as "s3://bucket/run".

    Raises ValueError naming the file if its ending is another one or its content is not curves, FileNotFoundError if
    there is nothing of this name, or no number was kept in the folder, with the runs in it if there are any.
    """
    from tandv.curves.of_run import RUN, run_curves  # which is about a table of this module

    place = place_of(path)
    kind, name = place.kind(), place.path.rpartition("/")[2]
    if not kind:
        raise FileNotFoundError(f"cannot read {place}: there is nothing of this name; {_ALLOWED}")
    if kind == "folder":
        if (found := run_curves(place)) is None:
            raise FileNotFoundError(_without_curves(place))
        return found
    if (name == RUN or not name.lower().endswith(_ENDINGS)) and (found := run_curves(place)) is not None:
        return found  # of the run that this file is one of
    try:
        if _ending(name) == ".csv":
            table = table_of(place.read())
            return as_curves(table.loc[:, ~table.columns.str.fullmatch(r"Unnamed: \d+")])
        return as_curves(json.loads(place.read().decode("utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"cannot read {place}: {error}; {_ALLOWED}") from None


def _without_curves(folder: Place) -> str:
    """Return the sentence that a folder has no curves, which names the runs in it if it is not of one."""
    from tandv.curves.of_run import LINES, RUN, TABLE

    if RUN not in folder.names() and (runs := folder.folders_with((RUN, LINES, TABLE))):
        return (
            f"there are no curves in {folder}: it is no run itself, these are runs: {some(runs, 5)}; give one of them, "
            f"such as {folder.below(runs[0])}"
        )
    return (
        f"there are no curves in {folder}: give the folder of a run whose loop says its numbers, by "
        "tracker.step(loss=loss)"
    )


@named_arguments
def write_curves(curves: Curves, path: AnyPath) -> Path:
    """Write curves to a .csv or .json file without rounding; return the path.

    A missing value is an empty field in csv and null in JSON.

    >>> write_curves({"loss": [2.0, float("nan")]}, "curves.json").read_text()
    '{"step": [0, 1], "loss": [2.0, null]}'

    Args:
        curves: whatever `as_curves` takes.
        path: the .csv or .json file to write.

    Raises ValueError for another ending.
    """
    path, table = Path(path), as_curves(curves)
    if _ending(path.name) == ".csv":
        table.to_csv(path)
    else:
        columns = {name: [_plain(value) for value in table[name].tolist()] for name in table.columns}
        path.write_text(json.dumps({"step": table.index.tolist(), **columns}, allow_nan=False), encoding="utf-8")
    return path


def _ending(name: str) -> str:
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return ending
    raise ValueError(f"{name} is neither .csv nor .json; choose one of these endings")


def _plain(value: float) -> float | str | None:
    return value if np.isfinite(value) else None if np.isnan(value) else str(value)
