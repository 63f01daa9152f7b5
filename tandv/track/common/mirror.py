"""A run that lies at another place, such as "s3://bucket/run": its folder here is mirrored there while it goes on.

Rows are written and joined in a folder of this machine, so that neither a slow place nor one that fails is in the way
of training. Each file is put in one call; files that were joined before they could be put are put as one. A file that
holds others is put before these are deleted: by their names a reader tells which of them count.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tandv.curves.of_run import LINES
from tandv.log.store import layers
from tandv.log.store.listing import ASIDE, PARTS, files
from tandv.place import Place
from tandv.track.common.background import Background

ABOUT = "run.json"
_RARELY = 30.0  # seconds between two puts of a file that changes all the time, unless it has grown by an eighth
_PAUSES = (1.0, 60.0)  # seconds until files are tried again after the place has failed: first, and at most
_LAST_TRIES = (0.0, 1.0, 3.0)  # seconds before each try at the end


class _State(NamedTuple):
    """What tells whether a file is the one that was put."""

    inode: int
    changed: int
    size: int


class Mirror:
    """Put the files of a run's folder at a place, in a thread of its own.

    `folder` is the folder here, a temporary one, which is removed when all of it has been put.

    >>> from tandv.place import place_of
    >>> mirror = Mirror(place_of("memory://runs/example"), lambda kind, message: print(message))
    >>> _ = (mirror.folder / "run.json").write_text("{}")
    >>> mirror.begin()
    >>> mirror.close(), mirror.place.names(), mirror.folder.exists()
    (True, ['run.json'], False)

    Args:
        place: the folder of the run, which must be empty; else a number is added to its name.
        note: takes the kind of a message and the message, which is reported once for each kind.
        at_once: put files when `look` is called, instead of in a thread.

    Raises OSError if the place cannot be reached.
    """

    def __init__(self, place: Place, note: Callable[[str, str], None], at_once: bool = False):
        self.place = _new_place(place)
        self.folder = Path(tempfile.mkdtemp(prefix="tandv-"))
        self._note = note
        self._there: dict[str, _State] = {}  # the files that were put, by their names from the run's folder on
        self._when: dict[str, float] = {}
        self._background = None if at_once else Background(at_most=1)
        self._queued = self._closing = False
        self._pause, self._not_before = _PAUSES[0], 0.0

    def begin(self) -> None:
        """Put the first files, so that a place that takes nothing is known before training begins.

        Raises OSError if it does not.
        """
        try:
            self._put_new()
        except Exception as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise OSError(
                f"cannot write the run to {self.place}: {error}; give track(path=...) a place that can be written"
            ) from error

    def look(self) -> None:
        """Have what is new put soon; never waits, unless files are put at once."""
        if self._queued or time.monotonic() < self._not_before:
            return
        if self._background is None:
            self._try()
        else:
            self._queued = True
            self._background.give(self._try)

    def close(self) -> bool:
        """Put what is left, and remove the folder here; if the place does not take it, keep it and return False."""
        self._closing = True  # so that files that change all the time are put
        if self._background is not None:
            self._background.close()
        for pause in _LAST_TRIES:
            time.sleep(pause)
            if self._try():
                shutil.rmtree(self.folder, ignore_errors=True)
                return True
        self._note(
            "mirrored",
            f"{self.place} does not take all files of the run, which is whole in {self.folder}: copy it from there",
        )
        return False

    # Inside.

    def _try(self) -> bool:
        """Put what is new; tell whether all is there now."""
        self._queued = False
        try:
            whole = self._put_new()
        except Exception as error:  # of any class: each file system has its own
            self._not_before = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _PAUSES[1])
            self._note("mirror", f"could not write to {self.place}: {error}; training goes on, files are tried again")
            return False
        self._pause = _PAUSES[0]
        return whole

    def _put_new(self) -> bool:
        """Put files that are new or changed, then delete those that are gone; tell whether none was missing."""
        try:
            present = dict(self._present())
        except FileNotFoundError:  # a folder has been deleted while it was listed
            return False
        for name, path in present.items():
            try:
                about = path.stat()
                state = _State(about.st_ino, about.st_mtime_ns, about.st_size)
                if self._there.get(name) == state or not self._is_due(name, state):
                    continue
                self.place.below(*name.split("/")).put_from(path)
            except FileNotFoundError:  # it has been joined with others meanwhile
                return False
            self._there[name], self._when[name] = state, time.monotonic()
        for name in [name for name in self._there if name not in present]:
            self.place.below(*name.split("/")).delete()
            del self._there[name]
        return True

    def _present(self) -> Iterator[tuple[str, Path]]:
        """Yield the files that count, those last that tell what the others are."""
        paths = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        named = {path.relative_to(self.folder).as_posix(): path for path in paths}
        hidden = {name for name in named if any(part.startswith(".") for part in name.split("/"))}
        others = [name for name in named if name not in hidden and name.partition("/")[0] not in (PARTS, ASIDE)]
        if layers.NAME in others:
            yield layers.NAME, named[layers.NAME]
        for path in files(self.folder):
            yield f"{PARTS}/{path.name}", path
        for name in sorted(set(others) - {layers.NAME}, key=lambda name: (name == ABOUT, name)):
            yield name, named[name]

    def _is_due(self, name: str, state: _State) -> bool:
        """Tell whether to put a file that has changed now."""
        if name not in (ABOUT, LINES) or name not in self._there or self._closing:
            return True
        return state.size >= 1.125 * self._there[name].size or time.monotonic() - self._when[name] >= _RARELY


def _new_place(place: Place) -> Place:
    """Return a place, or the first of place-2, place-3, ... that holds nothing."""
    for n in range(1, 1_000_000):
        number = "" if n == 1 else f"-{n}"
        path, name = (text.rstrip("/") + number for text in (place.path, place.name))
        candidate = Place(place.filesystem, path, name)
        kind = candidate.kind()
        if not kind or (kind == "folder" and not candidate.names()):
            return candidate
    raise AssertionError("unreachable")
