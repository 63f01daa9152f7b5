"""What a measure returns, taken apart into named numbers and arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def flat(found: Any, prefix: str = "") -> dict[str, float | np.ndarray]:
    """Return numbers as floats and arrays as they are, by name: parts of names are joined by "/".

    Of a table, `<column>/<row>`, the row's names joined by "~"; a lone number is called "value".

    >>> flat({"fc": {"mean": 1, "std": 0.5}}, "head")
    {'head/fc/mean': 1.0, 'head/fc/std': 0.5}
    """
    if isinstance(found, pd.DataFrame):
        return {k: v for name, column in found.items() for k, v in flat(column, _joined(prefix, name)).items()}
    if isinstance(found, pd.Series):
        found = {_row(name): value for name, value in found.items()}
    elif hasattr(found, "_asdict"):
        found = found._asdict()
    if isinstance(found, Mapping):
        return {k: v for name, value in found.items() for k, v in flat(value, _joined(prefix, name)).items()}
    if hasattr(found, "detach"):  # a tensor of torch
        found = found.detach().cpu()
        found = found.float() if found.is_floating_point() and found.element_size() < 4 else found
    array = np.asarray(found)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"a measure gave {type(found).__name__} {found!r:.60}".rstrip()
            + "; give numbers, arrays, or dicts, tables and named tuples of these"
        )
    name = prefix or "value"
    return {name: float(array)} if array.ndim == 0 else {name: array}


def kept(batch: Any) -> Any:
    """Return a copy of a batch that stays as it is, whatever its owner writes into his."""
    if hasattr(batch, "detach") and hasattr(batch, "clone"):
        return batch.detach().clone()
    if isinstance(batch, np.ndarray):
        return batch.copy()
    if isinstance(batch, Mapping):
        return {name: kept(value) for name, value in batch.items()}
    return type(batch)(map(kept, batch)) if type(batch) in (tuple, list) else batch


def _joined(prefix: str, name: Any) -> str:
    return f"{prefix}/{_row(name)}" if prefix else _row(name)


def _row(name: Any) -> str:
    return "~".join(map(str, name)) if isinstance(name, tuple) else str(name)
