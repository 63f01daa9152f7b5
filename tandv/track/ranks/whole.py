"""The rows of all ranks as rank 0 writes them, and whose copy of each tensor counts."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tandv.log.across_ranks import columns_of
from tandv.track.common.measurements import Block, Merged, Quantity, in_model_order, lived_in, merged, settled
from tandv.track.common.readings import FINAL
from tandv.track.ranks.extremes import STATISTICS, Extremes, grouped
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
        found = merged([(quantities, [tensors.dtypes[i] for i in order], part.rows[order])])
        whole = in_model_order(part.step, found, self._exponents)
        return whole._replace(over_ranks=_over_ranks(part.of(order), quantities, found))

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


def _over_ranks(part: StepPart, quantities: Sequence[Quantity], found: Merged) -> Block | None:
    """Return the extremes over ranks of tensors that several have measured, in model order; None where none has.

    Args:
        part: the rows.
        quantities: what each row is of.
        found: the same rows, those of one tensor merged.
    """
    if part.extremes is None or not len(part.ids):
        return None
    places = {quantity.key: place for place, quantity in enumerate(found[0])}
    of = np.array([places[quantity.key] for quantity in quantities], np.int64)
    pieces, extremes = np.bincount(of, part.pieces), grouped(part.extremes, of)
    kept = [i for i in settled(found[0], (found[2]["zeros"] == found[2]["numel"]).tolist()) if pieces[i] > 1]
    if not kept:
        return None
    kept.sort(key=lambda i: found[0][i].order)
    of_ranks = [found[0][i]._replace(reading=FINAL) for i in kept]
    chosen = extremes.of(np.array(kept, np.int64))
    scalars = _columns(chosen)
    dtypes = lived_in(of_ranks, [found[1][i] for i in kept])
    return Block(part.step, of_ranks, dtypes, scalars, np.zeros((len(kept), 2), np.int64), 0)


def _columns(extremes: Extremes) -> dict[str, np.ndarray]:
    """Return the columns that the log of extremes has."""
    with np.errstate(over="ignore"):
        narrow = extremes.values.astype(np.float32)
    values = extremes.values if np.isinf(narrow).any() else narrow
    out = {}
    for i, name in enumerate(STATISTICS):
        smallest, rank_of_smallest, largest, rank_of_largest = columns_of(name)
        out |= {smallest: values[:, i, 0], rank_of_smallest: extremes.ranks[:, i, 0]}
        out |= {largest: values[:, i, 1], rank_of_largest: extremes.ranks[:, i, 1]}
    return out
