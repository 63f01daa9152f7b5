"""What takes long is found out in a thread, while everything else is answered."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

REST = 5  # times as long as finding out took, before a run that goes on is looked at again


class Background:
    """The last results of one kind of work, each by a key, and the thread that makes a newer one.

    >>> work = Background(patience=None)
    >>> work.result("key", 1, lambda: 6 * 7)
    (42, True)

    Args:
        patience: seconds that an answer waits for a first result; None for as long as it takes, and for the newest.
        rest: seconds at least before a result is made anew; with a patience of None it is not waited for.
    """

    def __init__(self, patience: float | None, rest: float = 0.0):
        self.patience, self.rest = patience, rest
        self._done: dict[Hashable, tuple[Hashable, Any, float]] = {}  # version, result, when it may be made anew
        self._threads: dict[Hashable, threading.Thread] = {}
        self._lock = threading.Lock()

    def result(self, key: Hashable, version: Hashable, make: Callable[[], Any]) -> tuple[Any, bool]:
        """Return the newest result, None if there is none yet, and whether it is that of `version`.

        Args:
            key: what is found out.
            version: of what it is found out from.
            make: finds it out; what it raises is the result.
        """
        with self._lock:
            known = self._done.get(key)
            if known is not None and known[0] == version:
                return known[1], True
            thread = self._threads.get(key)
            if thread is None and (known is None or self.patience is None or time.monotonic() >= known[2]):
                thread = threading.Thread(None, self._make, "tandv answer", (key, version, make), daemon=True)
                self._threads[key] = thread
                thread.start()
        if thread is not None and (known is None or self.patience is None):
            thread.join(self.patience)
        with self._lock:
            known = self._done.get(key)
        return (None, False) if known is None else (known[1], known[0] == version)

    def _make(self, key: Hashable, version: Hashable, make: Callable[[], Any]) -> None:
        start = time.monotonic()
        try:
            result = make()
        except Exception as error:  # which the answer then says
            result = error
        end = time.monotonic()
        with self._lock:
            self._done[key] = version, result, end + max(REST * (end - start), self.rest)
            del self._threads[key]
