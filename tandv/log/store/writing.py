"""The log of a run while it goes on: parts are published one by one, and joined in batches and blocks of these.

Every join is one exchange of folders: the joined file and links to all others are put into a new folder aside, which
takes the place of `parts/`. So `parts/*.parquet` is the log at every moment, whatever opens it.
"""

import contextlib
import os
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from tandv.log.store import columns, joining, layers
from tandv.log.store.columns import Rows
from tandv.log.store.exchange import exchange, sync
from tandv.log.store.layers import Tensor
from tandv.log.store.listing import ASIDE, PARTS, files, span

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
        identity: what all files of the run say, and no other; a new one by default.
    """

    def __init__(
        self,
        run: Path,
        note: Callable[[str, str], None] = lambda kind, message: None,
        batch: int = BATCH,
        block: int = BLOCK,
        group: int = joining.GROUP,
        identity: str | None = None,
    ):
        self.run, self.parts, self._aside = run, run / PARTS, run / ASIDE
        self._note, self._batch, self._block, self._group = note, batch, block, group
        self.schema: pa.Schema | None = None  # of every file
        self.exponents: Range = None
        self.rows = 0  # published
        self.identity = identity or secrets.token_hex(8)  # in every file, so that files of another run are known
        self._places: dict[Tensor, tuple] = {}  # of each tensor in the model
        self._written: list[Tensor] = []  # to `layers.json`
        self._orders: dict[int, list[Tensor]] = {}  # of execution, by the first step of each
        self._orders_written = 0
        self._part = 0  # the next one
        self._joins: deque[Generator[None]] = deque()
        self._wide = True  # whether every file has the whole schema
        self.parts.mkdir(exist_ok=True)
        self._begin_batch()
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
        self._learn(table, rows, places)
        name = f"{self._part:06d}.parquet"
        self._aside.mkdir(exist_ok=True)
        groups: Iterable[pa.Table] = [table]
        if len(table) > self._group:  # of very many tensors, or of many steps where the disk refused some before
            groups = joining.in_groups([(table, joining.numbered(table, self._numbers()))], self._group)
        _write(self._aside / name, groups, schema, self._about(exponents), lasting=False)
        os.replace(self._aside / name, self.parts / name)
        sync(self.parts)
        self.exponents = columns.joined_range([self.exponents, exponents])
        self.rows += len(table)
        self._part += 1
        self._held.append((table, exponents))
        self._in_batch += len(table)
        if self._in_batch >= self._batch or len(self._held) >= FILES:
            self._end_batch()
            if self._in_block >= self._block or self._batches >= BATCHES:
                self._end_block()

    def set_order(self, step: int, tensors: Sequence[Tensor]) -> None:
        """Keep the order in which tensors come into being within a step, from one step on.

        It is written with the next rows.

        Args:
            step: the first that has it.
            tensors: the tensors in that order.
        """
        self._orders[step] = list(tensors)

    @property
    def frame_size(self) -> int:
        """Bytes that the whole log takes in memory as one frame."""
        return 0 if self.schema is None else self.rows * columns.row_size(self.schema, self.exponents)

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
        """Join what is left."""
        if self._held:
            self._end_batch()
        if self._in_block:
            self._end_block()
        while self.join():
            pass
        if not self._wide and self.schema is not None:
            self._widen(self.schema)
        shutil.rmtree(self._aside, ignore_errors=True)

    def begin_again(self) -> None:
        """Go on where the folder was deleted, with what it held lost."""
        while self._joins:
            with contextlib.suppress(Exception):  # its files are gone
                self._joins.popleft().close()
        self.parts.mkdir(parents=True, exist_ok=True)
        self._written, self.rows = [], 0
        self._begin_batch()
        self._begin_block()

    # Inside.

    def _begin_batch(self) -> None:
        self._first_of_batch, self._in_batch = self._part, 0
        self._held: list[_Held] = []  # its parts

    def _begin_block(self) -> None:
        self._first_of_block, self._in_block, self._batches = self._part, 0, 0

    def _end_batch(self) -> None:
        self._joins.append(self._joined(self._first_of_batch, self._part - 1, self._held))
        self._batches += 1
        self._in_block += self._in_batch
        self._begin_batch()

    def _end_block(self) -> None:
        self._joins.append(self._joined(self._first_of_block, self._part - 1))
        self._begin_block()

    def _learn(self, table: pa.Table, rows: Rows, places: Sequence[tuple]) -> None:
        """Write `layers.json` anew if some rows have a new tensor."""
        if not self._places.keys() >= set(joining.tensors(table)[1]):
            tensors = zip(rows.metadata["tensor_type"], rows.metadata["name"], strict=True)
            for i, tensor in enumerate(tensors):
                self._places.setdefault(tensor, places[i] if places else (i,))
        if len(self._places) == len(self._written) and len(self._orders) == self._orders_written:
            return
        with contextlib.suppress(TypeError):  # places that cannot be compared leave the order of appearance
            self._places = dict(sorted(self._places.items(), key=lambda item: item[1]))
        layers.write(self.run, list(self._places), self._orders)
        self._written, self._orders_written = list(self._places), len(self._orders)

    def _about(self, exponents: Range) -> dict[str, str]:
        return columns.about(exponents, self.identity)

    def _numbers(self) -> dict[Tensor, int]:
        """Return the place of each tensor in the order of the files."""
        return {tensor: place for place, tensor in enumerate(sorted(self._places))}

    def _joined(self, first: int, last: int, held: Sequence[_Held] = ()) -> Generator[None]:
        """Make one file of the parts from `first` to `last`; `held` are these where they are in memory."""
        inputs = [path for path in files(self.run) if first <= _span(path)[0] and _span(path)[1] <= last]
        if not 1 < len(inputs) <= max(FILES, BATCHES):  # more where joining has failed before
            return
        name = f"{_span(inputs[0])[0]:06d}-{_span(inputs[-1])[1]:06d}"
        new = self._emptied(name)
        with contextlib.ExitStack() as kept_open:
            assert self.schema is not None
            schema, numbers = self.schema, self._numbers()
            if len(held) == len(inputs):
                ranges = [exponents for _, exponents in held]
                pieces = joining.in_memory([columns.fitted(table, schema) for table, _ in held], numbers)
            else:
                opened = [kept_open.enter_context(joining.opened(one)) for one in inputs]
                ranges = [columns.exponents_of(one.metadata) for one in opened]
                pieces = joining.merged(opened, numbers, schema)
            groups = joining.in_groups(pieces, self._group)
            yield from joining.write(new / f"{name}.parquet", groups, schema, self._about(columns.joined_range(ranges)))
        joined = {path.name for path in inputs}
        for path in files(self.run):
            if path.name not in joined:
                os.link(path, new / path.name)
        self._put(new, joined)

    def _widen(self, schema: pa.Schema) -> None:
        """Give every file the columns of a wider schema, by one exchange of the whole log."""
        while self.join():
            pass
        try:
            new = self._emptied("wider")
            there = files(self.run)
            for path in there:
                with joining.opened(path) as file:
                    groups = (file.read_row_group(i, use_threads=False) for i in range(file.num_row_groups))
                    fitted = (columns.fitted(table, schema) for table in groups)
                    _write(new / path.name, fitted, schema, self._about(columns.exponents_of(file.metadata)))
            self._put(new, {path.name for path in there})
            self._wide = True
        except OSError as error:  # the next file has all columns, and the others get them at the end
            self._wide = False
            self._note("schema", f"could not add columns to {self.parts}: {error}; it is tried again at the end")

    def _put(self, new: Path, replaced: set[str]) -> None:
        """Let a folder take the place of `parts/`; what is neither replaced nor linked in it is kept."""
        sync(new)
        exchange(new, self.parts)
        sync(self.run)
        for path in new.iterdir():  # what was there before
            if path.name in replaced or (self.parts / path.name).exists():
                path.unlink()
            else:
                os.replace(path, self.parts / path.name)
        new.rmdir()

    def _emptied(self, name: str) -> Path:
        """Return a new folder aside."""
        folder = self._aside / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _say_unjoined(self, error: Exception) -> None:
        if self.parts.is_dir():  # else what is aside may be all there is
            shutil.rmtree(self._aside, ignore_errors=True)
        what = f"{type(error).__name__}: {error}"
        self._note("joining", f"could not join files of {self.parts}: {what}; they stay as they are, no row is lost")


def _write(
    path: Path, groups: Iterable[pa.Table], schema: pa.Schema, about: dict[str, str], lasting: bool = True
) -> None:
    for _ in joining.write(path, groups, schema, about, lasting):
        pass


def _span(path: Path) -> tuple[int, int]:
    """Return the first and the last part that a file of the log holds."""
    found = span(path.name)
    assert found is not None, "`files` returns those of the log only"
    return found
