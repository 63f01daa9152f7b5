"""The index of a run's files: what the footers say of each row group, without reading a row.

Rows lie sorted by tensor type, name and step, so that the first and the last tensor of a group tell which others are
in between.
"""

import json
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tandv.log._unreadable import WHAT_TO_DO, UnreadableFile, unreadable
from tandv.log.store.columns import (
    EXPONENTS,
    FORMAT,
    OVERFLOW,
    PHASE,
    RANK,
    STEP,
    TENSOR,
    TEXT,
    UNDERFLOW,
    exponents_of,
)
from tandv.log.store.layers import Tensor
from tandv.place import Place

_LAST = "\U0010ffff"


class NewerFile(UnreadableFile):
    """The file was written by a tandv that is newer than this one."""


class Group(NamedTuple):
    """What the footer says of one row group: its tensors and steps, first and last, and if some values are not finite.

    Args:
        number: its number in the file.
        rows: how many rows it has.
        first: the first tensor, or one that none of the group comes before.
        last: the last tensor, or one that none of the group comes after.
        low: the lowest step.
        high: the highest step.
        phases: the first and the last phase in the order of text.
        finite: no row counts a NaN or an infinity.
    """

    number: int
    rows: int
    first: Tensor
    last: Tensor
    low: int
    high: int
    phases: tuple[str, str]
    finite: bool


class File(NamedTuple):
    """A file of a run with the index of its groups.

    Args:
        place: where it lies.
        metadata: its footer, so that it is parsed once.
        columns: its columns with their types, as Arrow has them.
        exponents: the lowest and the highest exponent with a count, None for none.
        run: what all files of its run say, and no other; None if it does not.
        groups: its row groups.
        identity: what tells it from another file that takes its place under the same name; None where it is not local.
        ranks: the lowest and the highest rank whose rows it has; None where it keeps none, or does not tell.
    """

    place: Place
    metadata: Any
    columns: dict[str, pa.DataType]
    exponents: tuple[int, int] | None
    run: str | None
    groups: list[Group]
    identity: tuple[int, ...] | None = None
    ranks: tuple[int, int] | None = None

    def opened(self, mapped: bool = True) -> pq.ParquetFile:
        """Return the file, ready to read.

        Raises FileNotFoundError if it has been joined with others meanwhile, or been written anew with more columns.

        Args:
            mapped: map it into memory, which is quicker for a part of it; of a whole file all pages would stay there.
        """
        text = [name for name in TEXT if name in self.columns]
        local = self.place.is_local
        opened = pq.ParquetFile(
            self.place.source(), metadata=self.metadata, read_dictionary=text, memory_map=mapped and local,
            pre_buffer=not local, page_checksum_verification=True,
        )  # fmt: skip
        if _identity(self.place) != self.identity:  # looked at after it was opened: it was no other before
            opened.close()
            raise FileNotFoundError(f"{self.place} has been written anew")
        return opened


def indexed(place: Place) -> File | None:
    """Return the index of a file, None if it is of an older tandv, with a column for each exponent.

    Raises FileNotFoundError, and UnreadableFile if the file is damaged or of a newer tandv.
    """
    try:
        identity = _identity(place)  # looked at before the file is opened: at worst it is taken for one that is gone
        with pq.ParquetFile(place.source()) as file:
            metadata, schema = file.metadata, file.schema_arrow
    except FileNotFoundError:
        raise
    except (ValueError, OSError, pa.ArrowException) as error:
        raise unreadable(place, error) from None
    about = _about(metadata, place)
    columns = {field.name: field.type for field in schema}
    if not pa.types.is_map(columns.get(EXPONENTS, pa.null())):
        return None
    exponents = exponents_of(metadata) if about.get("exponents") else None
    if lacking := [name for name in (*TEXT, STEP, UNDERFLOW, OVERFLOW, EXPONENTS) if name not in columns]:
        raise UnreadableFile(f"cannot read {place}: it is no file of a run, it lacks {', '.join(lacking)}")
    try:
        groups = _groups(metadata)
    except (AttributeError, TypeError):
        raise UnreadableFile(f"cannot read {place}: its footer has no statistics of names and steps") from None
    except UnicodeDecodeError:
        raise UnreadableFile(f"cannot read {place}: names in its footer are damaged; {WHAT_TO_DO}") from None
    ranks = _ranks(metadata) if RANK in columns else None
    return File(place, metadata, columns, exponents, about.get("run"), groups, identity, ranks)


def _identity(place: Place) -> tuple[int, ...] | None:
    if not place.is_local:
        return None
    found = os.stat(place.path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _about(metadata: Any, place: Place) -> dict[str, Any]:
    """Return what a file says about itself; nothing if it is of an older tandv, or of none."""
    try:
        about = json.loads((metadata.metadata or {}).get(b"tandv", b"{}"))
        number = int(about.get("format", FORMAT))
    except (ValueError, TypeError, AttributeError):
        raise UnreadableFile(f"cannot read {place}: what it says about itself is damaged") from None
    if number > FORMAT:
        raise NewerFile(
            f"cannot read {place}: it was written by a newer tandv (form {number}, this one reads up to {FORMAT}); "
            "update it: pip install -U tandv"
        )
    return about


def _groups(metadata: Any) -> list[Group]:
    if not metadata.num_row_groups:
        return []
    # Not by the schema of the footer: once it was asked for, both are a cycle, and large ones stay until it is broken.
    columns = metadata.row_group(0)
    at = {columns.column(i).path_in_schema: i for i in range(metadata.num_columns)}
    kind, name, step, phase = (at[one] for one in (*TENSOR, STEP, PHASE))
    counted = [at[one] for one in ("scalar_stats/nans", "scalar_stats/infs") if one in at]
    out = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if not group.num_rows:
            continue
        kinds, names, steps, phases = (group.column(i).statistics for i in (kind, name, step, phase))
        first, last = kinds.min, kinds.max
        single = first == last
        counts = [group.column(i).statistics for i in counted]
        out.append(
            Group(
                number,
                group.num_rows,
                (first, names.min if single else ""),
                (last, names.max if single else _LAST),
                steps.min,
                steps.max,
                (phases.min, phases.max),
                len(counts) == 2 and all(one is not None and one.has_min_max and one.max == 0 for one in counts),
            )
        )
    return _bounded(out)


def _ranks(metadata: Any) -> tuple[int, int] | None:
    found = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = (group.column(i) for i in range(group.num_columns))
        told = next((one.statistics for one in columns if one.path_in_schema == RANK), None)
        if told is None or not told.has_min_max:
            return None
        found.append((told.min, told.max))
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def _bounded(groups: list[Group]) -> list[Group]:
    """Bound groups of several tensor types, of which the footer names no tensor, by those before and after them."""
    out = list(groups)
    for at, group in enumerate(groups):
        first, last = group.first, group.last
        if first[0] == last[0]:
            continue
        if at and groups[at - 1].last[1] != _LAST:
            first = max(first, groups[at - 1].last)
        if at + 1 < len(groups) and groups[at + 1].first[1]:
            last = min(last, groups[at + 1].first)
        out[at] = group._replace(first=first, last=last)
    return out


def holding(groups: Iterable[Group], tensors: Sequence[Tensor] | None, steps: tuple[int, int] | None) -> list[Group]:
    """Return the groups that may hold rows of some tensors at some steps.

    Args:
        groups: the groups of a file.
        tensors: the tensors in the order of text; None for all.
        steps: the lowest and the highest step; None for all.
    """
    out = []
    for group in groups:
        if steps is not None and (group.high < steps[0] or group.low > steps[1]):
            continue
        if tensors is not None and bisect_left(tensors, group.first) >= bisect_right(tensors, group.last):
            continue
        out.append(group)
    return out
