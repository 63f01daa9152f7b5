"""Pickled logs become new tables, built out of checked arrays from the records of a pickle.

So no code of the file's choosing runs, and pickles of one version of pandas open under another.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tandv.curves import TrainingStats
from tandv.log import logframe
from tandv.log._records import PickledObject, expect, kind_of, records
from tandv.log._unreadable import WHAT_TO_DO, UnreadableFile


def loads(data: bytes) -> pd.DataFrame | TrainingStats:
    """Return the table or training curves that a pickle describes; raise UnreadableFile for anything else.

    Text comes back as categories, rows are numbered anew.
    """
    if data[:2] == b"\x1f\x8b":
        data = _inflate(data, 200 * len(data) + _ALWAYS, zlib.MAX_WBITS | 16)
    try:
        return _Builder(200 * len(data) + _ALWAYS).content(records(data))
    except UnreadableFile:
        raise
    except RecursionError:
        raise UnreadableFile("it is nested too deeply for a log") from None
    except Exception as error:
        raise UnreadableFile(
            f"it is damaged or no pickle of a log ({type(error).__name__}: {error}); if it was, {WHAT_TO_DO}"
        ) from None


_ALWAYS = 64 << 20  # bytes that may always be unpacked; beyond, at most 200 times the size of the file


def _inflate(data: bytes | bytearray, limit: int, wbits: int = zlib.MAX_WBITS) -> bytes:
    unpacker = zlib.decompressobj(wbits)
    unpacked = unpacker.decompress(data, limit + 1)
    if len(unpacked) > limit:
        raise UnreadableFile(f"it unpacks to more than {limit >> 20} MiB, far more than a log of its size does")
    if not unpacker.eof:
        raise UnreadableFile("its compressed data end too early; the file was cut off")
    return unpacked


class _Builder:
    """Builds arrays and tables from records; `budget` is how many bytes may still be unpacked."""

    def __init__(self, budget: int) -> None:
        self.budget = budget

    def content(self, d: Any) -> pd.DataFrame | TrainingStats:
        kind = getattr(d, "kind", type(d).__name__)
        if not isinstance(d, PickledObject) or kind not in ("frame", "training_stats"):
            raise UnreadableFile(f"it holds a {kind}, not a pandas DataFrame; save logs with write_pickle")
        return self.frame(d) if kind == "frame" else self.training_stats(d)

    def frame(self, d: PickledObject) -> pd.DataFrame:
        blocks, (columns, index) = expect(d.state["_mgr"], "manager").arguments
        labels, rows = self.labels(columns), self.rows(index)
        at: list[int] = []
        tables = []
        for block in blocks:
            values, positions = expect(block, "block").arguments[:2]
            at += self.positions(positions)
            tables += [pd.DataFrame(column) for column in self.columns(values)]
        if sorted(at) != list(range(len(labels))) or any(len(t) != rows for t in tables):
            raise UnreadableFile("its columns do not add up to a table; the file is damaged")
        df = pd.concat(tables, axis=1) if tables else pd.DataFrame(index=range(rows))
        if at != sorted(at):
            df = df.iloc[:, np.argsort(at)]
        df.columns = labels
        return df

    def columns(self, values: Any) -> list[Any]:
        """Return the columns of a pandas block: one matrix of numbers [rows, columns], or text columns."""
        if kind_of(values) == "text":
            return [{0: logframe.categories(self.text(values))}]
        if kind_of(values) == "backed":
            return [{0: self.backed(values)}]
        if kind_of(values) == "categorical":
            names, codes = expect(values.arguments[0], "take").arguments
            return [{0: self.category(self.array(names).tolist()[:-1], codes)}]
        array = self.array(values)
        if array.ndim != 2:
            raise UnreadableFile("a block of its columns is not a matrix; the file is damaged")
        return [{0: logframe.categories(a)} for a in array] if array.dtype.hasobject else [array.T]

    def backed(self, d: PickledObject) -> pd.Categorical:
        if kind_of(d.arguments[0]) == "text":
            return logframe.categories(self.text(d))
        (category,) = (part for part in d.state if kind_of(part) == "category")
        (codes,) = (part for part in d.state if kind_of(part) in _ARRAYS)
        return self.category(self.values(category.state["categories"]), codes)

    def category(self, names: list, codes: Any) -> pd.Categorical:
        # from_codes raises for repeated names and for codes out of range.
        return pd.Categorical.from_codes(self.array(codes).ravel(), categories=pd.Index(names, dtype=object))

    def text(self, d: PickledObject) -> list:
        """Return the strings of a text array of pandas 2 or 3, NaN where there is none."""
        if isinstance(d.state, dict):
            return [math.nan if v is None else v for v in self.arrow(d.state["_pa_array"])]
        (array,) = (part for part in d.state if kind_of(part) in _ARRAYS)
        return self.array(array).ravel().tolist()

    def arrow(self, d: PickledObject) -> list:
        if kind_of(d) == "chunks":
            return [value for chunk in d.arguments[0] for value in self.arrow(chunk)]
        alias, length, _, offset, buffers, children, _ = expect(d, "arrow").arguments[0]
        kind = {"string": pa.string(), "large_string": pa.large_string()}[expect(alias, "arrow_type").arguments[0]]
        if children:
            raise UnreadableFile("a text column of it is nested; the file is damaged")
        parts = [None if b is None else pa.py_buffer(self.bytes(b)) for b in buffers]
        array = pa.Array.from_buffers(kind, length, parts, -1, offset)
        array.validate(full=True)  # every offset lies within the buffers
        return array.to_pylist()

    def labels(self, d: PickledObject) -> pd.Index:
        """Return column labels, each what it was: text, an integer, an infinity."""
        arguments = expect(d, "new_index").arguments
        if kind_of(arguments[0]) != "labels":
            return pd.Index(self.values(d), dtype=object)
        state = arguments[1]
        levels = [self.values(level) for level in state["levels"]]
        codes = [self.array(c).tolist() for c in state["codes"]]
        named = [[level[c] if c >= 0 else math.nan for c in at] for level, at in zip(levels, codes, strict=True)]
        return pd.MultiIndex.from_arrays([pd.Index(level, dtype=object) for level in named])

    def values(self, d: PickledObject) -> list:
        kind, state = expect(d, "new_index").arguments[:2]
        if kind_of(kind) == "range":
            return list(range(self.rows(d)))
        data = state["data"]
        return self.text(data) if kind_of(data) in ("text", "backed") else self.array(data).tolist()

    def rows(self, d: PickledObject) -> int:
        kind, state = expect(d, "new_index").arguments[:2]
        if kind_of(kind) == "range":
            return len(range(state["start"], state["stop"], state["step"]))
        if kind_of(kind) == "labels":
            return len(self.array(state["codes"][0]))
        return len(self.values(d))

    def positions(self, d: Any) -> list[int]:
        if kind_of(d) != "slice":
            return self.array(d).tolist()
        start, stop, step = d.arguments
        if max(abs(start), abs(stop)) > 1 << 20:
            raise UnreadableFile("it has a column beyond the millionth; the file is damaged")
        return list(range(start, stop, step or 1))

    def array(self, d: PickledObject) -> np.ndarray:
        return _ARRAYS[kind_of(d)](self, d)

    def reconstructed(self, d: PickledObject) -> np.ndarray:
        _, shape, described, fortran, raw = d.state
        dtype = self.dtype(described)
        if not dtype.hasobject:
            return self.numbers(raw, dtype, shape, "F" if fortran else "C")
        out = np.empty(len(raw), dtype=object)
        for i, value in enumerate(raw):
            out[i] = self.plain(value)
        return out.reshape(shape, order="F" if fortran else "C")

    def frombuffer(self, d: PickledObject) -> np.ndarray:
        raw, dtype, shape, order = d.arguments
        return self.numbers(raw, self.dtype(dtype), shape, order)

    def packed(self, d: PickledObject) -> np.ndarray:
        shape, dtype, buffer, _, strides, *order = d.arguments
        if strides is not None:
            return self.numbers(
                buffer, np.dtype("u1"), shape[::-1], "C"
            ).T  # stored transposed: all first bytes, all second bytes, ...
        if kind_of(buffer) == "contiguous":
            buffer = np.ascontiguousarray(self.array(buffer.arguments[0])).tobytes()
        return self.numbers(buffer, self.dtype(dtype), shape, order[0])

    def numbers(self, raw: Any, dtype: np.dtype, shape: Sequence[int], order: Any) -> np.ndarray:
        if dtype.hasobject:  # reading bytes as object references would crash the process
            raise UnreadableFile("it holds raw bytes as Python objects; the file is hostile")
        array = np.frombuffer(self.bytes(raw), dtype).reshape(shape, order=order)
        return array.astype(dtype.newbyteorder("="), copy=not array.flags.writeable)

    def dtype(self, d: PickledObject) -> np.dtype:
        dtype = np.dtype(expect(d, "dtype").arguments[0])
        if dtype.kind not in "biufO" or dtype.names or dtype.subdtype:
            raise UnreadableFile(f"it holds an array of {dtype}, which no log has; allowed are numbers and text")
        big = d.state is not None and d.state[1] == ">"
        return dtype.newbyteorder(">") if big else dtype

    def bytes(self, d: Any) -> bytes | bytearray:
        if isinstance(d, bytes | bytearray):
            return d
        if kind_of(d) == "inflate":
            unpacked = _inflate(self.bytes(d.arguments[0]), self.budget)
            self.budget -= len(unpacked)
            return unpacked
        if kind_of(d) == "latin1":
            return d.arguments[0].encode("latin1")
        return bytearray(self.bytes(expect(d, "bytes").arguments[0]))

    def plain(self, value: Any) -> Any:
        if value is None or isinstance(value, str | int | float):
            return value
        if isinstance(value, type) and kind_of(value) == "missing":
            return math.nan
        dtype, raw = expect(value, "scalar").arguments
        return self.numbers(raw, self.dtype(dtype), (), "C").item()

    def training_stats(self, d: PickledObject) -> TrainingStats:
        given = dict(zip(("steps", "train_loss", "val_loss"), d.arguments, strict=False)) | d.named
        state = {**given, **(d.state or {})}
        read = {name: self.numbers_of(state.get(name)) for name in ("steps", "train_loss", "val_loss")}
        return TrainingStats(read["steps"] or [], read["train_loss"] or [], read["val_loss"])

    def numbers_of(self, d: Any) -> list | None:
        if isinstance(d, list | tuple):
            return [self.plain(value) for value in d]
        return None if d is None else self.array(d).tolist()


_ARRAYS: dict[str, Callable[[_Builder, PickledObject], np.ndarray]] = {
    "array": _Builder.reconstructed,
    "frombuffer": _Builder.frombuffer,
    "ndarray": _Builder.packed,
}
