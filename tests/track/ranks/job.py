"""Ranks of a job in threads of one process, for the tests of the tree."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from tandv.measure import measure
from tandv.track.ranks.addresses import Meeting
from tandv.track.ranks.known import News, hash_of
from tandv.track.ranks.part import ANY, NO_GROUP, StepPart, part_of
from tandv.track.ranks.shape import place
from tandv.track.ranks.tree import Tree

OUTPUT = hash_of("output")
SOON = 120.0  # seconds; nothing takes so long


class Store:
    """What a job's store does, within one process."""

    def __init__(self):
        self._values, self._lock = {}, threading.Lock()

    def compare_set(self, key, expected, value):
        with self._lock:
            return self._values.setdefault(key, value.encode())

    def set(self, key, value):
        self._values[key] = value.encode()

    def get(self, key):
        return self._values[key]

    def check(self, keys):
        return all(key in self._values for key in keys)


class Job:
    """Trees of some ranks, and what rank 0 has got."""

    def __init__(self, size: int, **arguments):
        self.size, self.store, self.trees = size, Store(), dict[int, Tree]()
        self.steps: list[StepPart] = []
        self.words: list[tuple[int, dict]] = []
        self._arguments = arguments

    def join(self, ranks: Sequence[int], plan: str = "every=1") -> None:
        for rank in ranks:
            heard = lambda word, rank=rank: self.words.append((rank, word))  # noqa: E731
            tree = Tree(
                place(rank, self.size), Meeting(self.store), "127.0.0.1", self.steps.append, heard, **self._arguments
            )
            self.trees[rank] = tree
            tree.enter(plan)

    def entered(self, ranks: Sequence[int]) -> bool:
        tree = self.trees[0]
        return tree.wait(lambda: set(ranks) <= {r for r in range(self.size) if sum(tree.plans.values()) >> r & 1}, SOON)

    def give(self, step: int, ranks: Sequence[int]) -> None:
        """Each of these ranks has measured an output of two values, of its number and one more."""
        for rank in ranks:
            rows = measure([np.array([rank, rank + 1], np.float32)])
            self.trees[rank].give(
                part_of(step, rank, [(OUTPUT, NO_GROUP, ANY)], rows), News({OUTPUT: ("out", rank)}, {})
            )

    def got(self, n: int) -> bool:
        """Wait until rank 0 has so many steps."""
        return until(lambda: len(self.steps) >= n)

    def kill(self, rank: int) -> None:
        """End a rank's connections without a word, as a process that dies does."""
        self.trees[rank]._do(lambda: 1 / 0)
        assert self.trees[rank].join(SOON)

    def sends_to(self, rank: int, other: int) -> bool:
        """Tell whether another rank is the one above a rank now."""
        above = self.trees[rank]._ascent.link
        return above is not None and above.rank == other

    def who(self) -> dict[int, list[int]]:
        """Return the ranks in each step that rank 0 has got."""
        return {part.step: [rank for rank in range(self.size) if part.who >> rank & 1] for part in self.steps}


def until(ready) -> bool:
    """Wait until something is so."""
    for _ in range(int(SOON / 0.005)):
        if ready():
            return True
        threading.Event().wait(0.005)
    return False


@contextmanager
def job(size: int, ranks: Sequence[int] | None = None, **arguments) -> Iterator[Job]:
    """Let ranks enter, all by default; end them afterwards."""
    made = Job(size, **{"at_end": 0.1, **arguments})
    try:
        made.join(range(size) if ranks is None else ranks)
        if ranks is None:
            assert made.entered(range(size))
        yield made
    finally:
        for tree in made.trees.values():
            tree.end()
        assert all(tree.join(SOON) for tree in made.trees.values())
