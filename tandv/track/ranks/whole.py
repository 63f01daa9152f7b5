"""The rows of all ranks as rank 0 writes them, and whose copy of each tensor counts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tandv.track.common.measurements import Block, Quantity, block
from tandv.track.ranks.known import Known
from tandv.track.ranks.labels import quantity_of
from tandv.track.ranks.part import ANY, NO_GROUP, StepPart, without_copies


class _Tensors(NamedTuple):
    """What the rows of a part are of."""

    quantities: list[Quantity]
    dtypes: list[str]
    numbers: np.ndarray  # of the tensor of each row, the same for the dtypes and orders that ranks may have
    firsts: np.ndarray  # the lowest rank that measures it


class Whole:
    """Makes the rows of a log out of parts.

    Args:
        known: what ranks have told of their rows.
        exponents: the columns of the histogram.
        say: tells all ranks something.
        gone: returns the latest step of each rank that has left or died.
    """

    def __init__(
        self,
        known: Known,
        exponents: tuple[int, int] | None,
        say: Callable[[dict[str, Any]], None],
        gone: Callable[[], dict[int, int]],
    ):
        self._known, self._exponents, self._say, self._gone = known, exponents, say, gone
        self._owners: dict[int, tuple[int, int]] = {}  # group and rank of the copy that counts
        self._told_gone: dict[int, int] = {}
        self._last: tuple[np.ndarray, _Tensors] | None = None

    def block(self, part: StepPart) -> Block:
        """Return the rows of a step."""
        tensors = self._tensors(part.ids)
        part = without_copies(part, self._known.all.meshes, tensors.numbers)
        self._choose_owners(part)
        tensors, calls = self._tensors(part.ids), part.rows["calls"]
        calls[:] = np.where(part.is_mesh, -(-calls // part.pieces), np.maximum(calls, part.rows["numel"] > 0))
        order = np.argsort(tensors.firsts, kind="stable")
        quantities = [tensors.quantities[i] for i in order]
        return block(part.step, [(quantities, [tensors.dtypes[i] for i in order], part.rows[order])], self._exponents)

    def _tensors(self, ids: np.ndarray) -> _Tensors:
        if self._last is None or not np.array_equal(self._last[0], ids):
            self._last = ids, self._find_tensors(ids)
        return self._last[1]

    def _find_tensors(self, ids: np.ndarray) -> _Tensors:
        about = [self._known.all.tensors[key] for key in ids.tolist()]
        found = [quantity_of(one) for one, _ in about]
        numbers: dict[Any, int] = {}
        of = [numbers.setdefault(quantity.key, len(numbers)) for quantity, _ in found]
        lowest: dict[int, int] = {}
        for number, (_, rank) in zip(of, about, strict=True):
            lowest[number] = min(rank, lowest.get(number, rank))
        quantities = [quantity for quantity, _ in found]
        # tensors of higher ranks only, as in a pipeline, come last in their type
        quantities = [
            one._replace(order=(*one.order[:-2], lowest[number], *one.order[-2:]))
            for one, number in zip(quantities, of, strict=True)
        ]
        firsts = np.array([rank for _, rank in about], np.int64)
        return _Tensors(quantities, [dtype for _, dtype in found], np.array(of, np.int64), firsts)

    def _choose_owners(self, part: StepPart) -> None:
        """Tell all ranks whose copy counts, so that others need not measure theirs, and which ranks are gone."""
        copies = (part.is_mesh & (part.whose == ANY)) | ((part.groups == NO_GROUP) & (part.whose != ANY))
        there = {
            key: (group, whose)
            for key, group, whose in zip(
                part.ids[copies].tolist(), part.groups[copies].tolist(), part.whose[copies].tolist(), strict=True
            )
        }
        gone = dict(self._gone())
        lost = sum(1 << rank for rank in gone)
        free = []
        for key, (group, whose) in self._owners.items():
            ranks = self._known.all.meshes[group].ranks if group != NO_GROUP else 1 << whose
            if ranks & lost or (key not in there and not ranks & ~part.who):
                free.append(key)
        for key in free:
            del self._owners[key]
        new = {key: owner for key, owner in there.items() if key not in self._owners and key not in free}
        self._owners |= new
        if new or free or gone != self._told_gone:
            self._told_gone = gone
            self._say({"owners": [[key, *owner] for key, owner in new.items()], "free": free, "gone": gone})
