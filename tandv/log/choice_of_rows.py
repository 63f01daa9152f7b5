"""Which rows of a table have the wanted names and steps, and the words for where there are none."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandv import names as rule
from tandv.log.choice_of_steps import check_steps_there, steps_meant
from tandv.log.door import Names, Steps
from tandv.log.schema import (
    is_category,
    numbered,
)

LOG = "this log"


def rows_named(column: pd.Series, wanted: Names, noun: str) -> np.ndarray:
    """Return which rows [rows] of a column of names have a wanted one.

    >>> rows_named(pd.Series(["fc", "head", "fc"]), "fc", "layer").tolist()
    [True, False, True]

    Args:
        column: a name for each row.
        wanted: a name, a list of names, or a compiled regular expression.
        noun: what the names are of, for the error.

    Raises:
        UnknownName: if no row has it.
    """
    if isinstance(wanted, str) and not is_category(column):  # plain text: comparing is faster than factorising it
        mask = (column == wanted).to_numpy(dtype=bool)
        if mask.any():
            return mask
    codes, names = numbered(column)
    chosen = np.zeros(len(names) + 1, bool)  # the last one is for -1, a missing name
    fitting = set(rule.chosen(names, wanted, noun, LOG))
    chosen[[i for i, name in enumerate(names) if name in fitting]] = True
    return codes == np.argmax(chosen) if chosen.sum() == 1 else chosen[codes]


def rows_at(column: np.ndarray, wanted: Steps) -> np.ndarray:
    """Return which rows [rows] of a column of steps are at a wanted one.

    >>> rows_at(np.array([0, 10, 20]), slice(5, None)).tolist()
    [False, True, True]

    Args:
        column: a step for each row.
        wanted: a step, several, or a slice of them.

    Raises UnknownName if one of them is at no row, and what `steps_meant` raises.
    """
    meant = steps_meant(wanted)
    mask = meant.among(column, int(column.min()) if len(column) else 0)
    if meant.lacking(column[mask]):
        check_steps_there(meant, column, LOG)
    return mask


def choices_text(asked: Mapping[str, Any]) -> str:
    """Return choices as text, those that were made.

    >>> choices_text({"layer": None, "step": slice(100, 200, None)})
    'step 100:200'

    Args:
        asked: the choice by what it is of; None for none.
    """

    def text(choice: Any) -> str:
        if isinstance(choice, slice):
            ends = [choice.start, choice.stop] + ([] if choice.step is None else [choice.step])
            return ":".join("" if end is None else str(end) for end in ends)
        return repr(getattr(choice, "pattern", choice))

    return ", ".join(f"{of} {text(choice)}" for of, choice in asked.items() if choice is not None)


def steps_there(logged: Sequence[int]) -> str:
    """Return which steps a log has, to end a sentence with.

    >>> steps_there([0, 5, 10])
    'this log has 3 steps, 0 to 10'

    Args:
        logged: the steps, ascending.
    """
    return f"{LOG} has {len(logged):,} steps, {logged[0]} to {logged[-1]}"
