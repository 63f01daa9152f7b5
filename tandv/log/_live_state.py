"""What is known of a log that is written meanwhile, and how its pieces are asked."""

from collections.abc import Callable
from threading import RLock
from typing import TypeVar

import numpy as np

from tandv.log import _arranging as arranging
from tandv.log._background import Background
from tandv.log._lacking import lacking
from tandv.log._levels import LevelFiles
from tandv.log._memory import give_back
from tandv.log._pieces import FilePiece, Piece
from tandv.log._reads import Reads
from tandv.log._source import Source
from tandv.log._unreadable import UnreadableFile
from tandv.log.shown import Cell
from tandv.log.store.layers import Tensor
from tandv.messages import UnknownName, unknown
from tandv.place import AnyPath, Place, place_of

_TRIES = 20  # times that a question is asked again where files are joined meanwhile
_MUCH = 50  # times that files are read, after which memory is given back
Answer = TypeVar("Answer")


class LiveState:
    """The pieces of the log at a place, and what they say: the part of a `LiveLog` that is not a question.

    Args:
        place: where it lies.
        phase: the phase that is shown; None for what is outside of any, if there is such.
        rank: the rank that is shown; None merges all, and of a large log it chooses the first.
    """

    def __init__(self, place: AnyPath | Place, phase: str | None = None, rank: int | None = None):
        self.place = place_of(place)
        self.version = 0
        self._lock = RLock()
        self._reads = Reads()
        self._source = Source(self.place, phase, rank)
        self._background = Background()
        self._built = 0  # the version of which that is made, or being made
        self._take()

    def layers(self, tt: str) -> list[str]:
        """Return the layers of a tensor type in model order.

        Args:
            tt: the tensor type.
        """
        return [name for kind, name in self.tensors if kind == tt]

    def _take(self) -> None:
        """Take the pieces that the source has now."""
        self.version += 1
        source = self._source
        self._pieces = list(source.pieces)
        self._reads.forget_others({piece.identity for piece in self._pieces})
        self.tensors: list[Tensor] = source.tensors  # (tensor type, name) in the order of the model
        self._order: dict[Tensor, int] = {}  # made when it is asked for
        self.metrics: list[str] = list(dict.fromkeys(name for piece in self._pieces for name in piece.metrics))
        self.steps: np.ndarray = arranging.steps_of(self._pieces)  # the logged steps, ascending, [n] int64
        if gaps := source.gaps:  # with the steps of damaged files, as far as they are known
            self.steps = np.union1d(self.steps, lacking(gaps, self.steps))
        ranges = [piece.exponents for piece in self._pieces if piece.exponents is not None]
        self.exponents: tuple[int, int] = (  # the lowest and the highest exponent that a value has
            (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else (0, 0)
        )
        files = [piece.file for piece in self._pieces if isinstance(piece, FilePiece)]
        sizes = [state.size for file in files if (state := file.place.state()) is not None]
        self._levels = self._reads.levels = LevelFiles(self.place.absolute(), repr(source.chosen), sum(sizes) // 10)

    def _check(self, tt: str, layer: str | None = None, metric: str | None = None) -> None:
        types = list(dict.fromkeys(kind for kind, _ in self.tensors))
        problems = [] if tt in types else [unknown("tensor type", tt, types, "this log")]
        if layer is not None and not problems and (tt, layer) not in self._source.numbers:
            problems.append(unknown("layer", layer, self.layers(tt), "this log"))
        if metric is not None and metric not in self.metrics:
            problems.append(unknown("statistic", metric, self.metrics, "this log"))
        if problems:
            raise UnknownName("\n  ".join(problems))

    def _asked(self, action: Callable[[], Answer]) -> Answer:
        """Answer from a run that is written meanwhile: where a file has been joined with others, look again."""
        handles = self._source.handles
        for _ in range(_TRIES):
            try:
                answer = action()
                if handles.used > _MUCH:
                    handles.used = 0
                    give_back()
                return answer
            except FileNotFoundError:
                self._source.look(at_once=True)
                self._take()
        raise UnreadableFile(f"cannot read {self.place}: its files change faster than they are read; try again")

    def _having(self, tt: str) -> list[Piece]:
        return [piece for piece in self._pieces if tt in piece.layouts]

    def _of(self, tt: str, layer: str) -> list[tuple[Piece, int]]:
        """Return the pieces that have a tensor, and its place in their layout."""
        number = self._source.numbers[tt, layer]
        found = [(piece, np.flatnonzero(piece.layouts[tt].tensors == number)) for piece in self._having(tt)]
        return [(piece, int(at[0])) for piece, at in found if len(at)]

    def _range(self, first: int | None, last: int | None) -> tuple[int, int]:
        low = 0 if first is None else int(np.searchsorted(self.steps, first))
        return low, len(self.steps) if last is None else int(np.searchsorted(self.steps, last, side="right"))

    def _rows_of(self, tt: str) -> dict[int, int]:
        """Return the row of each layer of a tensor type, by the number of its tensor."""
        return {self._source.numbers[tt, name]: at for at, name in enumerate(self.layers(tt))}

    def _cell(self, tt: str, layer: str, step: int) -> Cell | None:
        for piece, at in self._of(tt, layer):
            steps = piece.layouts[tt].steps
            column = int(np.searchsorted(steps, step))
            if column == len(steps) or steps[column] != step:
                continue
            every = self._reads.cells(piece, tt, at)
            if every is not None and (found := arranging.cell(every, column)) is not None:
                return found
        return None
