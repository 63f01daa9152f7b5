"""A log opened where it lies: an index of its row groups is kept, and only what is asked for is read.

>>> from tandv.log.example import example_log
>>> from tandv.log.files import write_parquet
>>> write_parquet(example_log(), "log.parquet")
>>> log = opened("log.parquet")
>>> log.layers()[:2], log.frame(layer="head", tt="Weight", step=0).shape
(['embed', 'layers.0.attention.wq'], (1, 60))
"""

import os
import time
from threading import Lock

import numpy as np

from tandv.log._log import Log
from tandv.log._looking import signature_of
from tandv.log._whole import ALLOWED
from tandv.log.door import Ranks
from tandv.log.store import of_ranks
from tandv.place import AnyPath, Place, place_of

__all__ = ["Log", "opened"]

_KEPT = 8  # logs that are kept opened
_FRESH = 2.0  # seconds in which a place that is not of this machine is not asked again

_logs: dict[tuple[str, tuple[int, ...] | None], Log] = {}
_lock = Lock()


def opened(path: AnyPath | Place | Log, rank: Ranks | None = None) -> Log:
    """Return the log at a place; the index of one that has not changed is kept from the last time.

    >>> from tandv.log.example import example_log
    >>> from tandv.log.files import write_parquet
    >>> write_parquet(example_log(), "log.parquet")
    >>> opened("log.parquet") is opened("log.parquet")
    True

    Args:
        path: the folder of a run, or a file, on this machine or at an address such as "s3://bucket/run".
        rank: a rank, or several: of a run in which each rank has a folder of its own, only theirs are opened; None for
            all.

    Raises what `tandv.read` raises.
    """
    if isinstance(path, Log):
        return path if rank is None else path.of_ranks(_numbers(rank))
    if not isinstance(path, str | os.PathLike | Place):
        raise TypeError(f"a log is a table, or the place of one, not a {type(path).__name__}; {ALLOWED}")
    place = place_of(path)
    ranks = None if rank is None else _alone(place, rank)
    key = place.absolute(), ranks
    with _lock:
        known = _logs.pop(key, None)
        log = known if known is not None and _is_as_it_was(known) else Log(place, ranks)
        if log.whole is not None:  # of those that are whole in memory only one is kept
            for name in [name for name, one in _logs.items() if one.whole is not None]:
                del _logs[name]
        _logs[key] = log
        while len(_logs) > _KEPT:
            del _logs[next(iter(_logs))]
    return log


def _alone(place: Place, rank: Ranks) -> tuple[int, ...] | None:
    """Return ranks that can be opened without the others: all have a folder with rows; else None."""
    ranks = _numbers(rank)
    if place.kind() != "folder" or not of_ranks.folders(place):
        return None
    there = {of_ranks.rank_of(name) or 0 for name in of_ranks.counting(place, ranks=ranks)}
    return tuple(ranks) if ranks and there == set(ranks) else None


def _numbers(rank: Ranks) -> list[int]:
    return sorted({int(rank)} if isinstance(rank, int | np.integer) else set(map(int, rank)))


def _is_as_it_was(log: Log) -> bool:
    """Tell whether nothing was added to a log; one that lies elsewhere is asked no more than every few seconds."""
    now = time.monotonic()
    if not log.place.is_local and now - log.looked < _FRESH:
        return True
    log.looked = now
    return log.signature == signature_of(log.place)
