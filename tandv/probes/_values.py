"""Flatten what a measure returns into named numbers and arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tandv.arrays import as_array


def flat(value: Any, prefix: str = "") -> dict[str, float | np.ndarray]:
    """Return numbers as floats and arrays unchanged, by name; the parts of a name are joined by "/".

    Values of a table are named "column/row", the levels of a row joined by "~"; a single number is called "value".

    >>> flat({"fc": {"mean": 1, "std": 0.5}}, "head")
    {'head/fc/mean': 1.0, 'head/fc/std': 0.5}
    """
    if isinstance(value, pd.DataFrame):
        return {k: v for name, column in value.items() for k, v in flat(column, _joined(prefix, name)).items()}
    if isinstance(value, pd.Series):
        value = {_row(name): one for name, one in value.items()}
    elif hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {k: v for name, one in value.items() for k, v in flat(one, _joined(prefix, name)).items()}
    array = as_array(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"a measure gave {type(value).__name__} {value!r:.60}".rstrip()
            + "; give numbers, arrays, or dicts, tables and named tuples of these"
        )
    name = prefix or "value"
    return {name: float(array)} if array.ndim == 0 else {name: array}


def copied(batch: Any) -> Any:
    """Return a copy of a batch that does not change when its owner writes into the original."""
    if hasattr(batch, "detach") and hasattr(batch, "clone"):
        return batch.detach().clone()
    if isinstance(batch, np.ndarray):
        return batch.copy()
    if isinstance(batch, Mapping):
        return {name: copied(value) for name, value in batch.items()}
    return type(batch)(map(copied, batch)) if type(batch) in (tuple, list) else batch


def _joined(prefix: str, name: Any) -> str:
    return f"{prefix}/{_row(name)}" if prefix else _row(name)


def _row(name: Any) -> str:
    return "~".join(map(str, name)) if isinstance(name, tuple) else str(name)
