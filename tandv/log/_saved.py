"""Where the rows of finished files lie, kept in the user's cache, so that a large log is opened at once the next time.

Only of files whose rows are in one phase, of one rank, and of which each tensor type has every tensor at every step:
these take a few words each. A file is known by its name and by what the system says of it (its number, size and time).
"""

import json
import os
import secrets
import zlib
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tandv.log._index import File, Group
from tandv.log._layout import Layout
from tandv.log._levels import cache_of
from tandv.log._pieces import FilePiece
from tandv.log._rows import Numbering
from tandv.log.store.columns import RANK
from tandv.log.store.layers import Tensor
from tandv.place import Place

_VERSION = 1
_MOST = 64 << 20  # bytes
_STEPS = 10_000_000  # of a file, at most
_WRONG = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError)
Key = tuple[str, Hashable]  # of a file: its name, and what tells it from another of that name


class Saved(NamedTuple):
    """A file as it was indexed before.

    Args:
        file: the file with its index, without its footer.
        layouts: for each tensor type the tensors, the steps, the first row group and how many, and the first row.
    """

    file: File
    layouts: dict[str, tuple[list[Tensor], np.ndarray, int, int, int]]

    def numbered(self, numbers: Numbering) -> dict[str, Layout]:
        """Return the layouts with the numbers of their tensors."""
        out = {}
        for tt, (tensors, steps, first, many, at) in self.layouts.items():
            groups = self.file.groups[first : first + many]
            ids = np.array([numbers[one] for one in tensors], np.int32)
            ends, size = np.cumsum([0, *(group.rows for group in groups)]), len(ids) * len(steps)
            starts = np.arange(len(ids) + 1) * len(steps)
            out[tt] = Layout(tuple(one.number for one in groups), ends, ids, steps, slice(at, at + size), starts, None)
        return out


def load(run: Place) -> dict[Key, Saved]:
    """Return what is kept of the files of a run, by their keys; nothing where that is damaged.

    Args:
        run: the folder of the run.
    """
    path = _path(run)
    try:
        if path.stat().st_size > _MOST:
            return {}
        check, _, text = path.read_bytes().partition(b"\n")
        if int(check, 16) != zlib.crc32(text):
            return {}
        found = json.loads(text)
        if found["version"] != _VERSION:
            return {}
        tensors = [(str(kind), str(name)) for kind, name in found["tensors"]]
        orders = [[tensors[at] for at in one] for one in found["orders"]]
        steps = [_steps(*one) for one in found["steps"]]
        out = dict(_restored(run, one, tensors, orders, steps) for one in found["files"])
        os.utime(path)  # it is used: see what deletes what is not
    except _WRONG:
        return {}
    return out


def save(run: Place, pieces: Sequence[FilePiece], numbers: Mapping[Tensor, int]) -> None:
    """Keep where the rows of some files lie, as far as that takes few words.

    Args:
        run: the folder of the run.
        pieces: its finished files.
        numbers: the numbers of tensors.

    Raises OSError where the cache cannot be written.
    """
    tensors, orders, steps = Numbering(), Numbering(), Numbering()
    named = {number: tensor for tensor, number in numbers.items()}
    files = [_kept(piece, named, tensors, orders, steps) for piece in pieces if _is_even(piece)]
    made = {
        "version": _VERSION,
        "tensors": list(tensors),
        "orders": [list(one) for one in orders],
        "steps": [list(one) for one in steps],
        "files": files,
    }
    text = json.dumps(made, separators=(",", ":")).encode()
    path = _path(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        aside.write_bytes(b"%08x\n" % zlib.crc32(text) + text)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    for piece in pieces:
        piece.is_saved = True


def _is_even(piece: FilePiece) -> bool:
    file = piece.file
    return (
        file.identity is not None
        and RANK not in file.columns
        and all(group.phases == ("", "") for group in file.groups)
        and all(one.cells is None and isinstance(one.rows, slice) for one in piece.layouts.values())
    )


def _kept(
    piece: FilePiece, named: Mapping[int, Tensor], tensors: Numbering, orders: Numbering, steps: Numbering
) -> dict[str, Any]:
    file, layouts = piece.file, {}
    place = {group.number: at for at, group in enumerate(file.groups)}
    for tt, layout in piece.layouts.items():
        assert isinstance(layout.rows, slice), "`_is_even` tells"
        order = tuple(tensors[named[number]] for number in layout.tensors.tolist())
        each = layout.steps.tolist()
        stride = each[1] - each[0] if len(each) > 1 else 1
        whole = np.array_equal(layout.steps, np.arange(each[0], each[-1] + 1, stride))
        at_steps = ("range", each[0], each[-1] + 1, stride) if whole else ("list", *each)
        first = place[layout.groups[0]]
        layouts[tt] = [orders[order], steps[at_steps], first, len(layout.groups), layout.rows.start]
    groups = [
        [one.number, one.rows, tensors[one.first], tensors[one.last], one.low, one.high, one.finite]
        for one in file.groups
    ]
    about = {"columns": list(file.columns), "exponents": file.exponents, "run": file.run}
    return {"key": piece.identity, **about, "groups": groups, "layouts": layouts}


def _restored(
    run: Place, kept: dict[str, Any], tensors: list[Tensor], orders: list[list[Tensor]], steps: list[np.ndarray]
) -> tuple[Key, Saved]:
    """Return a file and its key. Raises ValueError where its parts do not fit together."""
    name, identity = kept["key"]
    groups = [
        Group(int(number), int(rows), tensors[first], tensors[last], int(low), int(high), ("", ""), bool(finite))
        for number, rows, first, last, low, high, finite in kept["groups"]
    ]
    layouts = {}
    for tt, (order, at_steps, first, many, at) in kept["layouts"].items():
        size = sum(group.rows for group in groups[first : first + many])
        if not 0 <= at <= at + len(orders[order]) * len(steps[at_steps]) <= size or not len(steps[at_steps]):
            raise ValueError("rows that are not there")
        layouts[tt] = (orders[order], steps[at_steps], first, many, at)
    exponents = None if kept["exponents"] is None else (int(kept["exponents"][0]), int(kept["exponents"][1]))
    columns = dict.fromkeys(map(str, kept["columns"]), pa.null())  # their types are not needed
    file = File(run.below(*str(name).split("/")), None, columns, exponents, kept["run"], groups, tuple(identity))
    return (str(name), tuple(identity)), Saved(file, layouts)


def _steps(kind: str, *numbers: int) -> np.ndarray:
    if kind == "list":
        return np.array(numbers, np.int64)
    first, end, stride = numbers
    if not (stride > 0 and 0 < end - first <= _STEPS * stride):
        raise ValueError("no steps")
    return np.arange(first, end, stride, dtype=np.int64)


def _path(run: Place) -> Path:
    return cache_of(run.absolute(), "").with_suffix(".json")
