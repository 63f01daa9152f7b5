"""The exponents of a tensor pooled over steps, a byte for each power of two: a whole run at a glance, quickly.

Of files that are finished they are kept for the next time in the user's cache, `$XDG_CACHE_HOME/tandv/logs`: a
file of its own for each, in which every tensor is compressed by itself. What is read there is checked and never
executed; what does not fit is made anew.
"""

import contextlib
import hashlib
import os
import shutil
import struct
import time
import zlib
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from tandv.log._layout import Layout
from tandv.log._pieces import LANES, FilePiece, Piece, Rows
from tandv.log.shown import as_levels

POOL = 8  # logged steps of a tensor that become one
_MAGIC = b"tandv exponents 1"
_HEAD = struct.Struct("<17sI8x16sI")  # magic, tensors, what it was made of, checksum of the sizes
_SHARE = 10  # a log is this many times as large as what is kept of it, at least
_DAYS = 30  # that what is kept of a run is left when nothing is added
_AT_ONCE = 1 << 24  # bytes of one tensor, at most


class Level(NamedTuple):
    """The exponents of a tensor in one piece.

    Args:
        first: [columns] the step at which each column begins.
        last: [columns] its last step.
        shares: [columns, exponents] uint8, of the largest share among the column's steps, as `as_levels` gives it.
        lanes: [3, columns] float32: the largest share of zeros, infinities and NaN.
        lowest: the exponent of the first of `shares`.
    """

    first: np.ndarray
    last: np.ndarray
    shares: np.ndarray
    lanes: np.ndarray
    lowest: int


def level_of(piece: Piece, tt: str, at: int) -> Level:
    """Return the level of the tensor at a place of a layout, read from the piece itself."""
    layout = piece.layouts[tt]
    return next(_levels(piece, layout, at, piece.rows(tt, at, at + 1, LANES)))


def _levels(piece: Piece, layout: Layout, first: int, rows: Rows) -> Iterator[Level]:
    low, high = piece.exponents or (0, -1)
    width = high - low + 1
    row_of = np.repeat(np.arange(len(rows.at)), rows.many)
    counted = {name: np.nan_to_num(rows.columns.get(name, np.zeros(len(rows.at)))) for name in ("nans", "numel")}
    lanes = np.stack([rows.zeros, rows.infs, counted["nans"]]).astype(np.float64)
    total = np.bincount(row_of, rows.counts, len(rows.at)) + lanes.sum(axis=0)
    whole = np.maximum(np.maximum(total, counted["numel"]), 1)
    share = np.zeros((len(rows.at), width))
    share[row_of, rows.exponents.astype(np.intp) - low] = rows.counts / whole[row_of]
    lanes /= whole
    column = rows.at // POOL
    for start, end in zip(rows.starts[:-1].tolist(), rows.starts[1:].tolist(), strict=True):
        begins = np.flatnonzero(np.diff(column[start:end], prepend=-1)) + start
        ends = np.append(begins[1:], end) - 1
        yield Level(
            layout.steps[rows.at[begins]],
            layout.steps[rows.at[ends]],
            as_levels(np.maximum.reduceat(share[:end], begins, axis=0)),
            np.maximum.reduceat(lanes[:, :end], begins, axis=1).astype(np.float32),
            low,
        )


class LevelFiles:
    """What is kept of the files of one run.

    Args:
        run: the address of the run.
        chosen: which of its rows count, as text.
        most: how many bytes may be kept.
    """

    def __init__(self, run: str, chosen: str, most: int):
        self._folder = cache_of(run, chosen)
        self.most = most
        self._ends: dict[Hashable, list[int]] = {}  # where each tensor begins in the file of a piece, and the end

    def read(self, piece: FilePiece, tt: str, at: int) -> Level | None:
        """Return the level of the tensor at a place of a layout; None where it is not kept.

        Args:
            piece: the piece.
            tt: its tensor type.
            at: the place of the tensor in the layout of this type.
        """
        number = sum(len(one.tensors) for kind, one in piece.layouts.items() if kind < tt) + at
        try:
            with open(self._path(piece), "rb") as file:
                if piece.identity not in self._ends:
                    self._ends[piece.identity] = _ends(file, piece)
                ends = self._ends[piece.identity]
                file.seek(ends[number])
                data = file.read(ends[number + 1] - ends[number])
            return _unpacked(data, piece.layouts[tt], at, piece.exponents or (0, -1))
        except (OSError, ValueError, struct.error, zlib.error):
            return None

    def has(self, piece: FilePiece) -> bool:
        """Tell whether there is a file for a piece."""
        return self._path(piece).is_file()

    def write(self, piece: FilePiece, pause: Callable[[], bool]) -> bool:
        """Make and keep the levels of all tensors of a piece; tell whether there was room for them.

        Args:
            piece: the piece.
            pause: is called between two row groups; when it tells True, nothing is kept.

        Raises OSError where the cache cannot be written.
        """
        data = []
        for tt, layout in _in_order(piece):
            for first, last in by_group(layout):
                if pause():
                    return False
                rows = piece.rows(tt, first, last, LANES)
                data += [_packed(level) for level in _levels(piece, layout, first, rows)]
        sizes = np.array([len(one) for one in data], "<u4").tobytes()
        head = _HEAD.pack(_MAGIC, len(data), _made_of(piece), zlib.crc32(sizes))
        if self._bytes() + len(head) + len(sizes) + sum(map(len, data)) > self.most:
            return False
        path = self._path(piece)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            aside.write_bytes(b"".join([head, sizes, *data]))
            os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        return True

    def clear(self, current: list[FilePiece]) -> None:
        """Delete what is kept of files that are not there any more, and of runs that were not looked at for long.

        Args:
            current: the pieces that are there.
        """
        kept = {self._path(piece).name for piece in current}
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if path.name not in kept:
                    path.unlink(missing_ok=True)
            os.utime(self._folder)
        with contextlib.suppress(OSError):
            for path in self._folder.parent.iterdir():
                if time.time() - path.stat().st_mtime > _DAYS * 86400:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _path(self, piece: FilePiece) -> Path:
        return self._folder / hashlib.sha256(repr(piece.identity).encode()).hexdigest()[:24]

    def _bytes(self) -> int:
        try:
            return sum(path.stat().st_size for path in self._folder.iterdir())
        except OSError:
            return 0


def _ends(file: BinaryIO, piece: Piece) -> list[int]:
    """Return where each tensor begins in what is kept of a piece, and where the last one ends.

    Raises ValueError where it is of something else or damaged.
    """
    magic, tensors, made_of, check = _HEAD.unpack(file.read(_HEAD.size))
    sizes = file.read(4 * _tensors(piece))
    if (magic, tensors, made_of) != (_MAGIC, _tensors(piece), _made_of(piece)) or zlib.crc32(sizes) != check:
        raise ValueError("of another piece")
    return np.cumsum([_HEAD.size + len(sizes), *np.frombuffer(sizes, "<u4").tolist()]).tolist()


def _in_order(piece: Piece) -> list[tuple[str, Layout]]:
    return sorted(piece.layouts.items())


def _tensors(piece: Piece) -> int:
    return sum(len(layout.tensors) for layout in piece.layouts.values())


def _made_of(piece: Piece) -> bytes:
    """Return a digest of the shape of a piece: which rows, steps and exponents its levels have."""
    words = [repr((piece.identity, piece.exponents, POOL))]
    words += [f"{tt} {len(one.tensors)} {one.starts.tolist()[-1]}" for tt, one in _in_order(piece)]
    return hashlib.sha256("\n".join(words).encode()).digest()[:16]


def by_group(layout: Layout) -> Iterator[tuple[int, int]]:
    """Yield tensors, from the first to before the last, whose rows lie in one row group, or one that lies in more."""
    places = layout.places(0, int(layout.starts[-1]))
    firsts, lasts = places[layout.starts[:-1]], places[layout.starts[1:] - 1]
    at = 0
    while at < len(firsts):
        end = layout.ends[np.searchsorted(layout.ends, firsts[at], "right")]  # of the group
        to = max(int(np.searchsorted(lasts, end)), at + 1)
        yield at, to
        at = to


def _packed(level: Level) -> bytes:
    return zlib.compress(level.shares.tobytes() + level.lanes.astype("<f4").tobytes(), 1)


def _unpacked(data: bytes, layout: Layout, at: int, exponents: tuple[int, int]) -> Level:
    """Return a level from its bytes; its columns follow from the layout.

    Raises ValueError where they do not fit.
    """
    steps = layout.columns_of(at, at + 1)
    begins = np.flatnonzero(np.diff(steps // POOL, prepend=-1))
    ends = np.append(begins[1:], len(steps)) - 1
    low, width = exponents[0], exponents[1] - exponents[0] + 1
    size = len(begins) * (width + 12)
    if size > _AT_ONCE:
        raise ValueError("too large")
    opened = zlib.decompressobj()
    found = opened.decompress(data, size + 1)
    if len(found) != size or not opened.eof:
        raise ValueError("of another size")
    shares = np.frombuffer(found, np.uint8, len(begins) * width).reshape(len(begins), width)
    lanes = np.frombuffer(found, "<f4", 3 * len(begins), len(begins) * width).reshape(3, len(begins))
    if not ((lanes >= 0) & (lanes <= 1)).all():
        raise ValueError("no shares")
    return Level(layout.steps[steps[begins]], layout.steps[steps[ends]], shares, lanes, low)


def cache_of(run: str, chosen: str) -> Path:
    """Return where something is kept of a run: a path that nothing else has.

    Args:
        run: the address of the run.
        chosen: which of its rows count, as text.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "tandv" / "logs" / hashlib.sha256(f"{run}\n{chosen}".encode()).hexdigest()[:24]
