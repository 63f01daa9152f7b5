"""Make one frame of the rows that a run's files hold: its columns are allocated once, then filled group by group.

Rows are ordered by step, then as the model has its tensors, then by phase and rank.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from tandv.log._index import File
from tandv.log._rows import Found, Numbering, Query, Reader, bins, coded
from tandv.log.building import assemble, in_order
from tandv.log.schema import INFINITE, SchemaError
from tandv.log.store.columns import EXPONENTS, OVERFLOW, UNDERFLOW
from tandv.log.store.layers import Tensor

SCALARS = "scalar_stats/"
TYPE, DTYPE = "metadata/type", "metadata/dtype"
_OPEN = 200  # files of the same steps that are kept open: a process may open 1,024, or 256, and ranks have theirs


class Columns(NamedTuple):
    """Which columns a frame gets besides its metadata: statistics by name, and whether the counts of exponents."""

    scalars: list[str]
    counts: bool


class _Plan(NamedTuple):
    """The rows found in files whose steps overlap, and the place of each among the rows of the frame."""

    found: list[tuple[int, Found]]  # the position of the file, and the rows of one group
    rows: np.ndarray  # their places, group after group
    tensor: np.ndarray  # in the order of the frame
    step: np.ndarray
    phase: np.ndarray
    rank: np.ndarray | None


def frame_of(files: Sequence[File], tensors: Numbering, query: Query, wanted: Columns, where: str) -> pd.DataFrame:
    """Return the wanted rows of a run as a log; it has no rows if there are none.

    Args:
        files: the files with their index.
        tensors: the number of each tensor, in the order of the model.
        query: which rows.
        wanted: which columns.
        where: the name of the run, for errors.

    Raises SchemaError if a tensor has several rows at one step, as where two runs share a folder.
    """
    phases = Numbering()
    whole = query == Query()
    with ExitStack() as stack:

        def opened(some: list[File]) -> list[Reader]:
            kept = len(some) <= _OPEN
            return [stack.enter_context(Reader(file, tensors, phases, not whole, kept)) for file in some]

        plans: Iterable[tuple[_Plan, list[Reader]]]
        plans = ((_plan(readers, tensors, phases, query, where), readers) for readers in map(opened, clusters(files)))
        if whole:  # so many rows that their keys are not kept
            rows = sum(group.rows for file in files for group in file.groups)
        else:
            plans = list(plans)
            rows = sum(len(plan.rows) for plan, _ in plans)
        out = _Filled(files, rows, wanted)
        start = 0
        for plan, readers in plans:
            out.fill(plan, readers, start)
            start += len(plan.rows)
    return out.frame(list(tensors), list(phases), whole)


def clusters(files: Sequence[File]) -> Iterator[list[File]]:
    """Yield files in the order of their steps, those together whose steps overlap."""
    spans = [
        (min(group.low for group in file.groups), max(group.high for group in file.groups), file)
        for file in files
        if file.groups
    ]
    together: list[File] = []
    end = None
    for low, high, file in sorted(spans, key=lambda span: span[:2]):
        if end is not None and low > end:
            yield together
            together, end = [], None
        together.append(file)
        end = high if end is None else max(end, high)
    if together:
        yield together


def _plan(readers: list[Reader], tensors: Numbering, phases: Numbering, query: Query, where: str) -> _Plan:
    found = [(i, one) for i, reader in enumerate(readers) for one in reader.found(query)]
    if not found:
        nothing = np.zeros(0, np.int64)
        return _Plan([], nothing, nothing, nothing, nothing, None)
    keys = (np.concatenate([getattr(one, name) for _, one in found]) for name in ("tensor", "step", "phase"))
    tensor, step, phase = keys
    has_rank = any(one.rank is not None for _, one in found)
    rank = np.concatenate([_rank(one) for _, one in found]) if has_rank else None
    order = _sorted(tensor, step, phase, rank, tensors, phases, where)
    rows = np.empty(len(order), np.int64)
    rows[order] = np.arange(len(order))
    return _Plan(found, rows, tensor[order], step[order], phase[order], None if rank is None else rank[order])


def _rank(found: Found) -> np.ndarray:
    return np.zeros(len(found.step), np.int32) if found.rank is None else found.rank


def _sorted(
    tensor: np.ndarray,
    step: np.ndarray,
    phase: np.ndarray,
    rank: np.ndarray | None,
    tensors: Numbering,
    phases: Numbering,
    where: str,
) -> np.ndarray:
    """Return the order of rows by step, tensor, phase and rank."""
    key = (step - step.min()) * len(tensors) + tensor
    if len(phases) > 1:
        place = np.empty(len(phases), np.int64)  # of each phase in the order of text
        place[[phases[name] for name in sorted(phases)]] = np.arange(len(phases))
        key = key * len(phases) + place[phase]
    if rank is not None:
        key = key * (int(rank.max()) + 1) + rank
    order = np.argsort(key, kind="stable")
    ascending = key[order]
    if len(repeated := np.flatnonzero(ascending[1:] == ascending[:-1])):
        row = order[repeated[0]]
        kind, name = list(tensors)[tensor[row]]
        raise SchemaError(
            f"{where} holds {len(repeated):,} rows twice, first {kind} of {name!r} at step {step[row]}: two runs lie "
            "in one folder; move the files of one of them to a folder of its own"
        )
    return order


class _Filled:
    """The columns of a frame while they are filled."""

    def __init__(self, files: Sequence[File], rows: int, wanted: Columns):
        self._rows = rows
        self._names = wanted.scalars
        self._scalars = {name: np.empty(0) for name in wanted.scalars}
        for name in wanted.scalars:
            types = [file.columns.get(SCALARS + name) for file in files]
            dtype = np.result_type(*(one.to_pandas_dtype() for one in types if one is not None))
            complete = all(one is not None for one in types)
            self._scalars[name] = (
                np.empty(rows, dtype) if complete else np.full(rows, np.nan, np.result_type(dtype, np.float32))
            )
        self._text = {name: (Numbering(), np.empty(rows, np.int16)) for name in (TYPE, DTYPE)}
        self._tensor = np.empty(rows, np.int32)
        self._step = np.empty(rows, np.int64)
        self._phase = np.empty(rows, np.int16)
        self._rank: np.ndarray | None = None
        limits = [file.exponents for file in files if file.exponents is not None]
        self._lowest = min((low for low, _ in limits), default=0)
        self._highest = max((high for _, high in limits), default=-1)
        self._counts: np.ndarray | None = None
        if wanted.counts:
            # [bin, row], as pandas keeps it; the first and the last are of -inf and inf
            self._counts = np.zeros((self._highest - self._lowest + 3, rows), np.int32)
        self._used = np.zeros(self._highest - self._lowest + 3, bool)
        self._used[[0, -1]] = True

    def fill(self, plan: _Plan, readers: Sequence[Reader], start: int) -> None:
        """Put the rows of a plan into the columns from the row `start` on."""
        end = start + len(plan.rows)
        self._tensor[start:end], self._step[start:end], self._phase[start:end] = plan.tensor, plan.step, plan.phase
        if plan.rank is not None:
            if self._rank is None:
                self._rank = np.zeros(self._rows, np.int32)
            self._rank[start:end] = plan.rank
        names = [TYPE, DTYPE, *(SCALARS + name for name in self._names)]
        names += [UNDERFLOW, OVERFLOW, EXPONENTS] if self._counts is not None else []
        done = 0
        for at, found in plan.found:
            into = plan.rows[done : done + len(found.step)] + start
            done += len(found.step)
            columns = readers[at].columns(found, names)
            for name, (words, codes) in self._text.items():
                own, own_words = coded(columns[name])
                numbers = np.array([words[word or ""] for word in own_words], np.int16)
                codes[into] = numbers[own if found.taken is None else own[found.taken]]
            for name in self._names:
                if SCALARS + name in columns:
                    self._set(name, into, columns[SCALARS + name], found.taken)
            if self._counts is not None:
                self._count(columns, into, found.taken)

    def _set(self, name: str, into: np.ndarray, column: pa.Array, taken: np.ndarray | None) -> None:
        values = column.to_numpy(zero_copy_only=False)
        values = values if taken is None else values[taken]
        out = self._scalars[name]
        if values.dtype.kind == "f" and out.dtype.kind in "iu":  # some rows have no count
            out = self._scalars[name] = out.astype(np.float64)
        out[into] = values

    def _count(self, columns: dict[str, pa.Array], into: np.ndarray, taken: np.ndarray | None) -> None:
        assert self._counts is not None
        many, exponents, counts = bins(columns[EXPONENTS], taken)
        ends = [columns[name].to_numpy(zero_copy_only=False) for name in (UNDERFLOW, OVERFLOW)]
        ends = ends if taken is None else [one[taken] for one in ends]
        if max((int(one.max()) for one in (*ends, counts) if len(one)), default=0) > np.iinfo(np.int32).max:
            self._counts = self._counts.astype(np.int64, copy=False)
        place = exponents.astype(np.intp) - (self._lowest - 1)
        self._used[place] = True
        self._counts[place, np.repeat(into, many)] = counts
        self._counts[0, into], self._counts[-1, into] = ends

    def frame(self, tensors: list[Tensor], phases: list[str], whole: bool) -> pd.DataFrame:
        """Return the filled columns as a log; of a whole run without the exponents that no row has."""
        kinds, names = Numbering(), Numbering()
        kind_of = np.array([kinds[kind] for kind, _ in tensors], _small(len(tensors)))
        name_of = np.array([names[name] for _, name in tensors], _small(len(tensors)))
        metadata: dict[str, Any] = {
            "name": _categories(name_of[self._tensor], names),
            "type": _categories(self._text[TYPE][1], self._text[TYPE][0]),
            "tensor_type": _categories(kind_of[self._tensor], kinds),
            "step": self._step,
            "dtype": _categories(self._text[DTYPE][1], self._text[DTYPE][0]),
        }
        if self._rank is not None:
            metadata["rank"] = self._rank
        if phases not in ([], [""]):
            metadata["phase"] = _categories(self._phase, Numbering((name, i) for i, name in enumerate(phases)))
        parts = {
            "metadata": pd.DataFrame(metadata, copy=False),
            "scalar_stats": pd.DataFrame(self._scalars, copy=False),
        }
        if self._counts is not None:
            labels = [INFINITE[0], *range(self._lowest, self._highest + 1), INFINITE[1]]
            if whole:
                kept = np.flatnonzero(self._used)
                for i, j in enumerate(kept):  # in place: a row that nothing was written to takes no memory
                    if i != j:
                        self._counts[i] = self._counts[j]
                self._counts, labels = self._counts[: len(kept)], [labels[i] for i in kept]
            parts["exponent_counts"] = pd.DataFrame(self._counts.T, columns=pd.Index(labels, dtype=object), copy=False)
        return assemble({top: part for top, part in parts.items() if part.shape[1]})


def _small(size: int) -> Any:
    return np.min_scalar_type(-size - 1)


def _categories(codes: np.ndarray, words: Numbering) -> pd.Categorical:
    """Return codes as categories in order of first appearance, without words that no row has."""
    return in_order(pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(list(words), dtype=object))))
