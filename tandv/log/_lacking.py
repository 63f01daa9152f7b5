"""Which steps are lacking where files of a run are damaged: what they held is known only from the files beside them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tandv.log._index import File
from tandv.messages import some

_MOST = 100_000  # steps that are taken to be lacking in one gap


class Gap(NamedTuple):
    """What damaged files leave out.

    Args:
        after: the last step before it; None where it is the beginning of the run.
        before: the first step after it; None where it is the end.
    """

    after: int | None
    before: int | None

    def words(self) -> str:
        """Return where it is."""
        if self.after is None:
            return f"before step {self.before:,}"
        return f"after step {self.after:,}" if self.before is None else f"between {self.after:,} and {self.before:,}"


def gaps(files: Iterable[File | None]) -> list[Gap]:
    """Return the gaps that damaged files leave.

    Args:
        files: the files of a run in the order of their parts, None for one that is damaged.
    """
    out: list[Gap] = []
    last, open_ = None, False
    for file in files:
        if file is None:
            open_ = True
            continue
        if not file.groups:
            continue
        low = min(group.low for group in file.groups)
        if open_ and (last is None or low - last > 1):
            out.append(Gap(last, low))
        open_ = False
        last = max([group.high for group in file.groups] + ([] if last is None else [last]))
    return [*out, Gap(last, None)] if open_ and last is not None else out


def words_of(found: Sequence[Gap]) -> list[str]:
    """Return a sentence about gaps, none if there are none.

    >>> words_of([Gap(29, 40), Gap(99, None)])
    ['steps of damaged files are lacking: between 29 and 40, after step 99']

    Args:
        found: the gaps.
    """
    return [f"steps of damaged files are lacking: {some([one.words() for one in found], 5)}"] if found else []


def lacking(found: Sequence[Gap], steps: np.ndarray) -> np.ndarray:
    """Return the steps in gaps, as far as they follow from the steps around them.

    >>> lacking([Gap(20, 50)], np.array([0, 10, 20, 50, 60])).tolist()
    [30, 40]

    Args:
        found: the gaps.
        steps: the steps that are there, ascending.
    """
    out = [np.zeros(0, np.int64)]
    apart, many = np.unique(np.diff(steps), return_counts=True)
    usual = int(apart[many.argmax()]) if len(apart) else 0
    for after, before in found:
        if after is None or before is None or usual < 1 or (before - after) % usual:
            continue
        if (before - after) // usual <= _MOST:
            out.append(np.arange(after + usual, before, usual))
    return np.concatenate(out)
