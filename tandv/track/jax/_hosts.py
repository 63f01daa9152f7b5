"""Runs on several hosts: each process runs the same programs, and the first one writes."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax

from tandv.track.common.measurements import Block


def several() -> bool:
    """Tell whether this run has several processes, which must all run the same programs."""
    return jax.process_count() > 1


def writes() -> bool:
    """Tell whether this process writes."""
    return jax.process_index() == 0


class Nowhere:
    """Stands for the writer in processes that do not write."""

    has_room = True
    writes = False
    seconds = 0.0

    def __init__(self, path: Path | str, out_path: Path | str):
        self.path, self.out_path = path, out_path

    def append(self, make: Callable[[], Iterable[Block]], size: int) -> None:
        pass

    def flush(self, facts: Mapping[str, Any] | None = None) -> None:
        pass

    def catch_up(self) -> None:
        pass

    def check(self) -> None:
        pass

    def close(self, status: str, facts: Callable[[], Mapping[str, Any]] = dict) -> None:
        pass
