"""The file of a run's curves: lines while the run goes on, a table when it is closed."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from tandv.curves import run_curves
from tandv.curves.of_run import LINES, TABLE, line, write_table
from tandv.track.common.numbers import Reading

_KEPT_UNWRITTEN = 100_000  # steps kept in memory while the disk refuses them


class CurveFile:
    """Own `curves.jsonl` in a run's folder, which becomes `curves.parquet`.

    `keep` is called by training, everything else in the thread of the writer. A flush writes, in one call, the numbers
    of all steps up to the first whose numbers have not arrived from their device.

    >>> curves = CurveFile(Path(), lambda kind, message: print(message))
    >>> curves.keep(0, {"loss": lambda wait: 2.0})
    >>> curves.flush()
    >>> Path("curves.jsonl").read_text()
    '{"step": 0, "loss": 2.0}\\n'

    Args:
        folder: the run's folder.
        note: takes the kind of a message and the message, which is reported once for each kind.
    """

    def __init__(self, folder: Path, note: Callable[[str, str], None]):
        self._folder, self._note = folder, note
        self._waiting: deque[tuple[int, Mapping[str, Reading]]] = deque()
        self._lines: list[str] = []  # not written yet
        self._written = False

    def keep(self, step: int, readings: Mapping[str, Reading]) -> None:
        """Take the numbers of a step, by name; they are read later."""
        self._waiting.append((step, readings))

    def flush(self, wait: bool = False) -> None:
        """Append what has arrived to the file; with `wait`, also what is still on its way from a device."""
        while self._waiting:
            step, readings = self._waiting[0]
            numbers = self._read(step, readings, wait)
            if numbers is None:
                break
            self._waiting.popleft()
            if numbers:
                self._lines.append(line(step, numbers))
        if self._lines:
            self._append()

    def close(self) -> None:
        """Write what is left, and all of it as one table in place of the lines."""
        self.flush(wait=True)
        if not self._written:
            return
        try:
            curves = run_curves(self._folder)
            if curves is not None:
                write_table(curves, self._folder / TABLE)
                (self._folder / LINES).unlink()
        except Exception as error:
            self._note("curves", f"could not write {self._folder / TABLE}: {error}; the curves stay in {LINES}")

    def _read(self, step: int, readings: Mapping[str, Reading], wait: bool) -> dict[str, float] | None:
        """Return the numbers of a step; None if one of them has not arrived."""
        numbers = {}
        for name, reading in readings.items():
            try:
                value = reading(wait)
            except Exception as error:  # of a device
                self._note("numbers", f"{name} of step {step} could not be read: {type(error).__name__}: {error}")
                continue
            if value is None:
                return None
            numbers[name] = value
        return numbers

    def _append(self) -> None:
        data = "".join(self._lines).encode()
        path = self._folder / LINES
        try:
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            try:
                size = os.fstat(file).st_size
                if os.write(file, data) < len(data):  # the disk is full
                    os.ftruncate(file, size)
                    raise OSError("no space left")
            finally:
                os.close(file)
        except OSError as error:
            self._note("curves", f"could not write to {path}: {error}; training goes on, the numbers are tried again")
            if len(self._lines) > _KEPT_UNWRITTEN:
                del self._lines[:-_KEPT_UNWRITTEN]
                self._note("lost curves", f"numbers of early steps are lost, {path} could not be written for too long")
            return
        self._lines.clear()
        self._written = True
