"""The log of a run while it goes on: parts are published one by one, and joined in batches and blocks of these."""

import contextlib
import os
import shutil
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from tandv.log.store import columns, joining, layers
from tandv.log.store.columns import Rows
from tandv.log.store.exchange import exchange, sync
from tandv.log.store.layers import Tensor
from tandv.log.store.listing import ASIDE, PARTS, files, span, which_count

BATCH, BLOCK = 50_000, 500_000  # rows of a batch and of a block
FILES, BATCHES = 256, 64  # parts of a batch and batches of a block, at most, where parts have few rows

Range = tuple[int, int] | None  # lowest and highest exponent that is counted
_Held = tuple[pa.Table, Range]


class Store:
    """Write the log of a run: `add` publishes a part, `join` and `close` make few sorted files of many.

    What `add` has returned from is on disk, and a process may be killed at any moment: each row that was published is
    in exactly one of the files that count (`listing.files`).

    >>> import numpy as np
    >>> Path("run").mkdir()
    >>> text = {"tensor_type": ["Weight"], "name": ["fc"], "type": ["Linear"], "dtype": ["float32"], "phase": [""]}
    >>> store = Store(Path("run"))
    >>> for step in range(3):
    ...     store.add(Rows({**text, "step": [step]}, {"std": np.ones(1)}, np.array([[1, 5, 0]]), -2))
    >>> store.close()
    >>> [path.as_posix() for path in files(Path("run"))]
    ['run/parts/000000-000002.parquet']

    Args:
        run: the folder of the run, which exists.
        note: is called with a kind and a sentence if joining fails, which changes nothing but the number of files.
        batch: rows of a batch.
        block: rows of a block, a multiple of a batch's.
        group: rows of a row group of a joined file, about.
    """

    def __init__(
        self,
        run: Path,
        note: Callable[[str, str], None] = lambda kind, message: None,
        batch: int = BATCH,
        block: int = BLOCK,
        group: int = joining.GROUP,
    ):
        self.run, self.parts, self._aside = run, run / PARTS, run / ASIDE
        self._note, self._batch, self._block, self._group = note, batch, block, group
        self.schema: pa.Schema | None = None  # of every file
        self.exponents: Range = None
        self.rows = 0  # published
        self._places: dict[Tensor, tuple] = {}  # of each tensor in the model
        self._written: list[Tensor] = []  # to `layers.json`
        self._part = self._blocks = 0  # the next part and block
        self._joins: deque[Generator[None]] = deque()
        self._wide = True  # whether every file has the whole schema
        self.parts.mkdir(exist_ok=True)
        self._begin_block()

    def add(self, rows: Rows, places: Sequence[tuple] = ()) -> None:
        """Publish some rows, of steps after those before, as a part.

        Args:
            rows: the rows.
            places: the place in the model of each row's tensor, which sorts them; by default in the order of the rows.

        Raises OSError where the disk does not take it; the rows can be given again.
        """
        schema = columns.schema_of(rows)
        schema = columns.wider(self.schema, schema) if self.schema is not None else schema
        if self.schema is not None and not schema.equals(self.schema):
            self._widen(schema)
        self.schema = schema
        table = columns.to_table(rows, schema)
        exponents = columns.counted(table[columns.EXPONENTS])
        self._learn(rows, places)
        name = f"{self._part:06d}.parquet"
        home = self.parts / f"{self._blocks:04d}" / f"{self._batches:03d}"
        self._aside.mkdir(exist_ok=True)
        groups = joining.in_groups(joining.in_memory([table], self._numbers()), self._group)
        _write(self._aside / name, groups, schema, exponents)
        new = [folder for folder in (home.parent, home) if not folder.is_dir()]
        home.mkdir(parents=True, exist_ok=True)
        os.replace(self._aside / name, home / name)
        for folder in [home, *(folder.parent for folder in reversed(new))]:
            sync(folder)
        self.exponents = columns.joined_range([self.exponents, exponents])
        self.rows += len(table)
        self._part += 1
        self._held.append((table, exponents))
        self._in_batch += len(table)
        if self._in_batch >= self._batch or len(self._held) >= FILES:
            self._end_batch()
            if self._in_block >= self._block or self._batches >= BATCHES:
                self._end_block()

    def join(self) -> bool:
        """Do a little of the joining that is due; tell whether something is left."""
        if self._joins:
            try:
                next(self._joins[0])
            except StopIteration:
                self._joins.popleft()
            except Exception as error:  # whatever it is, nothing is lost: the files stay as they are
                self._joins.popleft()
                self._say_unjoined(error)
        return bool(self._joins)

    def close(self) -> None:
        """Join what is left, and make `parts/` a flat folder of one file per block."""
        if self._held:
            self._end_batch()
        if self._in_block:
            self._end_block()
        while self.join():
            pass
        if self.rows and self.parts.is_dir():
            try:
                self._flatten()
            except Exception as error:
                self._say_unjoined(error)
        shutil.rmtree(self._aside, ignore_errors=True)

    def begin_again(self) -> None:
        """Go on where the folder was deleted, with what it held lost."""
        while self._joins:
            with contextlib.suppress(Exception):  # its files are gone
                self._joins.popleft().close()
        self.parts.mkdir(parents=True, exist_ok=True)
        self._written, self._blocks, self.rows = [], self._blocks + 1, 0
        self._begin_block()

    # Inside.

    def _begin_block(self) -> None:
        self._batches = self._in_block = 0  # of this block
        self._begin_batch()

    def _begin_batch(self) -> None:
        self._held: list[_Held] = []  # of this batch
        self._in_batch = 0

    def _end_batch(self) -> None:
        folder = self.parts / f"{self._blocks:04d}" / f"{self._batches:03d}"
        self._joins.append(self._joined(folder, self._held))
        self._batches += 1
        self._in_block += self._in_batch
        self._begin_batch()

    def _end_block(self) -> None:
        self._joins.append(self._joined(self.parts / f"{self._blocks:04d}"))
        self._blocks += 1
        self._begin_block()

    def _learn(self, rows: Rows, places: Sequence[tuple]) -> None:
        """Write `layers.json` anew if some rows have a new tensor."""
        tensors = list(zip(rows.metadata["tensor_type"], rows.metadata["name"], strict=True))
        for tensor, place in zip(tensors, places or [(i,) for i in range(len(tensors))], strict=True):
            self._places.setdefault(tensor, place)
        if len(self._places) == len(self._written):
            return
        with contextlib.suppress(TypeError):  # places that cannot be compared leave the order of appearance
            self._places = dict(sorted(self._places.items(), key=lambda item: item[1]))
        layers.write(self.run, list(self._places))
        self._written = list(self._places)

    def _numbers(self) -> dict[Tensor, int]:
        """Return the place of each tensor in the order of the files."""
        return {tensor: place for place, tensor in enumerate(sorted(self._places))}

    def _joined(self, folder: Path, held: Sequence[_Held] = ()) -> Generator[None]:
        """Make one file of those in a folder; `held` are its parts where they are in memory."""
        assert self.schema is not None
        for below in sorted(path for path in folder.iterdir() if path.is_dir()):  # a batch that could not be joined
            yield from self._joined(below)
        inputs = [
            folder / name
            for name in which_count(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))
        ]
        if len(inputs) < 2:
            return
        new = self._emptied("_".join(folder.relative_to(self.parts).parts))
        path = new / _name(inputs)
        schema, numbers = self.schema, self._numbers()
        with contextlib.ExitStack() as kept_open:
            if len(held) == len(inputs):
                ranges = [exponents for _, exponents in held]
                pieces = joining.in_memory([columns.fitted(table, schema) for table, _ in held], numbers)
            else:
                opened = [kept_open.enter_context(joining.opened(one)) for one in inputs]
                ranges = [columns.exponents_of(one.metadata) for one in opened]
                pieces = joining.merged(opened, numbers, schema)
            groups = joining.in_groups(pieces, self._group)
            yield from joining.write(path, groups, schema, columns.joined_range(ranges))
        sync(new)
        exchange(new, folder)
        sync(folder.parent)
        shutil.rmtree(new)  # which holds what was joined, now

    def _widen(self, schema: pa.Schema) -> None:
        """Give every file the columns of a wider schema, by one exchange of the whole log."""
        while self.join():
            pass
        try:
            new = self._emptied(PARTS)
            for path in files(self.run):
                self._rewrite(path, new / path.relative_to(self.parts), schema)
            self._take_its_place(new)
        except OSError as error:  # the next file has all columns, and the others get them at the end
            self._wide = False
            self._note("schema", f"could not add columns to {self.parts}: {error}; it is tried again at the end")

    def _flatten(self) -> None:
        assert self.schema is not None
        new = self._emptied(PARTS)
        for path in files(self.run):
            if self._wide:
                os.link(path, new / path.name)
            else:
                self._rewrite(path, new / path.name, self.schema)
        self._take_its_place(new)

    def _rewrite(self, path: Path, new: Path, schema: pa.Schema) -> None:
        new.parent.mkdir(parents=True, exist_ok=True)
        with joining.opened(path) as file:
            groups = (file.read_row_group(i, use_threads=False) for i in range(file.num_row_groups))
            exponents = columns.exponents_of(file.metadata)
            _write(new, (columns.fitted(table, schema) for table in groups), schema, exponents)

    def _take_its_place(self, new: Path) -> None:
        for folder in [*(path for path in new.rglob("*") if path.is_dir()), new]:
            sync(folder)
        exchange(new, self.parts)
        sync(self.run)
        shutil.rmtree(new)

    def _emptied(self, name: str) -> Path:
        """Return a new folder aside."""
        folder = self._aside / name
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return folder

    def _say_unjoined(self, error: Exception) -> None:
        what = f"{type(error).__name__}: {error}"
        self._note("joining", f"could not join files of {self.parts}: {what}; they stay as they are, no row is lost")


def _write(path: Path, groups: Iterable[pa.Table], schema: pa.Schema, exponents: Range) -> None:
    for _ in joining.write(path, groups, schema, exponents):
        pass


def _name(inputs: Sequence[Path]) -> str:
    """Return the name of the file that holds the parts of some others, which are in order."""
    spans = [found for path in inputs if (found := span(path.name)) is not None]
    return f"{spans[0][0]:06d}-{spans[-1][1]:06d}.parquet"
