"""What a rank does with the parts of those below it: merge those of a step, and let it go on."""

from collections.abc import Callable, Iterator

from tandv.track.ranks.known import Known, News, read, written
from tandv.track.ranks.packing import label_of, packed, unpacked
from tandv.track.ranks.part import StepPart, joined, told_apart, without_copies
from tandv.track.ranks.shape import TreePlace
from tandv.track.ranks.waiting import Sealed, Waiting

Message = tuple[bytes, bytes]  # its kind and its body
NEWS, PART = b"N", b"P"
_OPEN = 2  # steps that wait whose own rows are kept as they are


class Merging:
    """The parts that a rank has of each step.

    Args:
        place: of the rank in the tree.
        finished: called on rank 0 with each step's part when it is as complete as it gets.
        patience: seconds that a step waits for a rank.
        at_most: bytes that are held of steps that wait.
    """

    def __init__(self, place: TreePlace, finished: Callable[[StepPart], None], patience: float, at_most: int):
        self.known, self.waiting = Known(), Waiting(1 << place.rank, patience, at_most)
        self.gone: dict[int, int] = {}  # the latest step of ranks that have left or died
        self.late = 0  # parts that came after their step had gone on
        self._place, self._finished = place, finished
        self._split: set[tuple[int, int]] = set()

    @property
    def all_news(self) -> Message:
        """Return all that is known of what the ranks below measure."""
        return NEWS, written(self.known.all)

    def learn(self, news: News) -> Iterator[Message]:
        """Take news, and return what the rank above does not know yet.

        Args:
            news: what a rank has told.
        """
        if new := self.known.learn(news):
            yield NEWS, written(new)

    def hear(self, kind: bytes, body: bytes, now: float) -> Iterator[Message]:
        """Take a message with news or a part, and return what goes on at once.

        Args:
            kind: of the message.
            body: of the message.
            now: the time in seconds.
        """
        if kind == NEWS:
            yield from self.learn(read(body))
            return
        step, who = label_of(body)
        if any(who >> rank & 1 and step > latest for rank, latest in self.gone.items()):
            self.late += 1  # of a rank that the others have given up: another may have its pieces since
        elif self.waiting.has_some_of(step, who):
            return  # sent once more, as a rank on the way has died; what that one had sent on is here
        elif not self.waiting.add(Sealed(step, who, len(body), lambda: unpacked(body)), now):
            self.late += 1
            yield PART, body  # it may still be in time higher up

    def add(self, part: StepPart, now: float) -> Iterator[Message]:
        """Take the part that this rank itself has measured, and return what goes on at once.

        Args:
            part: the part.
            now: the time in seconds.
        """
        sealed = Sealed(part.step, part.who, part.rows.nbytes, lambda: part)
        if len(self.waiting) > _OPEN:  # others are behind: packed it takes a tenth
            message = packed(part)
            sealed = Sealed(part.step, part.who, len(message), lambda: unpacked(message))
        if not self.waiting.add(sealed, now):
            self.late += 1
            yield PART, packed(part)

    def due(self, now: float, all_of_them: bool = False) -> Iterator[Message]:
        """Merge the steps that go on now.

        Args:
            now: the time in seconds.
            all_of_them: whether no step may wait any longer.
        """
        for parts in self.waiting.due(now, self.gone, all_of_them):
            part = joined([one.open() for one in parts])
            part = told_apart(part, self.known.all.meshes, self._place.below, self._split)
            part = without_copies(part, self.known.all.meshes)
            if self._place.rank:
                yield PART, packed(part)
            else:
                self._finished(part)

    def leave(self, gone: dict[int, int]) -> dict[int, int]:
        """Note ranks that have left or died, and their latest steps; return which were not known to have.

        Args:
            gone: the latest step of each of these ranks.
        """
        new = {rank: step for rank, step in gone.items() if rank not in self.gone}
        self.gone |= new
        return new
