"""A thread of low priority that makes what large logs are shown from, in the background."""

import contextlib
import copy
import os
import threading
from collections.abc import Callable, Sequence

from tandv.log._levels import LevelFiles
from tandv.log._memory import give_back
from tandv.log._pieces import FilePiece, Handles
from tandv.log._unreadable import UnreadableFile

_NICE = 15
_REST = 0.005  # seconds between two row groups


class Background:
    """Makes the levels of files, one after the other, until it is closed."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def work(self, files: LevelFiles, pieces: Sequence[FilePiece], save: Callable[[], None]) -> bool:
        """Begin, if there is something to do; tell whether all is made or being made.

        Args:
            files: what is kept.
            pieces: of which files it is made.
            save: keeps where their rows lie.
        """
        if self._ended.is_set() or (self._thread is not None and self._thread.is_alive()):
            return False
        todo = [piece for piece in pieces if not files.has(piece)]
        if todo or not all(piece.is_saved for piece in pieces):
            # No daemon, which would be stopped in the middle of a file: it ends by itself with the main thread.
            self._thread = threading.Thread(target=self._make, args=(files, todo, pieces, save), name="tandv exponents")
            self._thread.start()
        return True

    def join(self) -> None:
        """Wait until what was begun is made."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """End it."""
        self._ended.set()
        self.join()

    def _make(
        self,
        files: LevelFiles,
        todo: Sequence[FilePiece],
        current: Sequence[FilePiece],
        save: Callable[[], None],
    ) -> None:
        if hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)  # on Linux that of this thread
        files.clear(list(current))
        handles = Handles()
        try:
            save()
            for piece in todo:
                own = copy.copy(piece)
                own.handles = handles  # those of the log are used by those who ask it
                # Joined with others meanwhile, damaged, or without room for the cache: it is read from the files then.
                with contextlib.suppress(FileNotFoundError, UnreadableFile):
                    if not files.write(own, self._pause):
                        return
        except OSError:
            return
        finally:
            handles.close()
            give_back()

    def _pause(self) -> bool:
        """Rest a little; tell whether it is to end."""
        return self._ended.wait(_REST) or not threading.main_thread().is_alive()
