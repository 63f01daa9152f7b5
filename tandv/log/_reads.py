"""What was read of the pieces of a log, kept: blocks of statistics, rows of tensors, levels of exponents."""

from collections.abc import Callable, Hashable, Iterator, Sequence, Set
from typing import Any, TypeGuard, TypeVar

import numpy as np

from tandv.log import _arranging as arranging
from tandv.log._kept import Kept
from tandv.log._layout import Layout
from tandv.log._levels import Level, LevelFiles, level_of
from tandv.log._pieces import LANES, FilePiece, Piece, Rows
from tandv.log._unreadable import UnreadableFile

_ARRAYS, _SUMMARIES = 48 << 20, 8 << 20  # bytes that are kept of what was read
_BLOCK = 200_000  # rows of a file that is not soon joined with others
Made = TypeVar("Made")


class Reads:
    """Reads of pieces, of which the latest are kept; a piece that turns out to be damaged gives None, and is noted."""

    def __init__(self) -> None:
        self.arrays, self.summaries = Kept(_ARRAYS), Kept(_SUMMARIES)
        self.damaged: dict[Hashable, str] = {}  # what could not be read of a piece when it was asked for
        self.levels: LevelFiles | None = None

    def forget_others(self, there: Set[Hashable]) -> None:
        """Let go what was read of pieces that are not there any more; matrices are made of it the next time."""
        for kept in (self.arrays, self.summaries):
            kept.forget(lambda key: key[0] != "matrix" and key[0] not in there)
        self.damaged = {identity: words for identity, words in self.damaged.items() if identity in there}

    def summary(self, piece: Piece, what: str, make: Callable[[], Made]) -> Made | None:
        """Return something small that is made of a piece."""
        return self._of(self.summaries, piece, what, make)

    def matrix(
        self, pieces: Sequence[Piece], tt: str, metric: str, rows: dict[int, int], steps: np.ndarray, version: int
    ) -> arranging.Arranged:
        """Return a statistic of all pieces, of which what is in the last matrix already is taken from there.

        Args:
            pieces: those that have the tensor type.
            tt: the tensor type.
            metric: the statistic.
            rows: the row of each tensor, by its number.
            steps: all steps.
            version: of the log.
        """
        key = ("matrix", tt, metric)
        last: arranging.Arranged | None = self.arrays.find(key)
        if last is None or last.version != version:
            values, flags = arranging.matrix(self._blocks(pieces, tt, metric, last), rows, steps)
            whole = {piece.identity for piece in pieces if piece.identity not in self.damaged}
            last = arranging.Arranged(values, flags, rows, steps, whole, version)
            self.arrays.put(key, last)
        return last

    def rows(self, piece: Piece, tt: str, at: int) -> Rows | None:
        """Return the exponents of the tensor at a place of a layout."""
        return self._of(self.arrays, piece, f"rows {at} {tt}", lambda: piece.rows(tt, at, at + 1, LANES))

    def cells(self, piece: Piece, tt: str, at: int) -> Rows | None:
        """Return everything of the tensor at a place of a layout."""
        return self._of(
            self.arrays, piece, f"cells {at} {tt}", lambda: piece.rows(tt, at, at + 1, piece.metrics, text=True)
        )

    def level(self, piece: Piece, tt: str, at: int) -> Level | None:
        """Return the level of the tensor at a place of a layout, as it is kept from the last time if it is."""

        def made() -> Level:
            kept = self.levels.read(piece, tt, at) if self.levels is not None and is_block(piece) else None
            return level_of(piece, tt, at) if kept is None else kept

        return self.summary(piece, f"level {at} {tt}", made)

    def above(self, piece: Piece, tt: str, limit: float) -> np.ndarray | None:
        """Return where the largest magnitude is above a limit, [its tensors, its steps]; None for nowhere."""

        def made() -> np.ndarray | None:
            if piece.exponents is not None and piece.is_finite(tt) and 2.0 ** (piece.exponents[1] + 1) <= limit:
                return None  # by its footer: nothing need be read
            found = piece.columns(tt, ("max_abs",)).get("max_abs")
            # float64, lest the limit is rounded to float32
            return None if found is None else piece.layouts[tt].arranged(found > np.float64(limit), False)

        return self._of(self.arrays, piece, f"above {tt} {limit}", made)

    def _blocks(
        self, pieces: Sequence[Piece], tt: str, metric: str, last: arranging.Arranged | None
    ) -> Iterator[tuple[Layout, arranging.Block | None]]:
        for piece in pieces:
            layout = piece.layouts[tt]
            if last is not None and piece.identity in last.pieces:
                yield layout, last.block(layout)
            else:
                yield layout, self._block(piece, tt, metric)

    def _block(self, piece: Piece, tt: str, metric: str) -> arranging.Block | None:
        def state() -> np.ndarray:
            return arranging.state(piece, tt)

        try:
            # Where all values are finite the state is made as quickly as it is found again.
            kept = None if piece.is_finite(tt) else self._of(self.arrays, piece, f"state {tt}", state)
            return arranging.block(piece, tt, metric, state() if kept is None else kept)
        except UnreadableFile as error:
            self.damaged[piece.identity] = str(error)
            return None

    def _of(self, kept: Kept, piece: Piece, what: Any, make: Callable[[], Made]) -> Made | None:
        try:
            return kept.get((piece.identity, what), make)
        except UnreadableFile as error:
            self.damaged[piece.identity] = str(error)
            return None


def is_block(piece: Piece) -> TypeGuard[FilePiece]:
    """Tell whether a piece is a large file, which is not soon joined with others."""
    return isinstance(piece, FilePiece) and piece.size >= _BLOCK
