"""What answers the questions of a page, and the thread that looks for what is new as long as a browser asks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

_log = logging.getLogger("tandv.page")
INTERVAL = 0.7  # seconds between two looks at the runs
_ATTENDED = 10.0  # seconds after the last question for which the page is taken to be open


class Answering(Protocol):
    """What a carrier needs of `tandv.page.answers.Answers`."""

    def answer(self, run: int, questions: Any) -> bytes:
        """Return one envelope with the answers to some questions about a run."""
        ...

    def refresh(self) -> bool:
        """Look for what is new in the runs; return whether something changed."""
        ...

    def close(self) -> None:
        """Close what is opened."""
        ...


class Watcher:
    """A thread that refreshes answers every 0.7 seconds while a browser asks.

    Args:
        answers: what is refreshed.
        changed: called in that thread after something changed.
    """

    def __init__(self, answers: Answering, changed: Callable[[], None] | None = None):
        self._answers, self._changed = answers, changed
        self._asked = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tandv page", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def asked(self) -> None:
        """Note that a question was asked just now."""
        self._asked = time.monotonic()

    def silence(self) -> float:
        """Return the seconds since the last question."""
        return time.monotonic() - self._asked

    def end(self) -> None:
        """End the thread; what it reads just now is awaited for a moment only."""
        self._ended.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(2)

    def _watch(self) -> None:
        told = ""
        while not self._ended.wait(INTERVAL):
            if self.silence() >= _ATTENDED:
                continue
            try:
                if self._answers.refresh() and self._changed is not None:
                    self._changed()
            except Exception as error:  # a fault of ours: the page goes on with what it has
                if repr(error) != told:
                    _log.exception("the page could not be brought up to date")
                told = repr(error)
