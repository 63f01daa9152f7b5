"""Results are stored next to the checkpoints, so that an interrupted evaluation resumes and only new ones are measured.

One line of JSON is appended for each checkpoint once it has been measured; an incomplete line is ignored.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from tandv.checkpoints.readers.contents import Key
from tandv.checkpoints.warnings import Remark

NAME = ".tandv-checkpoints.jsonl"
_VERSION = 5  # of the definitions of metrics: stored results of another version are not used

_SAMPLES, _SAMPLE, _END = 16, 4096, 1 << 16  # how many samples, and bytes of each and of a file's end


class Cache:
    """The stored results of the checkpoints of one folder; lines are appended to its file until it is closed."""

    def __init__(self, folder: Path, key: Key = None):
        # of one file, each of its models has results of its own
        self._of_key = "" if key is None else f" key={key if isinstance(key, str) else ','.join(key)}"
        self._files = [folder / NAME, _in_user_cache(folder)]
        self._known: dict[str, dict[str, Any]] = {}
        self._open: TextIO | None = None
        self._lines = 0
        self.remarks: list[Remark] = []
        for file in self._files:
            self._read(file)

    def get(self, path: Path) -> dict[str, Any]:
        """Return the results of a checkpoint as it is now: values by key, warnings, shapes; {} if there are none."""
        found = self._known.get(path.name + self._of_key)
        try:
            return found["known"] if found and found["stamp"] == stamp(path) else {}
        except OSError:  # that it cannot be read is said when it is measured
            return {}

    def add(self, path: Path, known: Mapping[str, Any], at: list[int | str]) -> None:
        """Store results of the checkpoint at `path` that had the stamp `at` when it was read."""
        line = {"version": _VERSION, "file": path.name + self._of_key, "stamp": at, "known": dict(known)}
        self._merge(line)
        if self._open is None:
            self._open = self._writable()
        if self._open is not None:
            try:
                self._open.write(json.dumps(line, separators=(",", ":")) + "\n")
                self._open.flush()
                self._lines += 1
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """Stop writing; if most lines are outdated, rewrite the file with the current ones."""
        if self._open is None:
            return
        path = Path(self._open.name)
        self._open.close()
        self._open = None
        if self._lines > 2 * len(self._known) + 16:
            lines = (
                json.dumps({"version": _VERSION, "file": name, **found}, separators=(",", ":")) + "\n"
                for name, found in self._known.items()
            )
            temporary = path.with_name(f"{path.name}.{os.getpid()}")
            temporary.write_text("".join(lines))
            temporary.replace(path)

    def _read(self, file: Path) -> None:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return
        for line in text.splitlines():
            self._lines += 1
            try:
                self._merge(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue

    def _merge(self, line: dict[str, Any]) -> None:
        if line["version"] != _VERSION:
            return
        before = self._known.get(line["file"])
        known = dict(before["known"]) if before and before["stamp"] == line["stamp"] else {}
        for part, found in line["known"].items():
            known[part] = {**known.get(part, {}), **found} if isinstance(found, dict) else found
        self._known[line["file"]] = {"stamp": line["stamp"], "known": known}

    def _writable(self) -> TextIO | None:
        problem: OSError | None = None
        for file in self._files:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                opened = open(file, "a", encoding="utf-8")  # noqa: SIM115, closed by close()
                if opened.tell():  # an incomplete last line must not run into the next
                    opened.write("\n")
                return opened
            except OSError as error:
                problem = error
        self._give_up(problem)
        return None

    def _give_up(self, error: OSError | None) -> None:
        self._files, self._open = [], None
        self.remarks.append(Remark("NotKept", f"results cannot be kept for the next time ({error})"))


class Stamp(NamedTuple):
    """What tells whether a checkpoint is still the same."""

    size: int
    modified: int  # in nanoseconds
    changed: int  # the same of whatever the file system changed last, which no program can set
    content: str  # a hash of samples, and of the places on the disk


def stamp(path: Path) -> list[int | str]:
    """Return size, times and a hash of samples of a checkpoint; of a folder, of all its files together.

    Copying may keep size and modification time of what it replaces, but neither the time of the last change of the
    file's own record (ctime) nor, where the file is a new one, its place on the disk (inode). Where a system has
    neither, samples tell files apart: the end, where an archive of PyTorch has the checksums of all its tensors, and 16
    places between.
    """
    files = files_of(path)
    stats = [file.stat() for file in files]
    content = hashlib.blake2b(digest_size=12)
    for file, stat in zip(files, stats, strict=True):
        content.update(f"{file.relative_to(path)}\0{stat.st_ino}\0".encode())
        _add_samples(content, file)
    modified, changed = (max((getattr(s, name) for s in stats), default=0) for name in ("st_mtime_ns", "st_ctime_ns"))
    return list(Stamp(sum(s.st_size for s in stats), modified, changed, content.hexdigest()))


def size_of(path: Path) -> int:
    """Return the bytes of a checkpoint; of a folder, of all its files together."""
    return sum(file.stat().st_size for file in files_of(path))


def files_of(path: Path) -> list[Path]:
    """Return the files of a checkpoint, which may be a folder, in an order that stays."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _add_samples(content: hashlib.blake2b, file: Path) -> None:
    with open(file, "rb", buffering=0) as opened:
        size = opened.seek(0, os.SEEK_END)
        end = max(size - _END, 0)
        places = range(0, end, max(end // _SAMPLES, _SAMPLE)) if end else ()
        for at, length in (*((place, _SAMPLE) for place in places), (end, _END)):
            opened.seek(at)
            content.update(opened.read(length))


def _in_user_cache(folder: Path) -> Path:
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "tandv" / f"{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:24]}.jsonl"
