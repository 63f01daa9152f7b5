"""The measurements of all ranks are merged: each sends its rows up the tree of ranks, and the first one writes.

Where a step ends, rows are only copied. The thread that writes reads them from devices, labels and packs them; a thread
of each rank merges them with those of the ranks below. Nothing waits for another rank.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from tandv.track.common.measurements import Block, Later, Quantity, merged
from tandv.track.ranks.labels import Labels
from tandv.track.ranks.part import StepPart
from tandv.track.ranks.whole import Whole
from tandv.track.torch._measurements import TorchMeasurements
from tandv.track.torch._ranks import Ranks
from tandv.track.torch._same_batch import ranks_of_same_batch


class SharedMeasurements(TorchMeasurements):
    """The measurements of one step on all ranks; the first rank gets them, the others nothing."""

    def __init__(self, ranks: Ranks, exponents: tuple[int, int] | None, threads: Callable[[], int]):
        super().__init__(exponents, threads)
        self.ranks = ranks
        self.taken = -1  # the latest step
        self.queue: Callable[[Callable[[], None], int], object]  # gives a task that holds so many bytes to a thread
        self.finished: dict[int, StepPart] = {}  # on the first rank, steps whose rows can be made
        self.labels = Labels(ranks.rank, ranks.members)
        self._whole: Whole | None = None

    def _add(self, tensors: Sequence[Any], quantities: Sequence[Quantity]) -> list[Any]:
        elsewhere = self.labels.elsewhere
        if not elsewhere:
            return super()._add(tensors, quantities)
        here = [i for i, quantity in enumerate(quantities) if quantity.key not in elsewhere]
        handles: list[Any] = [None] * len(tensors)
        measured = super()._add([tensors[i] for i in here], [quantities[i] for i in here]) if here else []
        for i, handle in zip(here, measured, strict=True):
            handles[i] = handle
        return handles

    def take_later(self, step: int) -> Later:
        with self._alone:
            self._send()
            parts, sent = self._parts(), self._sent
            self._sent = []
            self.clear()
        size = sum(rows.nbytes for *_, rows in parts) + sum(one.rows.nbytes for one in sent)
        self.queue(lambda: self._send_up(step, [*parts, *(one.part() for one in sent)]), size)
        self.taken = step
        return Later(lambda: self.block(self.finished.pop(step)), 0)

    def _send_up(self, step: int, parts: Sequence[Any]) -> None:
        quantities, dtypes, rows = merged(parts)
        part = self.labels.part(step, quantities, dtypes, rows)
        self.ranks.tree.give(part, self.labels.news(quantities, dtypes))

    def find_same_batch(self, model: nn.Module) -> bool:
        """Find the ranks that have this rank's batch, where outputs do not tell it; return whether that is known.

        Args:
            model: the model.
        """
        found = ranks_of_same_batch(model)
        self.labels.same_batch = found or ()
        return found is not None

    def leave(self) -> None:
        """End taking part, once what was measured is sent."""
        self.queue(self.ranks.tree.end, 0)

    def block(self, part: StepPart) -> Block:
        """Return the rows of all ranks in a step, on the first rank."""
        if self._whole is None:
            merging = self.ranks.tree.merging
            say = self.ranks.tree.say
            self._whole = Whole(merging.known, self.exponents, say, lambda: merging.gone)
        return self._whole.block(part)
