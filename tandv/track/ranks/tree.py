"""The tree of ranks at work: a thread for each rank, which no other thread waits for but where a run begins and ends.

A rank that dies or leaves is missing in the steps that follow; those below it connect to the next rank above, and send
it once more what they sent last, of which that which the dead rank has sent on is there already and counts once.
"""

import json
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from tandv.track.ranks._exchange import Exchange
from tandv.track.ranks.addresses import Meeting
from tandv.track.ranks.known import News
from tandv.track.ranks.part import StepPart
from tandv.track.ranks.shape import TreePlace

PATIENCE = 60.0  # seconds that a step waits for a rank
AT_MOST = 64 << 20  # bytes
AT_END = 5.0  # seconds

_FOR_LAST = 30.0  # seconds that the last steps wait for a rank, where rank 0 has ended


class Traffic(NamedTuple):
    """What a rank has sent and received, and what was lost on the way."""

    sent: int  # bytes
    received: int  # bytes
    seconds: float  # CPU time of the thread
    late: int  # parts that came after their step had gone on
    dropped: int  # parts that no rank could take


class Tree(Exchange):
    """One rank of the tree, and its thread.

    Args:
        place: where it is in the tree.
        meeting: how the ranks find each other.
        host: the address at which it listens.
        finished: called on rank 0, in the thread, with each step's part when it is as complete as it gets.
        heard: called in the thread with each message of rank 0.
        patience: seconds that a step waits for a rank.
        at_most: bytes that are held of steps that wait, and as many that may wait to be sent.
        at_end: seconds that a rank which ends waits for those below it, and until what it has is sent.
    """

    def __init__(
        self,
        place: TreePlace,
        meeting: Meeting,
        host: str,
        finished: Callable[[StepPart], None],
        heard: Callable[[dict[str, Any]], None],
        patience: float = PATIENCE,
        at_most: int = AT_MOST,
        at_end: float = AT_END,
    ):
        super().__init__(place, meeting, host, finished, heard, patience, at_most, at_end)
        self.error: Exception | None = None
        self._tasks = deque[Callable[[], None]]()
        self._seconds = 0.0
        self._thread = threading.Thread(target=self._run, name="tandv-ranks", daemon=True)
        self._thread.start()
        _live.add(self)

    def enter(self, plan: str) -> None:
        """Say that this rank has entered, and what it is about to do."""
        self._do(lambda: self._add_plans({plan: 1 << self.place.rank}))

    def wait(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is so, or the tree has ended, for so many seconds at most; return whether it is so."""
        with self._changed:
            self._changed.wait_for(lambda: ready() or bool(self.over), seconds)
        return ready()

    def give(self, part: StepPart, news: News) -> None:
        """Send what this rank has measured in a step. Steps come in their order."""

        def given() -> None:
            self._latest[self.place.rank] = part.step
            for message in (*self.merging.learn(news), *self.merging.add(part, time.monotonic())):
                self._up(*message)

        self._do(given)

    def say(self, word: dict[str, Any], keep: bool = False) -> None:
        """Tell all ranks something, of rank 0; also those that come later, if it is to be kept."""
        self._do(lambda: self._spread((b"1" if keep else b"0") + json.dumps(word).encode()))

    def end(self) -> None:
        """Take part no longer, once what was given is sent; rank 0 once the steps that it waits for are finished."""

        def ends() -> None:
            self._ending = True
            self.merging.waiting.patience = min(self.merging.waiting.patience, _FOR_LAST)

        self._do(ends)

    def join(self, seconds: float) -> bool:
        """Wait until the thread has ended; return whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def traffic(self) -> Traffic:
        """Return what was sent and received so far."""
        return Traffic(*self._connections.traffic, self._seconds, self.merging.late, self._dropped)

    def abandon(self) -> None:
        """Close the connections of a forked process, which has no thread for them."""
        self._connections.abandon()

    def _do(self, task: Callable[[], None]) -> None:
        self._tasks.append(task)
        self._connections.wake()

    # The thread.

    def _run(self) -> None:
        try:
            while self._turn():
                self._seconds = time.thread_time()
        except Exception as error:
            self.error = error
        finally:
            if self.place.rank:
                self.over = self.over or "its thread has ended"  # those below connect to another rank
            else:
                self._end_all("rank 0 tracks no longer: its thread has ended")
                self._connections.flush()
            self._connections.close()
            self._notify()

    def _do_tasks(self) -> None:
        while self._tasks:
            self._tasks.popleft()()


_live = weakref.WeakSet[Tree]()


def _after_fork() -> None:
    for tree in list(_live):
        tree.abandon()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
