"""Which files of a run count, by their names alone: each row is in exactly one of them.

A name says which parts a file holds, "000016.parquet" one, "000016-000031.parquet" sixteen. A file and those that it
was joined from can be there at once, for a moment or after a kill: the wider one counts.
"""

import heapq
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import NamedTuple

from tandv.log._unreadable import SchemaError

PARTS, ASIDE = "parts", ".joining"  # folders of a run: its log, and what is being made to take a place in it
_NAME = re.compile(r"(\d+)(?:-(\d+))?\.parquet")
_TRIES = 100  # listings, while a run goes on that moves its files


def files(run: Path, most: int | None = None, outside: list[str] | None = None) -> list[Path]:
    """Return the files that hold the log of a run, in the order of their parts, whatever moment it was killed at.

    A file may have been joined with others when it is opened (FileNotFoundError): list them again then.

    >>> for name in ("parts/0000/000/000000-000003.parquet", "parts/0000/001/000004.parquet"):
    ...     Path("run", name).parent.mkdir(parents=True)
    ...     Path("run", name).touch()
    >>> [path.name for path in files(Path("run"))]
    ['000000-000003.parquet', '000004.parquet']

    Args:
        run: the folder of the run.
        most: how many files of a folder are looked at, the first by name; None for all.
        outside: links that lead out of the run are added to it and not followed; None follows all links.

    Raises SchemaError where files overlap that cannot be of one run.
    """
    bounds = _Bounds(str(run), os.path.realpath(run), most, outside)
    found = _listed(PARTS, bounds)
    for _ in range(_TRIES):
        # A folder that is about to change places may be missing for a moment: what takes its place is whole, and aside.
        aside = [name for name in _listed(ASIDE, bounds) if name.count("/") > 1 and _is_whole(run / name)]
        before, found = found, _listed(PARTS, bounds)
        if found == before:
            break
    else:
        aside = []
    return [run / name for name in which_count(found, run, aside)]


def which_count(names: Iterable[str], where: object = "the run", instead: Iterable[str] = ()) -> list[str]:
    """Return the names of the files that count, in the order of the parts that they hold.

    >>> which_count(["0000/000/000000.parquet", "0000/000/000001.parquet", "0000/000000-000001.parquet"])
    ['0000/000000-000001.parquet']

    Args:
        names: the names of files; others than those of a log are left out, and those in a folder beginning with ".".
        where: the run, for the error.
        instead: names of files that count only where none of `names` holds any of their parts.

    Raises SchemaError where files overlap that cannot be of one run.
    """
    shown = (name for name in names if not any(part.startswith(".") for part in PurePath(name).parts))
    kept = _widest(shown, where)
    held = [span for span, _ in kept]
    for (first, last), name in _widest(instead, where):
        if not any(low <= last and first <= high for low, high in held):
            kept.append(((first, last), name))
    return [name for _, name in sorted(kept)]


def span(name: str) -> tuple[int, int] | None:
    """Return the first and the last part that a file holds; None where the name is not that of a log's file.

    >>> span("000016-000031.parquet"), span("0000/000/000003.parquet"), span("log.parquet")
    ((16, 31), (3, 3), None)

    Args:
        name: the name of the file, or its path with slashes.
    """
    named = _NAME.fullmatch(name.rpartition("/")[2])
    return (int(named[1]), int(named[2] or named[1])) if named else None


def _widest(names: Iterable[str], where: object) -> list[tuple[tuple[int, int], str]]:
    spans = [(found, name) for name in names if (found := span(name)) is not None]
    kept: list[tuple[tuple[int, int], str]] = []
    for found, name in sorted(spans, key=lambda one: (one[0][0], -one[0][1], one[1])):
        if kept and found[0] <= kept[-1][0][1]:
            if found[1] > kept[-1][0][1]:
                raise SchemaError(
                    f"{where}: {kept[-1][1]} and {name} cover the same parts in part: two runs lie in one folder; "
                    "move the files of one of them to a folder of its own"
                )
            continue
        kept.append((found, name))
    return kept


class _Bounds(NamedTuple):
    """What is left out of a listing of a run: see `files`."""

    run: str
    real: str
    most: int | None
    outside: list[str] | None

    def leave(self, name: str) -> bool:
        """Tell whether a link leads out of the run, and note that."""
        if self.outside is None:
            return False
        left = not os.path.realpath(os.path.join(self.run, name)).startswith(os.path.join(self.real, ""))
        if left and name not in self.outside:
            self.outside.append(name)
        return left


def _listed(folder: str, bounds: _Bounds) -> list[str]:
    """Return the names, from the run on, of files below a folder, listed again if one in it is joined meanwhile."""
    whole = os.path.join(bounds.run, folder)
    if not os.path.isdir(whole) or (os.path.islink(whole) and bounds.leave(folder)):
        return []
    for _ in range(_TRIES):
        try:
            return list(_below(folder, bounds))
        except FileNotFoundError:
            continue
    return []


def _below(folder: str, bounds: _Bounds) -> Iterator[str]:
    """Yield the log's files below a folder, each folder listed before those in it: so none is missed but the latest."""
    with os.scandir(os.path.join(bounds.run, folder)) as entries:
        inside = ((entry, entry.is_dir()) for entry in entries)
        there = (
            (entry.name, is_folder)
            for entry, is_folder in inside
            if (is_folder or span(entry.name)) and not (entry.is_symlink() and bounds.leave(f"{folder}/{entry.name}"))
        )
        found = sorted(there) if bounds.most is None else heapq.nsmallest(bounds.most, there)
    for name, is_folder in found:
        if is_folder:
            yield from _below(f"{folder}/{name}", bounds)
        else:
            yield f"{folder}/{name}"


def _is_whole(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            return file.read() == b"PAR1"
    except OSError:
        return False
