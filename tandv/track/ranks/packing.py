"""A part as bytes: of each row its scalars, and its counts from the first to the last that is not zero.

Extremes over ranks are sent of rows that several ranks have measured; of others it is enough to know which rank has.
"""

import json
import struct

import numpy as np

from tandv import statistics
from tandv.track.ranks.extremes import STATISTICS, Extremes, of_one
from tandv.track.ranks.part import StepPart

_SCALARS = statistics.WORD["counts"]  # words of a row before its counts
_HEAD = struct.Struct("<I")
_LABELS = (np.uint64, np.uint16, np.int32, np.int32)  # ids, places of groups in the list of them, whose, pieces
_RANK = np.uint32
_SPANS = (np.int16, np.int16)  # the first exponent of a row, and how many there are


def packed(part: StepPart) -> bytes:
    """Return a part as bytes, about 190 of a row; with the extremes of several ranks up to 120 more.

    Args:
        part: the part.
    """
    groups, which = np.unique(part.groups, return_inverse=True)
    matrix = part.rows.view(np.int64).reshape(len(part.rows), part.rows.dtype.itemsize // 8)
    first, length, counts = _spans(part.rows)
    wide = bool(len(counts)) and int(counts.max()) >= 1 << 32
    found, kind = _extremes(part)
    head = {
        "step": part.step,
        "who": f"{part.who:x}",
        "rows": len(part.rows),
        "counts": len(counts),
        "wide": wide,
        "groups": groups.tolist(),
        "extremes": kind,
    }
    text = json.dumps(head).encode()
    columns = (
        *(values.astype(kind) for values, kind in zip((part.ids, which, *part[4:6]), _LABELS, strict=True)),
        *(values.astype(kind) for values, kind in zip((first, length), _SPANS, strict=True)),
        matrix[:, :_SCALARS],
        counts.astype(np.uint64 if wide else np.uint32),
    )
    return b"".join([_HEAD.pack(len(text)), text, *(values.tobytes() for values in (*columns, *found))])


def label_of(message: bytes) -> tuple[int, int]:
    """Return the step and the ranks, as bits, of a packed part.

    Args:
        message: what `packed` returned.
    """
    head = _head(message)[0]
    return head["step"], int(head["who"], 16)


def unpacked(message: bytes) -> StepPart:
    """Return the part that was packed.

    Args:
        message: what `packed` returned.

    Raises ValueError where the message is none.
    """
    head, at = _head(message)
    n = head["rows"]
    kinds = [*((kind, n) for kind in (*_LABELS, *_SPANS)), (np.int64, n * _SCALARS)]
    columns = []
    for kind, size in [*kinds, (np.uint64 if head["wide"] else np.uint32, head["counts"])]:
        columns.append(np.frombuffer(message, kind, size, at))
        at += columns[-1].nbytes
    ids, which, whose, pieces, first, length, scalars, counts = columns
    groups = np.array(head["groups"], np.uint64)[which]
    rows = _rows(scalars.reshape(n, _SCALARS), first.astype(np.int64), length.astype(np.int64), counts)
    over_ranks = _with_extremes(head["extremes"], message, at, rows, pieces > 1) if head["extremes"] else None
    return StepPart(head["step"], int(head["who"], 16), ids, groups, whose, pieces, rows, over_ranks)


def _extremes(part: StepPart) -> tuple[tuple[np.ndarray, ...], str]:
    """Return the rank of each row, and the extremes of rows of several; and the type of these values, "" for none."""
    if part.extremes is None:
        return (), ""
    several = part.extremes.of(part.pieces > 1)
    with np.errstate(over="ignore"):
        narrow = np.array_equal(several.values.astype(np.float32), several.values, equal_nan=True)
    kind = "<f4" if narrow else "<f8"
    return (part.extremes.ranks[:, 0, 0].astype(_RANK), several.values.astype(kind), several.ranks.astype(_RANK)), kind


def _with_extremes(kind: str, message: bytes, at: int, rows: np.ndarray, several: np.ndarray) -> Extremes:
    ranks = np.frombuffer(message, _RANK, len(rows), at)
    at += ranks.nbytes
    out, shape = of_one(rows, ranks), (int(several.sum()), len(STATISTICS), 2)
    values = np.frombuffer(message, kind, int(np.prod(shape)), at)
    out.values[several] = values.reshape(shape)
    out.ranks[several] = np.frombuffer(message, _RANK, values.size, at + values.nbytes).reshape(shape)
    return out


def _head(message: bytes) -> tuple[dict, int]:
    (size,) = _HEAD.unpack_from(message)
    stop = _HEAD.size + size
    return json.loads(message[_HEAD.size : stop]), stop


def _spans(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the exponent of each row's first count, how many follow up to its last, and all of these counts."""
    there, width = rows["counts"] != 0, rows["counts"].shape[1]
    first, stop = there.argmax(axis=1), width - there[:, ::-1].argmax(axis=1)
    length = np.where(there.any(axis=1), stop - first, 0)
    across, down = _places(first, length)
    return first + statistics.lowest_exponent(rows), length, rows["counts"][down, across]


def _places(first: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the column and the row of each of `length` counts from column `first` on."""
    down = np.repeat(np.arange(len(length)), length)
    begins = np.cumsum(length) - length
    return np.arange(len(down)) - begins[down] + first[down], down


def _rows(scalars: np.ndarray, first: np.ndarray, length: np.ndarray, counts: np.ndarray) -> np.ndarray:
    used = length > 0
    fits = (first[used] >= statistics.LOWEST).all() and ((first + length)[used] <= statistics.HIGHEST + 1).all()
    rows = np.zeros(len(scalars), statistics.ROW if fits else statistics.WIDE_ROW)
    rows.view(np.int64).reshape(len(rows), rows.dtype.itemsize // 8)[:, :_SCALARS] = scalars
    across, down = _places(first - statistics.lowest_exponent(rows), length)
    rows["counts"][down, across] = counts
    return rows
