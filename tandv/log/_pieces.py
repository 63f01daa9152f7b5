"""Pieces of a log that is shown: a file of a run, or a table; each gives its rows by tensor, and columns as arrays."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tandv.log._index import File
from tandv.log._layout import Layout, layout_of_rows, layouts_of
from tandv.log._rows import Numbering, bins, coded, joined
from tandv.log._unreadable import unreadable
from tandv.log.shown import named
from tandv.log.store.columns import EXPONENTS, OVERFLOW, UNDERFLOW

if TYPE_CHECKING:
    import pandas as pd

SCALARS = "scalar_stats/"
LANES = ("nans", "infs", "zeros", "numel")
_TEXT = {"type": "metadata/type", "dtype": "metadata/dtype"}
_FOOTERS = 600_000  # bytes of footers of opened files; in memory each takes ten times as much


class Rows(NamedTuple):
    """Rows of neighbouring tensors of one type, with their counts of exponents.

    Args:
        at: [rows] the place of each row's step among the steps of the layout.
        starts: [tensors + 1] where each tensor begins.
        columns: [rows] each, the statistics that were asked for and are there, as they are stored.
        text: the word of each row, [rows] codes and the words, for "type" and "dtype", where they were asked for.
        many: [rows] how many exponents each row counts.
        exponents: these exponents, row after row.
        counts: likewise their counts.
        zeros: [rows] counts below all exponents.
        infs: [rows] counts above all exponents.
    """

    at: np.ndarray
    starts: np.ndarray
    columns: dict[str, np.ndarray]
    text: dict[str, tuple[np.ndarray, list[str]]]
    many: np.ndarray
    exponents: np.ndarray
    counts: np.ndarray
    zeros: np.ndarray
    infs: np.ndarray


class Piece(Protocol):
    """What a piece of a log is asked."""

    identity: Hashable
    layouts: dict[str, Layout]
    metrics: list[str]
    exponents: tuple[int, int] | None

    def columns(self, tt: str, names: Sequence[str]) -> dict[str, np.ndarray]: ...

    def rows(self, tt: str, first: int, last: int, names: Sequence[str], text: bool = False) -> Rows: ...

    def is_finite(self, tt: str) -> bool: ...


class Handles:
    """Opened files, so many that their footers stay small in memory; the one that was used longest ago is closed."""

    def __init__(self) -> None:
        self._open: OrderedDict[Hashable, pq.ParquetFile] = OrderedDict()
        self.used = 0  # times that a file was asked for

    @contextmanager
    def using(self, file: File) -> Iterator[pq.ParquetFile]:
        """Give a file, opened; whatever is wrong with it while it is read becomes an UnreadableFile that names it."""
        key = (file.place.absolute(), file.identity)
        self.used += 1
        try:
            if key not in self._open:
                self._open[key] = file.opened()
            self._open.move_to_end(key)
            size = sum(one.metadata.serialized_size for one in self._open.values())
            while size > _FOOTERS and len(self._open) > 1:
                _, oldest = self._open.popitem(last=False)
                size -= oldest.metadata.serialized_size
                oldest.close()
            yield self._open[key]
        except FileNotFoundError:
            raise
        except (ValueError, OSError, pa.ArrowException) as error:
            raise unreadable(file.place, error) from None

    def close(self) -> None:
        """Close all."""
        while self._open:
            self._open.popitem()[1].close()


class FilePiece:
    """A file of a run, of which the rows of one phase and rank count.

    Args:
        identity: what tells it from all others, and from another under its name.
        file: the file with its index.
        handles: opened files.
        numbers: the numbers of tensors; new ones are added.
        phase: the phase whose rows count; None where all do.
        rank: the rank whose rows count; None where all do.
        layouts: where its rows belong, where that is known; None reads it.

    Raises FileNotFoundError where it is gone, UnreadableFile where it is damaged.
    """

    def __init__(
        self,
        identity: Hashable,
        file: File,
        handles: Handles,
        numbers: Numbering,
        phase: str | None,
        rank: int | None,
        layouts: dict[str, Layout] | None = None,
    ):
        self.identity = identity
        self.handles = handles
        phase = None if all(group.phases == (phase, phase) for group in file.groups) else phase
        self.is_saved = layouts is not None and phase is None and rank is None  # in the user's cache
        if layouts is not None and self.is_saved:
            self.layouts = layouts
        else:
            with handles.using(file) as parquet:
                self.layouts = layouts_of(file, parquet, numbers, phase, rank)
        self.file = file._replace(metadata=None)  # parsed again when it is needed: it is large in memory
        self.metrics = [name.removeprefix(SCALARS) for name in file.columns if name.startswith(SCALARS)]
        self.exponents = file.exponents
        self.size = sum(group.rows for group in file.groups)

    def columns(self, tt: str, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return statistics of a tensor type as they are stored, a value for each row of its layout.

        Args:
            tt: the tensor type, of which there are rows.
            names: the statistics; those that the file lacks are left out.
        """
        layout = self.layouts[tt]
        there = [SCALARS + name for name in names if SCALARS + name in self.file.columns]
        if not there:
            return {}
        with self.handles.using(self.file) as parquet:
            table = parquet.read_row_groups(list(layout.groups), columns=there, use_threads=False)
            return {name.removeprefix(SCALARS): table[name].to_numpy()[layout.rows] for name in there}

    def rows(self, tt: str, first: int, last: int, names: Sequence[str], text: bool = False) -> Rows:
        """Return rows of the tensors from `first` to before `last` of a layout, with their exponents.

        Args:
            tt: the tensor type.
            first, last: places in its layout.
            names: the statistics.
            text: whether the type of the layer and the number format are wanted.
        """
        layout = self.layouts[tt]
        low, high = int(layout.starts[first]), int(layout.starts[last])
        places = layout.places(low, high)
        at, to = np.searchsorted(layout.ends, [places.min(), places.max()], "right")
        taken = places - layout.ends[at - 1]
        there = [SCALARS + name for name in names if SCALARS + name in self.file.columns]
        wanted = [*there, UNDERFLOW, OVERFLOW, EXPONENTS, *(_TEXT.values() if text else ())]
        with self.handles.using(self.file) as parquet:
            groups = list(layout.groups[at - 1 : to])
            table = parquet.read_row_groups(groups, columns=wanted, use_threads=False)
            many, exponents, counts = bins(joined(table[EXPONENTS]), taken)
            said = {name: coded(joined(table[column])) for name, column in _TEXT.items()} if text else {}
            return Rows(
                layout.columns_of(first, last),
                layout.starts[first : last + 1] - low,
                {name.removeprefix(SCALARS): table[name].to_numpy()[taken] for name in there},
                {name: (codes[taken], words) for name, (codes, words) in said.items()},
                many,
                exponents,
                counts,
                table[UNDERFLOW].to_numpy()[taken],
                table[OVERFLOW].to_numpy()[taken],
            )

    def is_finite(self, tt: str) -> bool:
        """Tell whether the footer says that no tensor of a type has NaN or infinity; False where it does not tell."""
        return all(group.finite for group in self.file.groups if group.first[0] <= tt <= group.last[0])


class TablePiece:
    """A whole log as a table, of one phase and of one rank or all merged.

    Args:
        identity: what changes when the table does.
        table: the log.
        numbers: the numbers of tensors; new ones are added.
    """

    def __init__(self, identity: Hashable, table: "pd.DataFrame", numbers: Numbering):
        from tandv.log import logframe  # it brings pandas, which files of a run do without

        self.identity, self._table = identity, table
        self.metrics = logframe.scalar_metrics(table)
        there = logframe.exponents(table)
        self.exponents = (there[0], there[-1]) if there else None
        kind, kinds = logframe.numbered(table[("metadata", "tensor_type")])
        name, names = logframe.numbered(table[("metadata", "name")])
        pair, tensor = np.unique(kind.astype(np.int64) * len(names) + name, return_inverse=True)
        first = np.full(len(pair), len(table))
        np.minimum.at(first, tensor, np.arange(len(table)))
        number = np.empty(len(pair), np.int32)
        for at in np.argsort(first):  # in the order of the log
            number[at] = numbers[kinds[pair[at] // len(names)], named(names[pair[at] % len(names)])]
        steps = table[("metadata", "step")].to_numpy(np.int64)
        self.layouts = {
            kinds[of]: layout_of_rows(number[tensor[rows]], steps[rows], rows)
            for of in range(len(kinds))
            if len(rows := np.flatnonzero(kind == of))
        }

    def columns(self, tt: str, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return statistics of a tensor type, a value for each row of its layout; see FilePiece."""
        return {name: self._values(name)[self.layouts[tt].rows] for name in names if name in self.metrics}

    def rows(self, tt: str, first: int, last: int, names: Sequence[str], text: bool = False) -> Rows:
        """Return rows of some tensors with their exponents; see FilePiece."""
        from tandv.log import logframe

        layout = self.layouts[tt]
        taken = layout.places(int(layout.starts[first]), int(layout.starts[last]))
        table = self._table.take(taken)
        low, high = self.exponents or (0, -1)
        counts = np.zeros((len(taken), high - low + 1), np.int64)
        ends = {-np.inf: np.zeros(len(taken), np.int64), np.inf: np.zeros(len(taken), np.int64)}
        for position, (top, exponent) in enumerate(self._table.columns):
            if top == "exponent_counts":
                column = table.iloc[:, position].to_numpy(np.int64)
                if exponent in ends:
                    ends[exponent] = column
                else:
                    counts[:, int(exponent) - low] = column
        row, at = np.nonzero(counts)
        words = {name: logframe.numbered(table[("metadata", name)]) for name in _TEXT} if text else {}
        return Rows(
            layout.columns_of(first, last),
            layout.starts[first : last + 1] - layout.starts[first],
            {name: self._values(name)[taken] for name in names if name in self.metrics},
            words,
            np.bincount(row, minlength=len(taken)),
            at + low,
            counts[row, at],
            ends[-np.inf],
            ends[np.inf],
        )

    def is_finite(self, tt: str) -> bool:
        """Tell that this is not known before the rows have been looked at."""
        return False

    def _values(self, name: str) -> np.ndarray:
        column = self._table[("scalar_stats", name)]
        return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.to_numpy(np.float64, na_value=np.nan)
