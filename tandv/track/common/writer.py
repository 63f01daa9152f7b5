"""Rows become part files while training goes on, and one log at the end. A kill loses no part."""

import concurrent.futures
import datetime
import json
import os
import platform
import re
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

import tandv
from tandv.log import files, logframe
from tandv.log.run import read_run
from tandv.track.common.background import Background
from tandv.track.common.measurements import Block

_IN_MEMORY = 4 << 30  # bytes of the whole log as a frame, beyond which it is not made one file at the end
_KEPT_UNWRITTEN = 100_000  # rows kept in memory while the disk refuses them
_QUICK = 0.25  # seconds between two flushes in which a part is not written for sure
_QUEUED = 128 << 20  # bytes of measurements that may wait for the background thread

FORMATS = {".pkl": files.write_pickle, ".parquet": files.write_parquet}


class Export(Protocol):
    """Another place that is told of each recorded step, such as W&B or TensorBoard."""

    def add(self, block: Block) -> None: ...

    def close(self, out_path: Path) -> None: ...


class Writer:
    """Own a run's folder: `run.json`, `parts/*.parquet` while it lasts, `log.pkl` when it has ended.

    In the background, all that is done with rows is done by one thread, in the order in which it was asked
    for; nothing of it warns or fails where training runs. What the thread has to say, `check` says. With
    `in_background=None` a flush is waited for where training is so quick that the thread would fall behind,
    and a kill would lose much; never for more than a second and twice the time of the training itself.
    """

    def __init__(
        self,
        folder: Path,
        offload_type: str,
        in_background: bool | None,
        info: dict[str, Any],
        exports: Sequence[Export] = (),
    ):
        self.folder = _new_folder(folder)
        self.out_path = self.folder / f"log{offload_type}"
        self.parts = self.folder / "parts"
        self.parts.mkdir()
        self._blocks: list[Block] = []
        self._refused: list[Block] = []  # by the disk
        self._part = self._rows = self._columns = 0  # written so far; columns of the widest part
        self._warned: set[str] = set()
        self._notes: deque[str] = deque()  # to be said where training runs
        self._exports = list(exports)
        self._background = Background(_QUEUED) if in_background is not False else None
        self._flushing = False  # a flush waits for its turn
        self._may_wait = in_background is None
        self._began = self._flushed = time.monotonic()
        self._waited = 0.0
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._info = {"tandv": tandv.__version__, "started": started, "host": platform.node()} | info
        self._describe(status="running", process=os.getpid())

    @property
    def has_room(self) -> bool:
        """Tell whether another step's rows can be taken now; if not, leave the step out."""
        return self._background is None or self._background.has_room

    @property
    def seconds(self) -> float:
        """Seconds that the background thread has computed so far."""
        return self._background.seconds if self._background else 0.0

    def append(self, make: Callable[[], Iterable[Block]], size: int) -> None:
        """Keep rows until the next flush; `make` summarises numbers of `size` bytes, which must not change."""
        self._do(lambda: self._keep(make()), size)

    def flush(self, facts: Mapping[str, Any] | None = None) -> None:
        """Write the rows kept so far as one part file, and what is new about the run.

        A disk that refuses is reported once, never raised.
        """
        if not self._flushing:  # else these rows go with the next flush
            self._flushing = True
            writing = self._do(lambda: self._flush(facts or {}))
            if writing is not None and self._may_wait:
                self._wait_for(writing)

    def check(self) -> None:
        """Say what has happened in the background; raise the first error that is not the disk's."""
        while self._notes:
            warn(self._notes.popleft())
        if self._background is not None and self._background.error is not None:
            error, self._background.error = self._background.error, None
            raise error

    def close(self, status: str, facts: Mapping[str, Any] | None = None) -> None:
        """Wait for what is under way, write what is left and the finished log."""
        if self._background is not None:
            background, self._background = self._background, None
            background.close()
            if background.error is not None:
                self._lost(background.error)
        try:
            self._flush({})
        except Exception as error:
            self._lost(error)
        try:
            if self._part:
                self._finish()
            self._describe(**facts or {}, status=status, log=self.out_path.name if self._part else None)
        except Exception as error:
            self._note("close", f"could not write the finished log: {error}; read_run({str(self.folder)!r}) opens it")
        self._export(lambda export: export.close(self.out_path))
        self.check()

    def _do(self, task: Callable[[], None], size: int = 0) -> Future[None] | None:
        if self._background is not None:
            return self._background.give(task, size)
        task()
        self.check()
        return None

    def _wait_for(self, writing: Future[None]) -> None:
        """Wait for a flush, if the one before is not long ago."""
        now = time.monotonic()
        allowed = 1.0 + 2 * (now - self._began - self._waited) - self._waited
        if now - self._flushed < _QUICK and allowed > 0:
            concurrent.futures.wait([writing], allowed)
            self._waited += time.monotonic() - now
            self.check()
        self._flushed = time.monotonic()

    def _keep(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            if block.quantities:
                self._blocks.append(block._replace(tensors={}))
                self._export(lambda export, block=block: export.add(block))
            if block.tensors:
                self._write_tensors(block)

    def _flush(self, facts: Mapping[str, Any]) -> None:
        self._flushing = False
        blocks, self._blocks = self._refused + self._blocks, []
        self._refused = []
        self._write(blocks)
        if facts:
            try:
                self._describe(**facts)
            except OSError as error:
                self._note("run", f"could not write {self.folder / 'run.json'}: {error}; training goes on")

    def _write(self, blocks: list[Block]) -> None:
        if not blocks:
            return
        try:
            frame = to_frame(blocks)
            files.write_parquet(frame, self.parts / f"{self._part:06d}.parquet")
            self._part += 1
            self._rows += len(frame)
            self._columns = max(self._columns, frame.shape[1])
        except OSError as error:
            self._note("parts", f"could not write to {self.parts}: {error}; training goes on, the rows are tried again")
            while blocks and sum(len(block.quantities) for block in blocks) > _KEPT_UNWRITTEN:
                lost = blocks.pop(0)
                self._note("lost", f"rows from step {lost.step} on are lost, the disk has refused them for too long")
            self._refused = blocks

    def _export(self, action: Callable[[Export], None]) -> None:
        """Tell W&B or TensorBoard; one that fails is left alone from then on, the log goes on."""
        for export in list(self._exports):
            try:
                action(export)
            except Exception as error:
                self._exports.remove(export)
                name = type(export).__name__
                self._note(name, f"{name} gets no more: {type(error).__name__}: {error}. The log itself goes on")

    def _write_tensors(self, block: Block) -> None:
        folder = self.folder / "tensors"
        aside = folder / f".{block.step:08d}.npz"
        try:
            folder.mkdir(exist_ok=True)
            np.savez(aside, allow_pickle=False, **block.tensors)
            aside.replace(folder / f"{block.step:08d}.npz")
        except OSError as error:
            self._note("tensors", f"could not write to {folder}: {error}; training goes on without these tensors")

    def _finish(self) -> None:
        """Write the log that `out_path` names; one too large for memory stays the folder of its parts."""
        size = 4 * self._rows * self._columns
        if size > _IN_MEMORY:
            self.out_path = self.folder
            self._note(
                "large", f"the log would take {size >> 30} GiB in memory: it stays in parts, open it by read_run"
            )
        else:
            FORMATS[self.out_path.suffix](read_run(self.folder), self.out_path)

    def _describe(self, **more: Any) -> None:
        self._info |= more
        aside = self.folder / ".run.json"
        aside.write_text(json.dumps(self._info, indent=1))
        aside.replace(self.folder / "run.json")

    def _lost(self, error: Exception) -> None:
        self._note("flush", f"some rows could not be written: {type(error).__name__}: {error}")

    def _note(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            self._notes.append(message)


def to_frame(blocks: list[Block]) -> pd.DataFrame:
    """Return the rows of many steps as one valid log."""
    lowest = min(block.lowest for block in blocks)
    highest = max(block.lowest + block.counts.shape[1] - 3 for block in blocks)
    counts = np.zeros((sum(len(block.counts) for block in blocks), highest - lowest + 3), np.int64)
    row = 0
    for block in blocks:
        into = counts[row : row + len(block.counts)]
        start = block.lowest - lowest + 1
        into[:, start : start + block.counts.shape[1] - 2] = block.counts[:, 1:-1]
        into[:, [0, -1]] = block.counts[:, [0, -1]]
        row += len(block.counts)
    metadata = {
        "name": [quantity.name for block in blocks for quantity in block.quantities],
        "type": [quantity.type for block in blocks for quantity in block.quantities],
        "tensor_type": [quantity.tensor_type for block in blocks for quantity in block.quantities],
        "step": np.repeat([block.step for block in blocks], [len(block.quantities) for block in blocks]),
        "dtype": [dtype for block in blocks for dtype in block.dtypes],
    }
    if any(block.ranks is not None for block in blocks):
        metadata["rank"] = np.concatenate([block.ranks for block in blocks if block.ranks is not None])
    scalars = {name: _column(name, blocks) for name in dict.fromkeys(k for b in blocks for k in b.scalars)}
    return logframe.frame(metadata, scalars, counts, range(lowest, highest + 1))


def _column(name: str, blocks: list[Block]) -> np.ndarray:
    return np.concatenate([block.scalars.get(name, np.full(len(block.dtypes), np.nan)) for block in blocks])


def _new_folder(folder: Path) -> Path:
    """Create `folder`, or the first of folder-2, folder-3, ... that no other run has."""
    for candidate in _candidates(folder):
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            if candidate.is_dir() and not any(candidate.iterdir()):
                return candidate
            continue
        except OSError as error:
            raise type(error)(
                f"cannot create the run's folder {candidate}: {error.strerror}; "
                "give track(path=...) a folder that can be written"
            ) from error
        return candidate
    raise AssertionError("unreachable")


def _candidates(folder: Path) -> Iterator[Path]:
    yield folder
    for n in range(2, 1_000_000):
        yield folder.with_name(f"{folder.name}-{n}")


def default_folder(name: str | None, model: str) -> Path:
    """Return tandv-runs/<name> under the working directory; by default the model and the time."""
    stamp = f"{model}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    return Path.cwd() / "tandv-runs" / re.sub(r"[^\w.\-]+", "_", name or stamp)


def say(message: str) -> None:
    """Tell how it went, in a line on stderr."""
    print(f"tandv: {message}", file=sys.stderr)


def warn(message: str) -> None:
    """Warn, but never stop training, even where warnings are errors."""
    try:
        warnings.warn(f"tandv: {message}", stacklevel=2)
    except UserWarning:
        say(message)
