"""Read the files of a run's curves: lines of JSON, of which some may be torn or damaged, or a table."""

import functools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tandv.messages import warn
from tandv.place import Info, Place, place_of


class DamagedCurves(UserWarning):
    """Some numbers of a run could not be read; the others were returned."""


@functools.lru_cache(maxsize=8)
def read_file(file: str, is_table: bool, state: Info) -> pd.DataFrame:
    """Read the curves in a file; its state tells whether it is the one that was read before."""
    return (_from_table if is_table else _from_lines)(place_of(file))


def _from_table(file: Place) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = file.read()
    try:
        table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
        steps = table.column("step").to_numpy()
        columns = {name: table.column(name) for name in table.column_names if name != "step"}
        values = {name: column.cast(pa.float64()).to_numpy() for name, column in columns.items()}
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        words = f"the curves of a run cannot be read: {file}: {error}; copy it again from where it was written"
        warn(words, DamagedCurves, 4)
        return pd.DataFrame()
    nulls = {name: column.is_null().to_numpy() for name, column in columns.items()}
    return _as_table(steps, values, {name: np.isnan(values[name]) & ~nulls[name] for name in values})


def _from_lines(file: Place) -> pd.DataFrame:
    whole = file.read().rpartition(b"\n")[0].split(b"\n")  # what follows the last line end is torn
    steps: list[int] = []
    places: dict[str, list[int]] = {}
    values: dict[str, list[float]] = {}
    for row in _decoded(whole, file):
        for name, value in row.items():
            if name == "step":
                steps.append(int(value))
            else:
                places.setdefault(name, []).append(len(steps) - 1)
                values.setdefault(name, []).append(float(value))
    unique, position = np.unique(np.array(steps, np.int64), return_inverse=True)
    means, given_nan = {}, {}
    for name, numbers in values.items():
        at = position[places[name]]
        total = np.full(len(unique), -0.0)  # to which adding changes no number, nor the sign of a zero
        with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, which is their mean
            np.add.at(total, at, numbers)
        count = np.bincount(at, minlength=len(unique))
        means[name] = np.where(count, total / np.maximum(count, 1), np.nan)
        given_nan[name] = (count > 0) & np.isnan(means[name])
    return _as_table(unique, means, given_nan)


def _decoded(lines: list[bytes], file: Place) -> list[dict[str, Any]]:
    """Return the objects in lines of JSON; lines that were damaged are counted in a warning and left out."""
    lines = [one for one in lines if one.strip()]
    try:
        return json.loads(b"[" + b",".join(lines) + b"]")
    except ValueError:
        found = [_decoded_line(one) for one in lines]
    good = [one for one in found if one is not None]
    warn(f"{len(found) - len(good)} of {len(found)} lines of {file} are damaged and were left out", DamagedCurves, 5)
    return good


def _decoded_line(text: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(text)
        float(sum(map(float, row.values())))
        return row if next(iter(row)) == "step" else None
    except (ValueError, TypeError, AttributeError, StopIteration):
        return None


def _as_table(steps: np.ndarray, values: Mapping[str, np.ndarray], given_nan: Mapping[str, np.ndarray]) -> pd.DataFrame:
    out = pd.DataFrame(dict(values), index=pd.Index(steps, name="step"))
    out.attrs["nan"] = {name: steps[where].tolist() for name, where in given_nan.items() if where.any()}
    return out
