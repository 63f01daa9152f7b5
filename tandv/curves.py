"""Curves: one row per step, a float column per quantity, wherever the numbers come from.

>>> as_curves(TrainingStats(steps=[0, 10], train_loss=[2.0, 1.5]))["train_loss"].to_dict()
{0: 2.0, 10: 1.5}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass
class TrainingStats:
    """Training curves: the loss at some steps, and the validation loss at the same ones if there is any.

    A step without a validation loss has `float("nan")` or None. Raises ValueError if lengths differ.

    >>> TrainingStats(steps=[0, 1], train_loss=[2.0, 1.5], val_loss=[2.1, None])
    TrainingStats(steps=[0, 1], train_loss=[2.0, 1.5], val_loss=[2.1, None])
    """

    steps: Sequence[int]
    train_loss: Sequence[float]
    val_loss: Sequence[float | None] | None = None

    def __post_init__(self) -> None:
        losses = {"train_loss": self.train_loss, "val_loss": self.val_loss}
        wrong = [
            f"{name} has {len(values)} values for {len(self.steps)} steps; give one per step"
            for name, values in losses.items()
            if values is not None and len(values) != len(self.steps)
        ]
        if wrong:
            raise ValueError("; ".join(wrong))


Curves = TrainingStats | Mapping[str, Sequence[float]] | pd.DataFrame | pd.Series


def as_curves(data: Curves) -> pd.DataFrame:
    """Return curves as one table: float columns, the integer index is called "step".

    A mapping or table may have a "step" (or "steps") column; otherwise a table's index, or 0, 1, 2, ...
    counts the steps. Raises TypeError for anything else, ValueError naming every problem.

    >>> as_curves({"steps": [5, 6], "accuracy": [0.5, 0.75]})["accuracy"].to_dict()
    {5: 0.5, 6: 0.75}
    """
    if isinstance(data, TrainingStats):
        losses = {"train_loss": data.train_loss, "val_loss": data.val_loss}
        data = {"step": data.steps, **{name: values for name, values in losses.items() if values is not None}}
    if isinstance(data, pd.Series):
        table = data.to_frame(name="value" if data.name is None else data.name)
    elif isinstance(data, pd.DataFrame):
        table = data.copy(deep=False)
    elif isinstance(data, Mapping):
        lengths = {name: len(values) for name, values in data.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ValueError(f"curves differ in length: {listed} values; give every curve one value per step")
        table = pd.DataFrame({name: np.asarray(values) for name, values in data.items()})
    else:
        raise TypeError(
            f"curves are a TrainingStats, dict, DataFrame or Series, not a {type(data).__name__}; "
            'for example {"step": [0, 1], "loss": [2.0, 1.5]}'
        )
    found = [name for name in ("step", "steps") if name in table.columns]
    steps = table[found[0]] if found else table.index
    curves = table.drop(columns=found[:1])
    if problems := _problems(curves, steps):
        raise ValueError("these are not curves:\n  " + "\n  ".join(problems))
    out = curves.apply(lambda curve: pd.to_numeric(curve).astype(np.float64))
    out.columns = [str(name) for name in curves.columns]
    out.index = pd.Index(np.asarray(steps).astype(np.int64), name="step")
    return out


def _problems(curves: pd.DataFrame, steps: Any) -> list[str]:
    found = []
    if not len(curves.columns):
        found.append("there is no column besides the step; give at least one, such as a loss")
    for name in curves.columns:
        try:
            pd.to_numeric(curves[name])
        except (ValueError, TypeError):
            found.append(f"column {name!r} holds something that is not a number; drop or convert it")
    values = np.asarray(steps)
    whole = values.dtype.kind in "iu" or (values.dtype.kind == "f" and bool((values == np.floor(values)).all()))
    if not whole and len(values):
        found.append(f"steps are {values.dtype}, allowed are whole numbers; convert them to int")
    elif len(np.unique(values)) < len(values):
        found.append("a step occurs more than once; keep one row per step, or average the rows")
    return found
