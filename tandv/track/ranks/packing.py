"""A part as bytes: of each row its scalars, and its counts from the first to the last that is not zero."""

import json
import struct

import numpy as np

from tandv import statistics
from tandv.track.ranks.part import StepPart

_SCALARS = statistics.WORD["counts"]  # words of a row before its counts
_HEAD = struct.Struct("<I")
_LABELS = (np.uint64, np.uint16, np.int32, np.int32)  # ids, places of groups in the list of them, whose, pieces
_SPANS = (np.int16, np.int16)  # the first exponent of a row, and how many there are


def packed(part: StepPart) -> bytes:
    """Return a part as bytes, about 190 of a row.

    Args:
        part: the part.
    """
    groups, which = np.unique(part.groups, return_inverse=True)
    matrix = part.rows.view(np.int64).reshape(len(part.rows), part.rows.dtype.itemsize // 8)
    first, length, counts = _spans(part.rows)
    wide = bool(len(counts)) and int(counts.max()) >= 1 << 32
    head = {
        "step": part.step,
        "who": f"{part.who:x}",
        "rows": len(part.rows),
        "counts": len(counts),
        "wide": wide,
        "groups": groups.tolist(),
    }
    text = json.dumps(head).encode()
    columns = (
        *(values.astype(kind) for values, kind in zip((part.ids, which, *part[4:6]), _LABELS, strict=True)),
        *(values.astype(kind) for values, kind in zip((first, length), _SPANS, strict=True)),
        matrix[:, :_SCALARS],
        counts.astype(np.uint64 if wide else np.uint32),
    )
    return b"".join([_HEAD.pack(len(text)), text, *(values.tobytes() for values in columns)])


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
    return StepPart(head["step"], int(head["who"], 16), ids, groups, whose, pieces, rows)


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
