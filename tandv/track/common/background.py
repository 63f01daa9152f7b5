"""Work in a background thread: in order, with a bound on the memory of what is queued."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Background:
    """A thread that runs tasks in order; `has_room` tells whether it keeps up.

    >>> background = Background(at_most=1 << 20)
    >>> done = background.give(lambda: None, size=100)
    >>> background.close()
    >>> done.done()
    True
    """

    def __init__(self, at_most: int):
        self.error: Exception | None = None  # the first that was raised in the thread
        self.seconds = 0.0  # CPU time of the thread
        self._at_most = at_most
        self._waiting = self._latest = 0  # bytes
        self._lock = threading.Lock()
        # At exit the interpreter waits for the tasks of the pool, also where close() is never reached.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="tandv-writer")

    @property
    def has_room(self) -> bool:
        """Tell whether a task of the last one's size can be queued; one alone may have any size."""
        return not self._waiting or self._waiting + self._latest <= self._at_most

    def give(self, task: Callable[[], object], size: int = 0) -> Future[None]:
        """Queue a task that holds `size` bytes until it is done. Never waits."""
        with self._lock:
            self._waiting += size
        self._latest = size or self._latest
        try:
            return self._pool.submit(self._do, task, size)
        except RuntimeError:  # Python is exiting: the thread has ended after its last task
            self._do(task, size)
            done: Future[None] = Future()
            done.set_result(None)
            return done

    def close(self) -> None:
        """Wait until every task is done."""
        self._pool.shutdown(wait=True)

    def _do(self, task: Callable[[], object], size: int) -> None:
        try:
            task()
        except Exception as error:
            self.error = self.error or error
        finally:
            with self._lock:
                self._waiting -= size
            self.seconds = time.thread_time()
