"""The names under which trackers show their numbers, kept apart where several share a W&B run or a SummaryWriter.

A tracker with a name shows "tandv-<name>/...", another "tandv/...". Where that is taken by a tracker that still
records, or that has shown the same steps, a number or the model's class is added. The names are no parts of each
other, so that W&B's "tandv/*" does not match those of another tracker, nor a phase of one the name of another.
"""

import itertools
import threading
import weakref
from collections.abc import Iterator
from typing import Any


class _Shown:
    """What has been shown under a name: up to which step, and whether its tracker still records."""

    def __init__(self) -> None:
        self.step = -1
        self.is_open = True


class Tags:
    """The names of one tracker's numbers in a run or writer, chosen when the first step is shown.

    >>> class Writer: ...
    >>> writer = Writer()
    >>> generator, discriminator = Tags(writer, "G", "Linear"), Tags(writer, "D", "Linear")
    >>> generator.at(0), discriminator.at(0), Tags(writer, None, "Linear").at(0), Tags(writer, None, "Linear").at(0)
    ('tandv-G', 'tandv-D', 'tandv', 'tandv-Linear')

    Args:
        target: the W&B run or SummaryWriter.
        name: the tracker's name, if it was given one.
        title: the class of its model.
    """

    def __init__(self, target: Any, name: str | None, title: str):
        self._target, self._name, self._title = target, name, title
        self._chosen: tuple[str, _Shown] | None = None

    def at(self, step: int) -> str:
        """Return what all names begin with, and remember that a step has been shown.

        Args:
            step: the step that is going to be shown.
        """
        with _lock:
            if self._chosen is None:
                self._chosen = self._choose(step)
            prefix, shown = self._chosen
            shown.step = max(shown.step, step)
        return prefix

    @property
    def prefix(self) -> str:
        """What all names begin with; before the first step has been shown, what they would without other trackers."""
        return self._chosen[0] if self._chosen is not None else next(self._wanted())

    def close(self) -> None:
        """Let another tracker go on with later steps under the same names."""
        if self._chosen is not None:
            self._chosen[1].is_open = False

    def _choose(self, step: int) -> tuple[str, _Shown]:
        taken = _taken.setdefault(self._target, {})
        for prefix in self._wanted():
            shown = taken.get(prefix)
            if shown is None or (not shown.is_open and shown.step < step):
                taken[prefix] = _Shown()
                return prefix, taken[prefix]
        raise AssertionError("unreachable")

    def _wanted(self) -> Iterator[str]:
        if self._name is None:
            yield "tandv"
        yield f"tandv-{self._name or self._title}"
        yield from (f"tandv-{self._name or self._title}-{n}" for n in itertools.count(2))


_lock = threading.Lock()  # steps are shown from the threads of writers
_taken: weakref.WeakKeyDictionary[Any, dict[str, _Shown]] = weakref.WeakKeyDictionary()
