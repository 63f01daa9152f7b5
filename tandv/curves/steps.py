"""Which column of a table says the step of each row, and what it counts: steps, iterations, epochs or tokens.

>>> steps_in(pd.DataFrame({"epoch": [0, 1], "train_acc": [0.1, 0.9]})).unit
'epoch'
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tandv.messages import not_made_by, some

# What a column of steps may be called, the finest first, and what it then counts. Names are compared in lower case,
# without what is before a "/" and without "_" at the start: "_step" (W&B), "trainer/global_step" (Lightning).
_UNITS = {
    "step": "step", "steps": "step", "global_step": "step", "train_step": "step", "training_step": "step",
    "iteration": "iteration", "iterations": "iteration", "iter": "iteration", "iters": "iteration",
    "global_iteration": "iteration", "update": "update", "updates": "update", "num_updates": "update",
    "batch": "batch", "batches": "batch", "batch_idx": "batch",
    "epoch": "epoch", "epochs": "epoch",
    "tokens": "token", "num_tokens": "token", "tokens_seen": "token", "n_tokens": "token",
    "samples": "sample", "num_samples": "sample", "samples_seen": "sample", "examples": "sample",
    "examples_seen": "sample",
}  # fmt: skip
_FEWEST = 5  # rows of which a count is told from a curve that happens to rise


class Steps(NamedTuple):
    """The steps of a table.

    >>> steps_in(pd.DataFrame({"loss": [2.0, 1.0]}))
    Steps(column=None, values=RangeIndex(start=0, stop=2, step=1), unit='step')

    Args:
        column: the column that holds them; None if they are the index.
        values: the steps, [rows].
        unit: what they count, in the singular, such as "epoch".
    """

    column: Any
    values: Any
    unit: str


def steps_in(table: pd.DataFrame) -> Steps:
    """Return the steps of a table: a column "step" or "steps", else its index, else a column that is called alike.

    A column of another name ("global_step", "_step", "iteration", "epoch", "tokens", ...) is taken where the rows are
    only numbered and it has another whole or decimal number in each row. Where rows are counted although a column looks
    like a count of steps, a warning says so.

    >>> steps_in(pd.DataFrame({"loss": [2.0, 1.0], "Epoch": [0.5, 1.0]}))[::2]
    ('Epoch', 'epoch')

    Args:
        table: a column for each curve, perhaps with one of steps.
    """
    for name in ("step", "steps"):
        if name in table.columns:
            return Steps(name, table[name], "step")
    if not _only_numbers_rows(table.index) or len(table.columns) < 2:
        return Steps(None, table.index, _UNITS.get(_plain(table.index.name), "step"))
    order = list(_UNITS)
    named = sorted(
        (name for name in table.columns if _plain(name) in _UNITS), key=lambda name: order.index(_plain(name))
    )
    for name in named:
        if _tells_rows_apart(table[name]):
            return Steps(name, table[name], _UNITS[_plain(name)])
    if len(table) > 1 and (alike := named or [name for name in table.columns if _counts(table[name])]):
        why = "does not tell the rows apart" if named else "may be meant"
        listed = some([str(name) for name in alike])
        warnings.warn(
            f"the rows are counted as steps, since no column is called 'step'; {listed} {why}: name the column of the "
            "steps 'step'",
            UserWarning,
            stacklevel=4,
        )
    return Steps(None, table.index, "step")


def unit_of(*curves: pd.DataFrame) -> str:
    """Return what the steps of curves count, in the singular: "step", "epoch", ..., of several "step / epoch".

    >>> from tandv.curves import as_curves
    >>> unit_of(as_curves({"epoch": [0, 1], "loss": [2.0, 1.0]})), unit_of(as_curves({"loss": [2.0, 1.0]}))
    ('epoch', 'step')

    Args:
        curves: tables as `as_curves` or `run_curves` returns them.

    Raises TypeError for anything else.
    """
    if wrong := [one for one in curves if not isinstance(one, pd.DataFrame)]:
        raise TypeError(not_made_by("tandv.curves.as_curves(data)", "each of the curves", wrong[0]))
    return " / ".join(dict.fromkeys(str(one.attrs.get("unit", "step")) for one in curves)) or "step"


def _plain(name: Any) -> str:
    return str(name).rpartition("/")[2].lower().replace(" ", "_").replace("-", "_").lstrip("_")


def _only_numbers_rows(index: pd.Index) -> bool:
    return isinstance(index, pd.RangeIndex) and index.name is None and index.start == 0 and index.step == 1


def _tells_rows_apart(column: pd.Series) -> bool:
    values = column.to_numpy()
    return values.dtype.kind in "iuf" and bool(np.isfinite(values).all()) and len(np.unique(values)) == len(values)


def _counts(column: pd.Series) -> bool:
    """Tell whether a column rises by whole numbers from row to row, as a count does and hardly any curve."""
    values = column.to_numpy()
    if values.dtype.kind not in "iu" or len(values) < _FEWEST:
        return False
    return bool((np.diff(values) > 0).all())
