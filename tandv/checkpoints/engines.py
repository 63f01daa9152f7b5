"""Engines run a function over items: in this process, in several, or (see `on_ray`) on several machines.

An engine takes a function and items and yields the results as they are finished, in any order.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

Engine = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]


class EngineFailed(RuntimeError):
    """A worker was lost; unfinished items have no result."""


def in_this_process(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Run one item after the other in this process."""
    return map(function, items)


def in_one_thread(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Run one item after the other in this process, in one thread, which is faster for small matrices."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield from map(function, items)


def processes(count: int) -> Engine:
    """Return an engine of `count` processes of one thread each, so that cores are not oversubscribed.

    Unlike those of multiprocessing, the processes need no `if __name__ == "__main__"` in a script.
    """

    def engine(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        if len(items) == 1:  # not worth a process
            yield function(items[0])
            return
        from joblib import Parallel, parallel_config
        from joblib.externals.loky.process_executor import BrokenProcessPool

        with parallel_config(backend="loky", inner_max_num_threads=1):
            pool = Parallel(n_jobs=count, return_as="generator_unordered")
        try:
            yield from pool((function, (item,), {}) for item in items)
        except BrokenProcessPool as error:
            raise EngineFailed(
                "a worker process ended, most likely for want of memory; use fewer with parallel=1 or 2"
            ) from error

    return engine


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
