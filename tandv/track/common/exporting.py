"""Other destinations of each recorded step."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from tandv.track.common.measurements import Block


class Export(Protocol):
    """Another destination of each recorded step, such as W&B, TensorBoard, MLflow or trackio."""

    def add(self, block: Block) -> None: ...

    def close(self, out_path: Path | None) -> None:
        """Finish; `out_path` is the log, or the run's folder, None where nothing was recorded."""


class Exports:
    """The other destinations of a run; one that fails is dropped, the log goes on.

    >>> Exports([], print).add(None)

    Args:
        exports: the destinations.
        note: takes a kind and a message about one that failed.
    """

    def __init__(self, exports: Iterable[Export], note: Callable[[str, str], None]):
        self._exports, self._note = list(exports), note

    def add(self, block: Block) -> None:
        """Pass the rows of a step on.

        Args:
            block: the rows.
        """
        self._each(lambda export: export.add(block))

    def close(self, out_path: Path | None) -> None:
        """Finish all.

        Args:
            out_path: the log, or the run's folder, None where nothing was recorded.
        """
        self._each(lambda export: export.close(out_path))

    def _each(self, action: Callable[[Export], None]) -> None:
        """Do something with each that has not failed."""
        for export in list(self._exports):
            try:
                action(export)
            except Exception as error:
                self._exports.remove(export)
                name = type(export).__name__
                self._note(name, f"{name} gets no more: {type(error).__name__}: {error}. The log itself goes on")
