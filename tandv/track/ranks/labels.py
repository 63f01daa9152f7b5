"""How a rank labels what it measures, so that pieces of a tensor add up, and copies of it count once."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tandv.tensor_types import is_of_modules
from tandv.track.common.measurements import Key, Quantity
from tandv.track.ranks.known import News, hash_of
from tandv.track.ranks.part import ANY, NO_GROUP, Mesh, StepPart, part_of


@dataclass(frozen=True, eq=False)  # compared by identity, as its ranks may be a thousand
class Shard:
    """The part that a rank has of a tensor that is on several."""

    ranks: tuple[int, ...]  # of the mesh, by the numbers of the whole job
    holders: tuple[int, ...]  # of them, those that have this same part
    pieces: int  # that the tensor has


WHOLE = Shard((), (), 1)  # of a tensor of which every rank has a copy, such as a weight under data parallelism


class _Label(NamedTuple):
    """How the rows of one quantity are counted."""

    id: int
    group: int
    whose: int
    holders: tuple[int, ...] = ()  # ranks that have the same; the first that is there sends it
    bears_calls: bool = True
    is_copy: bool = False  # of which rank 0 says whose counts


def is_output(quantity: Quantity) -> bool:
    """Tell whether a quantity is of what a module computes, of which each rank has that of its own batch."""
    return is_of_modules(quantity.tensor_type)


class Labels:
    """The labels of what one rank measures.

    Args:
        rank: its number in the tree.
        members: the number in the whole job of each rank of the tree.
    """

    def __init__(self, rank: int, members: Sequence[int]):
        self.elsewhere: frozenset[Key] = frozenset()  # what need not be measured here, as another rank's copy counts
        self._rank = rank
        self._numbers = {member: number for number, member in enumerate(members)}
        self._words = deque[dict[str, Any]]()
        self._owners: dict[int, tuple[int, int]] = {}  # group and rank of the copy that counts
        self._gone: dict[int, int] = {}  # the latest step of ranks that have left
        self._labels: dict[tuple[Quantity, str], _Label] = {}
        self._left_out: dict[Key, _Label] = {}
        self._peers: tuple[int, ...] = ()  # ranks that see the same batch as this one
        self.same_batch: tuple[int, ...] = ()  # the same, where outputs do not tell it
        self._told, self._meshes = set[int](), dict[int, Mesh]()

    def hear(self, word: dict[str, Any]) -> None:
        """Take what rank 0 says of copies and of ranks, for the step that is labelled next; of any thread."""
        if "owners" in word:
            self._words.append(word)

    def part(self, step: int, quantities: Sequence[Quantity], dtypes: Sequence[str], rows: np.ndarray) -> StepPart:
        """Return what is sent of a step. The `calls` of rows that another rank's stand for become 0.

        Args:
            step: the step.
            quantities: what was measured.
            dtypes: of each tensor.
            rows: of each tensor.
        """
        self._listen()
        self._find_peers(quantities)
        labels, places, changed = [], [], False
        for place, pair in enumerate(zip(quantities, dtypes, strict=True)):
            label = self._labels.get(pair)
            if label is None:
                label = self._labels[pair] = self._label(*pair)
            if not self._is_mine(label, step):
                if label.is_copy and pair[0].key not in self._left_out:
                    self._left_out[pair[0].key], changed = label, True
                continue
            if not label.bears_calls:
                rows["calls"][place] = 0
            labels.append(label[:3])
            places.append(place)
        if changed:
            self.elsewhere = frozenset(self._left_out)
        return part_of(step, self._rank, labels, rows[places])

    def news(self, quantities: Sequence[Quantity], dtypes: Sequence[str]) -> News:
        """Return what has not been told of quantities that have been labelled."""
        tensors = {}
        for quantity, dtype in zip(quantities, dtypes, strict=True):
            label = self._labels[quantity, dtype]
            if label.id not in self._told:
                self._told.add(label.id)
                tensors[label.id] = (_about(quantity, dtype), self._rank)
        meshes, self._meshes = self._meshes, {}
        return News(tensors, meshes)

    def _listen(self) -> None:
        if not self._words:
            return
        while self._words:
            word = self._words.popleft()
            self._owners |= {key: (group, whose) for key, group, whose in word["owners"]}
            for key in word["free"]:
                self._owners.pop(key, None)
            self._gone |= {int(rank): step for rank, step in word["gone"].items()}
        self._left_out = {key: label for key, label in self._left_out.items() if not self._is_mine(label, None)}
        self.elsewhere = frozenset(self._left_out)

    def _is_mine(self, label: _Label, step: int | None) -> bool:
        """Tell whether this rank sends a row; `None` for steps to come."""
        if label.holders:
            there = (one for one in label.holders if step is not None and self._gone.get(one, step) >= step)
            if step is None:
                there = (one for one in label.holders if one not in self._gone)
            if next(there, self._rank) != self._rank:
                return False
        owner = self._owners.get(label.id) if label.is_copy else None
        return owner is None or owner == (label.group, label.whose)

    def _find_peers(self, quantities: Sequence[Quantity]) -> None:
        known = self._peers
        self._peers = max(known, self.same_batch, key=len)
        for quantity in quantities:
            if quantity.part is not None and is_output(quantity) and len(quantity.part.ranks) > len(self._peers):
                self._peers = quantity.part.ranks
        if self._peers != known:
            self._labels.clear()

    def _label(self, quantity: Quantity, dtype: str) -> _Label:
        key, part = hash_of(_about(quantity, dtype)), quantity.part
        if part is None and is_output(quantity):
            if not self._peers:
                return _Label(key, NO_GROUP, ANY)
            return _Label(key, self._mesh(self._peers, 1), self._rank)
        if part is None or not part.ranks:
            return _Label(key, NO_GROUP, self._rank, is_copy=True)
        holders = self._inside(part.holders)
        if is_output(quantity):
            first = min(self._inside(part.ranks), default=self._rank)
            return _Label(key, NO_GROUP, ANY, holders, bears_calls=first in holders)
        return _Label(key, self._mesh(part.ranks, part.pieces), ANY, holders, is_copy=True)

    def _inside(self, ranks: Sequence[int]) -> tuple[int, ...]:
        return tuple(sorted(self._numbers[rank] for rank in ranks if rank in self._numbers))

    def _mesh(self, ranks: Sequence[int], pieces: int) -> int:
        inside = self._inside(ranks)
        group = hash_of([inside, pieces])
        self._meshes[group] = Mesh(sum(1 << rank for rank in inside), pieces)
        return group


def _about(quantity: Quantity, dtype: str) -> list[Any]:
    return [list(quantity.order), *quantity[1:4], *quantity[5:], dtype]


def quantity_of(about: Sequence[Any]) -> tuple[Quantity, str]:
    """Return the quantity and the dtype that a rank has told of."""
    order, name, kind, tensor_type, phase, reading, lived, dtype = about
    return Quantity(tuple(order), name, kind, tensor_type, None, phase, reading, lived), dtype
