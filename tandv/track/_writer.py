"""Rows become part files while training goes on, and one log at the end. A kill loses no part."""

import datetime
import json
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tandv
from tandv import files, logframe
from tandv.track._measurements import Block

_IN_MEMORY = 4 << 30  # bytes of the whole log as a frame, beyond which it is not made one file at the end
_KEPT_UNWRITTEN = 100_000  # rows kept in memory while the disk refuses them

FORMATS = {".pkl": files.write_pickle, ".parquet": files.write_parquet}


class Writer:
    """Own a run's folder: `run.json`, `parts/*.parquet` while it lasts, `log.pkl` when it has ended."""

    def __init__(self, folder: Path, offload_type: str, in_background: bool, info: dict[str, Any]):
        self.folder = _new_folder(folder)
        self.out_path = self.folder / f"log{offload_type}"
        self.parts = self.folder / "parts"
        self.parts.mkdir()
        self._blocks: list[Block] = []
        self._refused: list[Block] = []  # by the disk
        self._part = self._rows = self._columns = 0  # written so far; columns of the widest part
        self._warned: set[str] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tandv-writer") if in_background else None
        self._writing: Future[None] | None = None
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._info = {"tandv": tandv.__version__, "started": started, "host": platform.node()} | info
        self._describe(status="running", process=os.getpid())

    def append(self, block: Block) -> None:
        """Keep a step's rows until the next flush."""
        if block.quantities:
            self._blocks.append(block._replace(tensors={}))
        if block.tensors:
            self._write_tensors(block)

    def flush(self) -> None:
        """Write the rows kept so far as one part file. A disk that refuses is reported once, never raised."""
        if self._writing is not None:
            if not self._writing.done():
                return  # the rows go with the next flush
            self._writing.result()  # what failed in the thread is to be seen
        blocks, self._blocks = self._refused + self._blocks, []
        self._refused = []
        if self._thread is None:
            self._write(blocks)
        else:
            self._writing = self._thread.submit(self._write, blocks)

    def close(self, status: str) -> None:
        """Write what is left and the finished log."""
        if self._thread:
            self._thread.shutdown(wait=True)
            self._thread = None
        for _ in range(2):  # what failed in the thread must not keep the rows after it from the disk
            try:
                self.flush()
            except Exception as error:
                self._writing = None
                self._warn_once("flush", f"some rows could not be written: {type(error).__name__}: {error}")
        try:
            if self._part:
                self._finish()
            self._describe(status=status, log=self.out_path.name if self._part else None)
        except OSError as error:
            self._warn_once(
                "close", f"could not write the finished log: {error}; read_run({str(self.folder)!r}) opens the parts"
            )

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
            self._warn_once(
                "parts", f"could not write to {self.parts}: {error}; training goes on, the rows are tried again"
            )
            while blocks and sum(len(block.quantities) for block in blocks) > _KEPT_UNWRITTEN:
                lost = blocks.pop(0)
                self._warn_once(
                    "lost", f"rows from step {lost.step} on are lost, the disk has refused them for too long"
                )
            self._refused = blocks

    def _write_tensors(self, block: Block) -> None:
        folder = self.folder / "tensors"
        aside = folder / f".{block.step:08d}.npz"
        try:
            folder.mkdir(exist_ok=True)
            np.savez(aside, allow_pickle=False, **block.tensors)
            aside.replace(folder / f"{block.step:08d}.npz")
        except OSError as error:
            self._warn_once("tensors", f"could not write to {folder}: {error}; training goes on without these tensors")

    def _finish(self) -> None:
        """Write the log that `out_path` names; one too large for memory stays the folder of its parts."""
        size = 4 * self._rows * self._columns
        if size > _IN_MEMORY:
            self.out_path = self.folder
            self._warn_once(
                "large", f"the log would take {size >> 30} GiB in memory: it stays in parts, open it by read_run"
            )
        else:
            FORMATS[self.out_path.suffix](files.read_run(self.folder), self.out_path)

    def _describe(self, **more: Any) -> None:
        self._info |= more
        aside = self.folder / ".run.json"
        aside.write_text(json.dumps(self._info, indent=1))
        aside.replace(self.folder / "run.json")

    def _warn_once(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            warn(message)


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


def warn(message: str) -> None:
    """Warn, but never stop training, even where warnings are errors."""
    try:
        warnings.warn(f"tandv: {message}", stacklevel=2)
    except UserWarning:
        print(f"tandv: {message}", file=sys.stderr)
