"""The files of checkpoints that are saved during training, and the copies of the weights that wait to be written."""

import contextlib
import json
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tandv.messages import some
from tandv.track.common.background import Background
from tandv.track.common.numbers import Reading
from tandv.track.common.reporting import print_line, warn
from tandv.track.common.save_rule import SaveRule, in_bytes, in_words
from tandv.track.common.snapshots import Snapshot, Source
from tandv.track.common.triggers import Watch

__all__ = ["Checkpoints", "Snapshot", "Source"]

_LATE = 8  # steps that a number may take to arrive from its device before it is waited for
_QUEUED = 256 << 20  # bytes that may wait for the disk, beyond what is in memory anyway


class _File(NamedTuple):
    path: Path
    nbytes: int
    why: str
    regular: bool


class Checkpoints:
    """Own the folder `checkpoints` of a run, the copies in memory, and the thread that writes.

    `step_<n>.safetensors` holds the weights that the forward pass of step n uses, as the log's rows of step n do.
    Each kind of error is reported once; training goes on, and the next file is tried again.

    >>> import numpy as np
    >>> snapshot = Snapshot(8, {"fc.bias": "fc"}, lambda: {"fc.bias": np.zeros(2, np.float32)})
    >>> def write(path, arrays, about):
    ...     path.write_bytes(b"".join(array.tobytes() for array in arrays.values()))
    >>> saved = Checkpoints(SaveRule(every=2), Path("saved"), Source(lambda: snapshot, write))
    >>> for step in range(4):
    ...     saved.begin(step)
    >>> saved.close(4)
    >>> sorted(path.name for path in Path("saved").iterdir())
    ['step_000000.safetensors', 'step_000002.safetensors']

    Args:
        rule: at which steps, and the limits.
        folder: where the files are written; it is made when the first is.
        source: the functions of the framework.
        of_findings: keep copies for `save_before` as well.
    """

    def __init__(self, rule: SaveRule, folder: Path, source: Source, of_findings: bool = False):
        self._rule, self._folder, self._source = rule, folder, source
        self._every = rule.every
        self._files: dict[int, _File] = {}
        self._ring: deque[tuple[int, Snapshot]] = deque()
        self._slots = rule.before
        self._due: dict[int, str] = {}  # the reason to save at a step, by step
        self._numbers: deque[tuple[int, dict[str, Reading]]] = deque()
        self._watches: list[tuple[str, Watch]] = [(one.quantity, one.begin()) for one in rule.triggers]
        self._rings = bool(rule.triggers) or of_findings  # whether copies of earlier steps are kept
        self._never = {one.quantity for one in rule.triggers}  # numbers that have not been given yet
        shares = 2 if rule.every is not None and self._rings else 1
        self._files_each = max(rule.at_most // shares, 1)
        self._bytes_each = in_bytes(rule.at_most_bytes) // shares
        self._notes: deque[str] = deque()
        self._warned: set[str] = set()
        self._failed: deque[int] = deque()  # steps whose file the thread could not write
        self._lost: list[int] = []  # those of them that were asked for because of an event
        self._late = 0  # further copies, while a number is on its way
        self._beside: Background | None = None  # from the first copy on

    # What a tracker calls.

    def begin(self, step: int) -> None:
        """Save the weights at the start of `step`, if the rule wants it; never raises, never waits for the disk."""
        try:
            while self._failed:
                self._files.pop(self._failed.popleft(), None)
            self._watch_numbers(wait=False)
            self._save(step)
        except Exception as error:
            self._note("copy", f"could not copy the weights of step {step}: {type(error).__name__}: {error}")
        while self._notes:
            warn(f"{self._notes.popleft()}; training goes on")

    def add_numbers(self, step: int, numbers: Mapping[str, Reading]) -> None:
        """Watch the `numbers` of `step`, by name; a number on a device is read when it has arrived."""
        mine = {name: read for name, read in numbers.items() if any(name == watched for watched, _ in self._watches)}
        if mine:
            self._never -= mine.keys()
            self._numbers.append((step, mine))

    def save_before(self, step: int, why: str) -> list[int]:
        """Save the copies of weights from before something at a step; return the steps that they are of.

        Where none is left from before it, the earliest one is saved.

        Args:
            step: the step at which it began.
            why: the reason, as `run.json` keeps it.
        """
        kept = [one for one in self._ring if one[0] <= step][-self._rule.before :] or list(self._ring)[:1]
        for at, snapshot in kept:
            self._give(at, snapshot, why, regular=False)
        return [at for at, _ in kept if at in self._files]

    def facts(self) -> dict[str, Any]:
        """Return what run.json reports about checkpoints."""
        saved = [{"step": step, "why": self._files[step].why} for step in sorted(self._files)]
        return {"checkpoints": saved, "saved_every": self._every}

    def close(self, step: int) -> None:
        """Read the last numbers, save what they trigger up to `step`, and wait for the disk."""
        try:
            self._watch_numbers(wait=True)
            if any(due <= step for due in self._due):
                self._save(step)
        except Exception as error:
            self._note("copy", f"could not copy the weights of step {step}: {type(error).__name__}: {error}")
        if self._beside is not None:
            self._beside.close()
        for failed in self._failed:
            self._files.pop(failed, None)
        self._ring.clear()
        if len(self._lost) > 1:
            steps = some([f"{step:,}" for step in self._lost], 20)
            self._note("lost", f"the weights of these steps could not be saved: {steps}")
        if self._never:
            names = ", ".join(sorted(self._never))
            self._note("never", f"save= watches {names}, which tracker.step({names}=...) was never given")
        while self._notes:
            warn(self._notes.popleft())

    # Inside.

    def _watch_numbers(self, wait: bool) -> None:
        while self._numbers:
            step, numbers = self._numbers[0]
            read = {name: number(wait or len(self._numbers) > _LATE) for name, number in numbers.items()}
            if any(value is None for value in read.values()):
                return
            self._numbers.popleft()
            for name, watch in list(self._watches):
                if (value := read.get(name)) is not None and (why := watch(step, value)):
                    self._event(step, why)

    def _event(self, step: int, why: str) -> None:
        """Save the copies up to a step at which a trigger fired; the weights after it when the next step begins."""
        kept = [one for one in self._ring if one[0] <= step][-self._rule.before :] if self._rule.before else []
        out = [one for one in self._ring if one[0] > step][:1]  # there already if the number came late from its device
        for at, snapshot in kept + out:
            self._give(at, snapshot, why, regular=False)
        if not out:
            self._due.setdefault(step + 1, why)
        if self._rule.after:
            self._due.setdefault(step + 1 + self._rule.after, why)

    def _save(self, step: int) -> None:
        whys = [self._due.pop(due) for due in sorted(self._due) if due <= step]
        regular = self._every is not None and step % self._every == 0
        keep = self._slots > 0 and self._rings and step % self._rule.apart == 0
        if not (whys or regular or keep):
            return
        snapshot = self._source.copy()
        if snapshot is None:
            return
        if self._beside is None:
            self._beside = Background(max(_QUEUED, (self._rule.before + 2) * snapshot.nbytes))
            self._size(snapshot.nbytes)
        if whys or regular:
            self._give(step, snapshot, whys[0] if whys else "every", regular=not whys)
        for _, earlier in self._ring:
            earlier.settle()
        if keep and self._slots:
            self._ring.append((step, snapshot))
            while len(self._ring) > self._slots + (self._late if self._numbers else 0):
                self._ring.popleft()

    def _size(self, nbytes: int) -> None:
        """Report the size of the copies, and keep fewer where `memory` does not hold all."""
        if not (self._rings and self._rule.before):
            return
        holds = in_bytes(self._rule.memory) // max(nbytes, 1)
        self._slots = min(self._rule.before, holds)
        self._late = min(-(-_LATE // self._rule.apart), holds - self._slots)
        if self._slots < self._rule.before:
            self._note(
                "memory",
                f"save: memory={self._rule.memory!r} holds {self._slots} copies of {in_words(nbytes)}, not "
                f"before={self._rule.before}; so many are kept",
            )
        elif nbytes * self._slots >= 1 << 26:
            print_line(
                f"keeps copies of the weights of {self._slots} steps in memory, {in_words(nbytes * self._slots)}"
            )

    def _give(self, step: int, snapshot: Snapshot, why: str, regular: bool) -> None:
        """Queue a snapshot for writing, if the limits allow it and the disk keeps up."""
        assert self._beside is not None
        if (there := self._files.get(step)) is not None:
            if there.regular and not regular:
                self._files[step] = there._replace(why=why, regular=False)
            return
        if not self._make_room(step, snapshot.nbytes, regular):
            return
        if not self._beside.has_room:
            self._note("slow", f"writing to {self._folder} is slower than training: step {step} is not saved")
            return
        path = self._folder / f"step_{step:06d}.safetensors"
        self._files[step] = _File(path, snapshot.nbytes, why, regular)
        self._beside.give(lambda: self._write(step, path, snapshot, why), snapshot.nbytes)

    def _make_room(self, step: int, nbytes: int, regular: bool) -> bool:
        def full() -> bool:
            mine = [file for file in self._files.values() if file.regular == regular]
            return len(mine) >= self._files_each or sum(f.nbytes for f in mine) + nbytes > self._bytes_each

        while full():
            others = [at for at, file in self._files.items() if file.regular]
            if not regular or not others or self._every is None:
                kind = "regular checkpoints" if regular else "checkpoints of events"
                self._note(
                    f"full {regular}",
                    f"no more {kind} are saved from step {step} on: the limits allow {self._files_each} files and "
                    f"{in_words(self._bytes_each)} of them, of {in_words(nbytes)} each",
                )
                return False
            self._every *= 2
            for at in others:
                if at % self._every:
                    self._remove(self._files.pop(at).path)
            if step % self._every:
                return False
        return True

    def _remove(self, path: Path) -> None:
        assert self._beside is not None
        self._beside.give(lambda: self._unlink(path))

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._note("remove", f"could not delete {path}, one of more files than the limits allow: {error}")

    def _write(self, step: int, path: Path, snapshot: Snapshot, why: str) -> None:
        """Write a temporary file, then rename it, so that a file of the final name is complete."""
        aside = path.with_name(f".{path.name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            arrays = snapshot.arrays()
            # the format does not keep the order of names, and has no field for which arrays are trained
            about = {"step": step, "why": why, "names": list(arrays), "layers": snapshot.layers}
            self._source.write(aside, arrays, {"format": "pt", "tandv": json.dumps(about)})
            with aside.open("rb") as written:
                os.fsync(written.fileno())
            aside.replace(path)
        except Exception as error:
            self._failed.append(step)
            if why != "every":
                self._lost.append(step)
            self._note("write", f"could not save the weights of step {step} to {path.parent}: {error}")
            with contextlib.suppress(OSError):
                aside.unlink()

    def _note(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            self._notes.append(message)
