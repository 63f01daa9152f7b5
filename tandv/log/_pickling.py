"""Logs as compressed pickles that any pandas reads, without tandv."""

import io
import pickle
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tandv.log import logframe


def dumps(df: pd.DataFrame) -> bytes:
    """Return `df` as a compressed pickle that any pandas reads, without tandv.

    >>> import pickle
    >>> pickle.loads(dumps(logframe.example_log())).shape
    (1250, 60)
    """
    text = {label: logframe.in_order(df[label]) for label in df.columns if not _is_number(df[label])}
    df = df.copy(deep=False)
    for label, column in text.items():
        df[label] = column
    # pandas 3 pickles its own text type, which pandas 2 cannot read; plain objects are read by both.
    df.columns = logframe.column_labels(*(df.columns.get_level_values(level).tolist() for level in (0, 1)))
    df.attrs.pop("run", None)  # where it was read from is not where it will be
    file = io.BytesIO()
    _Writer(file, protocol=5).dump(df.reset_index(drop=True))
    return file.getvalue()


class _Writer(pickle.Pickler):
    """Writes each large array as nested calls of zlib and numpy, which any unpickler runs to get it back."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is pd.Categorical:  # how it pickles itself differs between versions of pandas; this call does not
            names = np.array([*obj.categories, None], dtype=object)  # code -1 takes the last: missing
            return pd.Categorical, (_Call(np.take, names, obj.codes), names[:-1])
        if type(obj) is not np.ndarray or obj.dtype.kind not in "iuf" or obj.nbytes < 2048:
            return NotImplemented
        order = "F" if obj.flags.f_contiguous else "C"
        flat = np.ascontiguousarray(obj.T if order == "F" else obj).reshape(-1, 1).view(np.uint8)
        # All first bytes, then all second bytes, and so on (a stride undoes it): that compresses much better.
        packed = zlib.compress(flat.T.tobytes(), 4)
        raw = _Call(bytearray, _Call(zlib.decompress, packed))
        planes = _Call(np.ndarray, flat.shape, np.dtype("u1"), raw, 0, (1, len(flat)))
        return np.ndarray, (obj.shape, obj.dtype, _Call(np.ascontiguousarray, planes), 0, None, order)


class _Call:
    """A placeholder that pickles as the call `function(*arguments)`."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple:
        return self.function, self.arguments


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype)
