"""What began when in each tensor: the first NaN, the first infinity, and from where on all is zero.

Of each piece little is kept, so that of a log that grows only new pieces are looked at.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tandv.log._pieces import Piece
from tandv.log.shown import First
from tandv.log.store.layers import Tensor
from tandv.tensor_types import OPTIMISER_STATE, WEIGHT

DEAD = 5  # logged steps to the end at which all values are zero, at least
_COUNTS = {"nan": "nans", "inf": "infs"}
_MADE_SO = (WEIGHT, OPTIMISER_STATE)  # types that are zero from the first step on because they begin so

Of = Callable[[Piece, str, Callable[[], Any]], Any]  # keeps what was made of a piece, under a name


class _Begun(NamedTuple):
    """Of the tensors of a layout: the step of the first count that is not 0, the count, and of how many values."""

    tensors: np.ndarray
    steps: np.ndarray
    many: np.ndarray
    of: np.ndarray


class _Tail(NamedTuple):
    """Of the tensors of a layout: how many of their last rows are all zero, from which step on, of how many rows."""

    zero: np.ndarray
    step: np.ndarray
    numel: np.ndarray
    rows: np.ndarray
    last: int


def firsts_of(pieces: Sequence[Piece], tensors: Sequence[Tensor], numbers: dict[Tensor, int], of: Of) -> list[First]:
    """Return the first NaN and infinity of each tensor, and the tensors that are zero at the end, in no order.

    Args:
        pieces: the pieces of the log.
        tensors: its tensors.
        numbers: the number of each.
        of: returns what was made of a piece before, else makes it.
    """
    named = {numbers[one]: one for one in tensors}
    found: dict[tuple[str, int], First] = {}
    for piece in pieces:
        for tt in piece.layouts:
            begun_here = of(piece, f"begun {tt}", lambda piece=piece, tt=tt: _begun(piece, tt))
            for kind, begun in (begun_here or {}).items():  # nothing of a piece that is damaged
                for number, step, many, numel in zip(*map(np.ndarray.tolist, begun), strict=True):
                    known = found.get((kind, number))
                    if number in named and (known is None or step < known.step):
                        found[kind, number] = First(kind, *named[number], step, many, numel)
    return [*found.values(), *_dead(pieces, named, of)]


def _begun(piece: Piece, tt: str) -> dict[str, _Begun]:
    if piece.is_finite(tt):
        return {}
    layout = piece.layouts[tt]
    columns = piece.columns(tt, ("nans", "infs", "numel"))
    out = {}
    for kind, name in _COUNTS.items():
        if name not in columns:
            continue
        counts = layout.arranged(np.nan_to_num(columns[name]), 0)
        some = counts > 0
        rows = np.flatnonzero(some.any(axis=1))
        if len(rows):
            at = some[rows].argmax(axis=1)
            numel = layout.arranged(np.nan_to_num(columns.get("numel", np.zeros(len(columns[name])))), 0)
            out[kind] = _Begun(
                layout.tensors[rows],
                layout.steps[at],
                counts[rows, at].astype(np.int64),
                numel[rows, at].astype(np.int64),
            )
    return out


def _dead(pieces: Sequence[Piece], named: dict[int, Tensor], of: Of) -> Iterable[First]:
    """Yield the tensors that are zero at the end: pieces are looked at from the last on, until each was not zero."""
    found: dict[int, tuple[int, int, int]] = {}  # of each tensor the step, its rows from there on, its values
    ended: set[int] = set()
    begun: set[int] = set()  # those that are zero from their first row on
    types = dict.fromkeys(tt for tt, _ in named.values())
    for tt in types:
        having = sorted((piece for piece in pieces if tt in piece.layouts), key=lambda one: one.layouts[tt].steps[-1])
        waiting = {number for number, one in named.items() if one[0] == tt}
        for piece in reversed(having):
            numbers = piece.layouts[tt].tensors.tolist()
            if not waiting.intersection(numbers):
                continue
            tail = of(piece, f"tail {tt}", lambda piece=piece, tt=tt: _tail(piece, tt))
            if tail is None:
                waiting.difference_update(numbers)
                continue
            rows = zip(
                numbers, tail.zero.tolist(), tail.step.tolist(), tail.numel.tolist(), tail.rows.tolist(), strict=True
            )
            for number, zero, step, numel, many in rows:
                if number not in waiting or not many:
                    continue
                if zero:
                    _, before, values = found.get(number, (0, 0, numel))
                    found[number] = step, before + zero, values
                if zero < many:
                    waiting.discard(number)
                    ended.add(number)
        begun |= waiting & found.keys()
    for number, (step, rows, numel) in found.items():
        tt, layer = named[number]
        if rows >= DEAD and not (number in begun and tt.partition(".")[0] in _MADE_SO):
            yield First("dead", tt, layer, step, numel, numel)


def _tail(piece: Piece, tt: str) -> _Tail | None:
    """Return the rows of zeros that each tensor ends with in a piece; None where zeros are not counted."""
    layout = piece.layouts[tt]
    columns = piece.columns(tt, ("zeros", "numel"))
    if len(columns) < 2:
        return None
    zeros, numel = (np.nan_to_num(columns[name]).astype(np.int64) for name in ("zeros", "numel"))
    dead = (zeros == numel) & (numel > 0)
    begins, ends = layout.starts[:-1], layout.starts[1:]
    # The place after the last row that is not all zero, else where the tensor begins.
    after = np.maximum.reduceat(np.where(dead, -1, np.arange(len(dead))), begins) + 1
    after = np.maximum(after, begins)
    at = np.minimum(after, ends - 1)
    column = layout.columns_of(0, len(layout.tensors))[at]
    return _Tail(ends - after, layout.steps[column], numel[ends - 1], ends - begins, int(layout.steps[-1]))
