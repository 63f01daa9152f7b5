"""Work in a background thread: in order, with a bound on the memory of what is queued."""

import threading
import time
from collections import deque
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
        self._errors: deque[Exception] = deque()  # the first that was raised in the thread since one was taken
        self.seconds = 0.0  # CPU time of the thread
        self._at_most = at_most
        self._waiting = self._latest = 0  # bytes
        self._lock = threading.Lock()
        # At exit the interpreter waits for the tasks of the pool, also where close() is never reached.
        self._pool = ThreadPoolExecutor(1, "tandv-writer", self._begin)
        self._thread = 0

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
        except RuntimeError:  # Python is exiting: the thread ends after its last task, which is the one before this
            if self._thread != threading.get_ident():
                self._pool.shutdown(wait=True)
            self._do(task, size)
            done: Future[None] = Future()
            done.set_result(None)
            return done

    def take_error(self) -> Exception | None:
        """Return the first error that was raised in the thread since the last call, None if there was none."""
        return self._errors.popleft() if self._errors else None

    def close(self) -> Exception | None:
        """Wait until every task is done; return what `take_error` returns."""
        self._pool.shutdown(wait=True)
        return self.take_error()

    def _begin(self) -> None:
        self._thread = threading.get_ident()

    def _do(self, task: Callable[[], object], size: int) -> None:
        try:
            task()
        except Exception as error:
            if not self._errors:
                self._errors.append(error)
        finally:
            with self._lock:
                self._waiting -= size
            self.seconds = time.thread_time()
