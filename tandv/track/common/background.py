"""Work that is done beside training: one thread, everything in order, and a bound on what waits for it."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Background:
    """A thread that does what it is given, in order; `has_room` tells whether it keeps up.

    >>> background = Background(at_most=1 << 20)
    >>> done = background.give(lambda: None, size=100)
    >>> background.close()
    >>> done.done()
    True
    """

    def __init__(self, at_most: int):
        self.error: Exception | None = None  # the first that was raised in the thread
        self.seconds = 0.0  # that the thread has computed, not waited
        self._at_most = at_most
        self._waiting = self._latest = 0  # bytes
        self._lock = threading.Lock()
        # Its thread ends with the interpreter, after what it was given, also where close() is never reached.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="tandv-writer")

    @property
    def has_room(self) -> bool:
        """Tell whether as much again as was given last can wait; of one thing alone, any size can."""
        return not self._waiting or self._waiting + self._latest <= self._at_most

    def give(self, task: Callable[[], None], size: int = 0) -> Future[None]:
        """Do a task after those given before; `size` are the bytes it holds until it is done. Never waits."""
        with self._lock:
            self._waiting += size
        self._latest = size or self._latest
        try:
            return self._pool.submit(self._do, task, size)
        except RuntimeError:  # Python is exiting and takes nothing more; the thread has done all and is gone
            self._do(task, size)
            done: Future[None] = Future()
            done.set_result(None)
            return done

    def close(self) -> None:
        """Wait until everything is done."""
        self._pool.shutdown(wait=True)

    def _do(self, task: Callable[[], None], size: int) -> None:
        try:
            task()
        except Exception as error:
            self.error = self.error or error
        finally:
            with self._lock:
                self._waiting -= size
            self.seconds = time.thread_time()
