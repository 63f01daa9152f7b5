"""Rows are written as part files during training, and as one log at the end. A killed process loses no part."""

import concurrent.futures
import datetime
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from tandv import __version__
from tandv.log.status import this_process
from tandv.log.store.writing import Store
from tandv.place import place_of
from tandv.track.common.background import Background
from tandv.track.common.curve_file import CurveFile
from tandv.track.common.exporting import Export, Exports
from tandv.track.common.extremes_log import ExtremesLog
from tandv.track.common.finished_log import LogFormat, finished_log
from tandv.track.common.folders import new_folder
from tandv.track.common.frames import of_one_part, places, to_rows
from tandv.track.common.measurements import Block
from tandv.track.common.mirror import Mirror
from tandv.track.common.numbers import Reading
from tandv.track.common.reporting import warn
from tandv.track.common.tensor_files import write_tensors

_KEPT_UNWRITTEN = 100_000  # rows kept in memory while the disk refuses them
_QUICK = 0.25  # seconds between two flushes in which a part is not written for sure
_A_WHILE = 0.05  # seconds of joining, after which other work of the thread comes first
_TOGETHER = 1.0  # seconds within which flushes that wait for the disk become one
_SPARE = 1.0  # seconds that training waits for flushes at most, besides twice its own time
_QUEUED = 128 << 20  # bytes of measurements that may wait for the background thread


class Writer:
    """Own a run's folder: `run.json`, the log in `parts/`, `curves.jsonl` during the run, one file of the log after it.

    In the background, one thread does all work on rows, in order; it neither warns nor raises in the thread of
    training, where `check` reports its messages and errors. With `in_background=None` a flush is on disk before the
    next recorded step has ended, so that a killed process loses no more steps than lie between two flushes. Training
    waits for that if it must, but never longer than a second and twice the time of the training itself.

    Where other processes write rows of the run too, `written` is called with the steps that are on disk, and all but
    the first are given its `identity` and leave their log in parts (not `one_file`).
    """

    def __init__(
        self,
        path: Path | str,
        offload_type: LogFormat,
        in_background: bool | None,
        info: dict[str, Any],
        exports: Sequence[Export] = (),
        written: Callable[[Sequence[int]], None] = lambda steps: None,
        identity: str | None = None,
        one_file: bool = True,
    ):
        self._mirror: Mirror | None = None  # of the folder, at the place where the run is to lie
        if isinstance(path, Path):
            self.path = self.folder = new_folder(path)
            self.out_path: Path | str = self.folder / f"log{offload_type}"
        else:
            self._mirror = Mirror(place_of(path), self.note, at_once=in_background is False)
            self.folder, self.path = self._mirror.folder, self._mirror.place.name
            self.out_path = self.path
        self._store = Store(self.folder, self.note, identity=identity)
        self.identity = self._store.identity  # what all files of the run say, and no other
        self._extremes = ExtremesLog(self.folder, self.identity, self.note)
        self._written, self._one_file = written, one_file
        self._blocks: list[Block] = []
        self._refused: list[Block] = []  # by the disk
        self._warned: set[str] = set()
        self._noting = threading.RLock()  # this thread and that of the background do
        self._notes: deque[str] = deque()  # to be reported in the thread of training
        self._exports = Exports(exports, self.note)
        self._background = Background(_QUEUED) if in_background is not False else None
        self._curves = CurveFile(self.folder, self.note)
        self._unwritten = 0  # steps with numbers of the loop since the latest flush
        self._closing, self._flushes = False, 0  # whether nothing more will be queued; flushes that were asked for
        self._told: dict[str, Any] = {}  # facts that the thread has still to write
        self._writing: Future[None] | None = None  # the latest flush
        self._may_wait = in_background is None
        self._began = self._flushed = time.monotonic()
        self._waited = self._flushed_at = 0.0
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._info = {"tandv": __version__, "started": started, "identity": self.identity} | info
        more = {} if self._mirror is None else {"written_from": str(self.folder)}
        self._describe(status="running", **this_process(), **more)
        if self._mirror is not None:
            self._mirror.begin()

    writes = True  # another process may write instead

    @property
    def info(self) -> dict[str, Any]:
        """What `run.json` says so far."""
        return self._info

    def wait(self) -> None:
        """Wait until everything that was queued is done."""
        if (done := self._do(lambda: None)) is not None:
            concurrent.futures.wait([done])

    @property
    def has_room(self) -> bool:
        """Tell whether another step's rows can be taken now; if not, leave the step out."""
        return self._background is None or self._background.has_room

    @property
    def seconds(self) -> float:
        """Seconds that the background thread has computed so far."""
        return self._background.seconds if self._background else 0.0

    def queue(self, task: Callable[[], None], size: int = 0) -> None:
        """Do something in the background, in order with all else; it holds `size` bytes until it is done."""
        self._do(task, size)

    def append(self, make: Callable[[], Iterable[Block]], size: int) -> None:
        """Keep rows until the next flush; `make` summarises numbers of `size` bytes, which must not change."""
        self._do(lambda: self._keep(make()), size)

    def keep_numbers(self, step: int, numbers: Mapping[str, Reading], at_most: int | None = None) -> None:
        """Keep numbers of the loop until the next flush, or until there are `at_most` steps of them."""
        self._curves.keep(step, numbers)
        self._unwritten += 1
        if at_most is not None and self._unwritten >= at_most:
            self._unwritten = 0
            self._do(self._flush_curves)

    def flush(self, facts: Mapping[str, Any] | None = None) -> None:
        """Write the rows kept so far as one part file, and new facts about the run to `run.json`.

        An error of the disk is reported once, never raised.
        """
        self._flushes, self._unwritten = self._flushes + 1, 0
        number, told = self._flushes, dict(facts or {})
        self._writing = self._do(lambda: self._flush_in_turn(number, told))
        now = time.monotonic()
        if now - self._flushed < _QUICK:
            self.catch_up()
        self._flushed = now

    def catch_up(self) -> None:
        """Wait for the latest flush, with `in_background=None`; call it before a step's rows are added."""
        if self._writing is None or not self._may_wait or self._writing.done():
            return
        now = time.monotonic()
        allowed = _SPARE + 2 * (now - self._began - self._waited) - self._waited
        if allowed > 0:
            concurrent.futures.wait([self._writing], allowed)
            self._waited += time.monotonic() - now
            self.check()

    def check(self) -> None:
        """Report the messages of the thread; raise its first error that is not the disk's."""
        while self._notes:
            warn(self._notes.popleft())
        if self._background is not None and (error := self._background.take_error()) is not None:
            raise error

    def note(self, kind: str, message: str) -> None:
        """Keep a message, of any thread, for `check` to report; one of each kind."""
        with self._noting:
            if kind not in self._warned:
                self._warned.add(kind)
                self._notes.append(message)

    def close(self, status: str, facts: Callable[[], Mapping[str, Any]] = dict) -> None:
        """Wait for the thread, write the remaining rows and the finished log, and last the status of the run.

        From then on `out_path` is a file that exists, or the run's folder where no such file could be written, or where
        the run lies at another place.
        """
        self._closing = True
        if self._background is not None:
            background, self._background = self._background, None
            if (error := background.close()) is not None:
                self._lost(error)
        try:
            self._flush()
            self._restore_folder()
            self._store.close()
        except Exception as error:
            self._lost(error)
        since = f"from step {self._refused[0].step:,} on" if self._refused else ""
        if since:
            self.note("lost at the end", f"rows {since} are lost, the disk has refused them until the end")
        self._extremes.close()
        self._curves.close()
        wanted = Path(self.out_path) if self._mirror is None and self._one_file else None
        log, here = finished_log(self.folder, wanted, self._store, self.note)
        self._exports.close(here if log else None)
        try:
            if status == "finished" and (log is None or self._refused):
                status = "empty" if not self._refused else "not written" if log is None else f"not written {since}"
            self._describe(**facts(), status=status, log=log)
        except Exception as error:
            self.note("run", f"could not write {self.folder / 'run.json'}: {error}")
        self.out_path = here
        if self._mirror is not None and self._mirror.close():
            self.out_path = self.path
        self.check()

    def _do(self, task: Callable[[], None], size: int = 0) -> Future[None] | None:
        if self._background is not None:
            return self._background.give(task, size)
        task()
        self.check()
        return None

    def _keep(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            if block.quantities:
                self._blocks.append(block._replace(tensors={}, over_ranks=None))
                self._extremes.keep(block.over_ranks)
                self._exports.add(block)
            if block.tensors:
                write_tensors(self.folder, block, self.note)

    def _flush_in_turn(self, number: int, facts: Mapping[str, Any]) -> None:
        """Flush, unless one that was asked for later waits behind this one, and soon takes its rows along."""
        self._told |= facts
        if number == self._flushes or time.monotonic() - self._flushed_at > _TOGETHER:
            self._flush()

    def _flush(self) -> None:
        facts, self._told = self._told, {}
        blocks, self._blocks, self._refused = self._refused + self._blocks, [], []
        self._write(blocks)
        self._extremes.flush()
        self._curves.flush()
        self._join()
        if facts:
            try:
                self._describe(**facts)
            except OSError as error:
                self.note("run", f"could not write {self.folder / 'run.json'}: {error}; training goes on")
        self._flushed_at = time.monotonic()
        self._look()

    def _flush_curves(self) -> None:
        self._curves.flush()
        self._look()

    def _look(self) -> None:
        if self._mirror is not None and not self._closing:
            self._mirror.look()

    def _write(self, blocks: list[Block]) -> None:
        if not blocks:
            return
        try:
            self._restore_folder()
            while blocks:
                some = of_one_part(blocks)
                for block in some:
                    if block.order is not None:
                        self._store.set_order(block.step, block.order)
                self._store.add(to_rows(some), places(some))
                blocks = blocks[len(some) :]
                self._written([block.step for block in some])
        except OSError as error:
            self.note(
                "parts", f"could not write to {self._store.parts}: {error}; training goes on, the rows are tried again"
            )
            while blocks and sum(len(block.quantities) for block in blocks) > _KEPT_UNWRITTEN:
                lost = blocks.pop(0)
                self.note("lost", f"rows from step {lost.step} on are lost, the disk has refused them for too long")
            self._refused = blocks

    def _join(self) -> None:
        """Join files that are due; in the background only for a while, the rest comes after what else is queued."""
        until = time.monotonic() + _A_WHILE
        while not self._closing and (self._store.join() or self._extremes.join()):
            background = self._background
            if background is not None and time.monotonic() > until:
                background.give(self._join)
                return

    def _restore_folder(self) -> None:
        """Make the run's folder again if it was deleted."""
        if not self._store.parts.is_dir():
            rows = self._store.rows
            self._store.begin_again()
            lost = f"; {rows:,} rows that had been written are gone" if rows else ""
            self.note("deleted", f"{self._store.parts} was deleted while the run went on and has been made again{lost}")
            self._describe()

    def _describe(self, **more: Any) -> None:
        self._info |= more
        aside = self.folder / ".run.json"
        aside.write_text(json.dumps(self._info, indent=1))
        aside.replace(self.folder / "run.json")

    def _lost(self, error: Exception) -> None:
        self.note("flush", f"some rows could not be written: {type(error).__name__}: {error}")
