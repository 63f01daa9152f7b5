"""Two threads in one certain order: the main one is in the middle of something when the other comes to it."""

import threading
from collections.abc import Callable
from typing import Any


class Meanwhile:
    """Stands for a lock, and lets another thread do something while the main thread holds it.

    Args:
        lock: the lock, which has to keep the other thread from what is being done.
        other: what the other thread does.
    """

    def __init__(self, lock: Any, other: Callable[[], object]):
        self._lock, self._came = lock, threading.Event()
        self._thread = threading.Thread(target=self._run, args=(other,))

    def __enter__(self) -> None:
        if threading.current_thread() is self._thread:
            self._came.set()
        self._lock.acquire()

    def __exit__(self, *_: Any) -> None:
        self._lock.release()

    def now(self) -> None:
        """Start the other thread, once, and go on when it waits for the lock, or has ended without."""
        if self._thread.ident is None:
            self._thread.start()
            assert self._came.wait(600)

    def join(self) -> None:
        """Wait until the other thread has ended."""
        self._thread.join()

    def _run(self, other: Callable[[], object]) -> None:
        other()
        self._came.set()
