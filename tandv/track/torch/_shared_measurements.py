"""The measurements of all ranks are merged: each sends its rows to the first rank, which merges and writes.

In a tracked step the ranks exchange a few numbers, then the first gathers one buffer from each. Names are sent
only when a rank has measured a new quantity. Copies of a tensor count once, from the lowest rank that has one.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tandv import statistics
from tandv.tensor_types import is_of_modules
from tandv.track.common.measurements import Block, Key, Later, Quantity, block, in_model_order
from tandv.track.torch._measurements import TorchMeasurements
from tandv.track.torch._ranks import Ranks

_SCALARS = statistics.WORD["counts"]  # columns before the counts
_ALIKE = 1e-4  # relative difference up to which two ranks' statistics are of copies; kernels may differ in rounding


class _Entry(NamedTuple):
    """A row that a rank sends at each step."""

    quantity: Quantity
    dtype: str


class _RankRow(NamedTuple):
    """The sender of a row."""

    rank: int
    entry: _Entry
    peers: str  # ranks that see the same batch as this one


class SharedMeasurements(TorchMeasurements):
    """The measurements of one step on all ranks; the first rank gets them, the others nothing.

    The end of a tracked step waits for the other ranks, and for the device.
    """

    def __init__(self, ranks: Ranks, per_rank: bool, exponents: tuple[int, int] | None, threads: Callable[[], int]):
        super().__init__(exponents, threads)
        self.ranks = ranks
        self._per_rank = per_rank
        self._mine: dict[Key, int] = {}  # places of this rank's entries
        self._entries_of: list[list[_Entry]] = [[] for _ in range(ranks.size)]
        self._peers_of: list[str] = [""] * ranks.size
        self._elsewhere: set[Key] = set()  # quantities of which a lower rank measures a copy
        self._split: set[Key] = set()  # outputs of which ranks with the same batch have different pieces

    def _add(self, tensors: Sequence[Any], quantities: Sequence[Quantity]) -> list[Any]:
        if not self._elsewhere:
            return super()._add(tensors, quantities)
        here = [i for i, quantity in enumerate(quantities) if quantity.key not in self._elsewhere]
        handles: list[Any] = [None] * len(tensors)
        measured = super()._add([tensors[i] for i in here], [quantities[i] for i in here]) if here else []
        for i, handle in zip(here, measured, strict=True):
            handles[i] = handle
        return handles

    def take_later(self, step: int) -> Later:
        quantities, dtypes, rows = self._merge()
        self._release()
        self.clear()
        changed = self._note(quantities, dtypes)
        mine = self._entries_of[self.ranks.rank]
        in_place = statistics.empty_rows(len(mine), rows.dtype)
        in_place[[self._mine[quantity.key] for quantity in quantities]] = rows
        used = statistics.exponent_range(rows)

        news = json.dumps([self._peers_of[self.ranks.rank], *mine]).encode() if changed else b""
        said = self.ranks.all(np.array([step, len(news), len(mine), *used], np.int64))
        if len(set(said[:, 0])) > 1:
            steps = ", ".join(f"{one} on rank {rank}" for rank, one in enumerate(said[:, 0]))
            raise RuntimeError(f"the ranks are at different steps ({steps}); `every` must choose the same on each")
        if said[:, 1].any():
            self._learn(self.ranks.all(_padded(news, said[:, 1].max())), said[:, 1])
        low, high = int(said[:, 3].min()), int(said[:, 4].max())
        sent = self.ranks.to_first(_packed(in_place, int(said[:, 2].max()), low, high))
        if not sent:
            return Later(lambda: block(step, []), 0)
        entries = [
            _RankRow(rank, entry, peers)
            for rank, (entries, peers, n) in enumerate(zip(self._entries_of, self._peers_of, said[:, 2], strict=True))
            for entry in entries[:n]
        ]
        packed = np.concatenate([part[:n] for part, n in zip(sent, said[:, 2], strict=True)])
        return Later(lambda: self._whole(step, _unpacked(packed, low, high), entries), packed.nbytes)

    # What is known of the ranks.

    def _note(self, quantities: list[Quantity], dtypes: list[str]) -> bool:
        """Assign a place to each quantity ever measured on this rank; tell whether one is new."""
        mine, changed = self._entries_of[self.ranks.rank], False
        for quantity, dtype in zip(quantities, dtypes, strict=True):
            entry, place = _Entry(quantity, dtype), self._mine.setdefault(quantity.key, len(mine))
            if place == len(mine):
                mine.append(entry)
            elif mine[place] == entry:
                continue
            mine[place], changed = entry, True
            if _is_output(quantity) and (peers := quantity.part.partition("|")[0]):
                self._peers_of[self.ranks.rank] = max(self._peers_of[self.ranks.rank], peers, key=len)
        return changed

    def _learn(self, news: np.ndarray, sizes: np.ndarray) -> None:
        """Update what each rank measures; what a lower rank has a copy of is not measured here."""
        for rank, (text, size) in enumerate(zip(news, sizes, strict=True)):
            if size:
                peers, *entries = json.loads(text[:size].tobytes())
                self._peers_of[rank] = peers
                self._entries_of[rank] = [_Entry(Quantity(tuple(q[0]), *q[1:]), dtype) for q, dtype in entries]
        if self._per_rank:
            return
        below = {
            (entry.quantity.key, entry.quantity.part)
            for entries in self._entries_of[: self.ranks.rank]
            for entry in entries
        }
        self._elsewhere = {
            entry.quantity.key
            for entry in self._entries_of[self.ranks.rank]
            if not _is_output(entry.quantity) and (entry.quantity.key, entry.quantity.part) in below
        }

    # On the first rank.

    def _whole(self, step: int, rows: np.ndarray, sent: list[_RankRow]) -> Block:
        there = np.flatnonzero(rows["calls"])
        rows, sent = rows[there], [sent[i] for i in there]
        if self._per_rank:
            quantities = [one.entry.quantity._replace(order=(*_order(one), one.rank)) for one in sent]
            found = quantities, [one.entry.dtype for one in sent], rows
            taken = in_model_order(step, found, self.exponents, by_rank=True)
            return taken._replace(ranks=np.array([quantity.order[-1] for quantity in taken.quantities]))
        first: dict[Key, int] = {}
        for one in sent:
            first.setdefault(one.entry.quantity.key, one.rank)
        kept = self._without_copies(rows, sent)
        quantities = [
            sent[i].entry.quantity._replace(order=_order(sent[i], first[sent[i].entry.quantity.key])) for i in kept
        ]
        return block(step, [(quantities, [sent[i].entry.dtype for i in kept], rows[kept])], self.exponents)

    def _without_copies(self, rows: np.ndarray, sent: list[_RankRow]) -> list[int]:
        """Return the rows that count: one of each piece, and `calls` once for the pieces of one tensor."""
        tensors: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for i, one in enumerate(sent):
            quantity = one.entry.quantity
            group = quantity.part.partition("|")[0] or one.peers or str(one.rank) if _is_output(quantity) else ""
            tensors[*quantity.key, group].append(i)
        kept = []
        for (*key, _), members in tensors.items():
            pieces: dict[str, int] = {}
            plain = not sent[members[0]].entry.quantity.part
            if plain and len(members) > 1 and self._are_copies(tuple(key), rows[members]):
                members = members[:1]
            for i in members:
                pieces.setdefault(sent[i].entry.quantity.part or f"of {sent[i].rank}", i)
            calls = max(rows["calls"][i] for i in pieces.values())
            for nth, i in enumerate(pieces.values()):
                rows["calls"][i] = 0 if nth else calls
                kept.append(i)
        return sorted(kept)

    def _are_copies(self, key: Any, rows: np.ndarray) -> bool:
        """Tell whether ranks that see the same batch have the same tensor, or each a piece of it.

        Outputs between tensor-parallel layers are plain tensors without placements. Copies agree in every statistic;
        a tensor that differs once counts as split from then on; constants are no evidence.
        """
        if key in self._split:
            return False
        told = [np.ldexp(rows[name], rows["scale"]) for name in ("sum_abs", "sum")]
        alike = all(
            np.allclose(values, values[0], rtol=_ALIKE, atol=_ALIKE * told[0].max())
            for values in (*told, rows["max_abs"], rows["numel"], rows["zeros"])
        ) and np.allclose(rows["min_abs"], rows["min_abs"][0], rtol=_ALIKE)
        if not alike:
            self._split.add(key)
        return alike and bool((rows["max_abs"] > rows["min_abs"]).all())


def _is_output(quantity: Quantity) -> bool:
    return is_of_modules(quantity.tensor_type)


def _order(one: _RankRow, rank: int | None = None) -> tuple[Any, ...]:
    """Return a position in the model; those of higher ranks only, as in a pipeline, come last in their type."""
    order = one.entry.quantity.order
    return order if rank is None else (*order[:-2], rank, *order[-2:])


def _padded(text: bytes, size: int) -> np.ndarray:
    return np.frombuffer(text.ljust(size, b" "), np.uint8).copy()


def _packed(rows: np.ndarray, size: int, low: int, high: int) -> np.ndarray:
    """Return int64 [size, columns]: the scalars of each row and its counts from `low` to `high`."""
    matrix = rows.view(np.int64).reshape(len(rows), rows.dtype.itemsize // 8)
    out = np.zeros((size, _SCALARS + high - low + 1), np.int64)
    out[: len(rows), :_SCALARS] = matrix[:, :_SCALARS]
    base = statistics.lowest_exponent(rows)
    start, stop = max(low, base), min(high, base + rows["counts"].shape[1] - 1) + 1
    out[: len(rows), _SCALARS + start - low : _SCALARS + stop - low] = rows["counts"][:, start - base : stop - base]
    return out


def _unpacked(packed: np.ndarray, low: int, high: int) -> np.ndarray:
    narrow = low >= statistics.LOWEST and high <= statistics.HIGHEST
    rows = np.zeros(len(packed), statistics.ROW if narrow else statistics.WIDE_ROW)
    matrix = rows.view(np.int64).reshape(len(rows), rows.dtype.itemsize // 8)
    matrix[:, :_SCALARS] = packed[:, :_SCALARS]
    base = statistics.lowest_exponent(rows)
    rows["counts"][:, low - base : high - base + 1] = packed[:, _SCALARS:]
    return rows
