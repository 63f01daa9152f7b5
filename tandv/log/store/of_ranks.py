"""Where ranks keep their rows: the first in the run's `parts/`, each other in a folder of its own, `ranks/0003/parts/`.

The folder of a rank is that of a run: its `run.json` says how that rank stands, and its log opens by itself.
"""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from tandv.log.store import listing
from tandv.log.store.layers import Tensor
from tandv.log.store.listing import PARTS
from tandv.place import Info, Place

RANKS = "ranks"  # in the folder of a run
_NAME = re.compile(r"\d+")


def folder_of(rank: int) -> str:
    """Return the name of a rank's folder, from that of the run on; that of the first rank is the run's.

    >>> folder_of(3), folder_of(0)
    ('ranks/0003', '')

    Args:
        rank: its number.
    """
    return f"{RANKS}/{rank:04d}" if rank else ""


def rank_of(name: str) -> int | None:
    """Return the rank in whose folder a file lies; None for one that is not in such a folder.

    >>> rank_of("ranks/0003/parts/000000.parquet"), rank_of("parts/000000.parquet")
    (3, None)

    Args:
        name: the name of the file from the run's folder on, with slashes.
    """
    top, _, rest = name.partition("/")
    found = rest.partition("/")[0]
    return int(found) if top == RANKS and _NAME.fullmatch(found) else None


def folders(place: Place) -> list[str]:
    """Return the names of the folders of ranks that there are, from the run's on, the lowest rank first.

    Args:
        place: the folder of the run.
    """
    inside = place.below(RANKS)
    try:
        names = [name for name in inside.names() if _NAME.fullmatch(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [f"{RANKS}/{name}" for name in sorted(names, key=int)]


def of_parts(place: Place) -> dict[str, Info]:
    """Return all files in the folders of parts, by their names from the run's folder on.

    Args:
        place: the folder of the run.
    """
    found = {f"{PARTS}/{name}": info for name, info in place.below(PARTS).files().items()}
    inside = place.below(RANKS)
    if inside.kind():
        for name, info in inside.files().items():
            rank, _, rest = name.partition("/")
            if _NAME.fullmatch(rank) and rest.startswith(f"{PARTS}/"):
                found[f"{RANKS}/{name}"] = info
    return found


def counting(
    place: Place, most: int | None = None, outside: list[str] | None = None, ranks: Collection[int] | None = None
) -> list[str]:
    """Return the names of the files that hold the log of a run, of all ranks, from the run's folder on.

    Args:
        place: the folder of the run.
        most: how many files of a folder are looked at, the first by name; None for all.
        outside: links that lead out of the run are added to it and not followed; None follows all links.
        ranks: only the folders of these are looked into, where ranks have folders of their own; None for all.

    Raises SchemaError where files overlap that cannot be of one run.
    """
    if place.is_local:
        inside = [one for one in ("", *_inside(place, outside)) if ranks is None or _of(one) in ranks]
        return [name for folder in inside for name in _local(place, folder, most, outside)]
    by_folder: dict[str, list[str]] = {}
    for name in of_parts(place):
        folder, _, rest = name.rpartition(f"{PARTS}/")
        if ranks is None or _of(folder) in ranks:
            by_folder.setdefault(folder, []).append(rest)
    return [
        f"{folder}{PARTS}/{name}"
        for folder in sorted(by_folder, key=_of)
        for name in listing.which_count(by_folder[folder], place)
    ]


def in_one_order(lists: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Return the tensors of several ranks in one order: of each type those of the first rank first.

    >>> in_one_order([[("Weight", "a"), ("Gradient", "a")], [("Weight", "a"), ("Weight", "b")]])
    [('Weight', 'a'), ('Weight', 'b'), ('Gradient', 'a')]

    Args:
        lists: the tensors of each rank, in the order of its part of the model.
    """
    if all(one == lists[0] for one in lists[1:]):
        return list(lists[0]) if lists else []
    found = dict.fromkeys(tensor for tensors in lists for tensor in tensors)
    kinds = list(dict.fromkeys(kind for kind, _ in found))
    return sorted(found, key=lambda tensor: kinds.index(tensor[0]))


def _of(folder: str) -> int:
    """Return the rank whose folder this is, from the run's folder on."""
    return rank_of(f"{folder}/") or 0


def _inside(place: Place, outside: list[str] | None) -> Iterator[str]:
    real = os.path.join(os.path.realpath(place.path), "")
    for folder in folders(place):
        if outside is not None and not os.path.realpath(os.path.join(place.path, folder)).startswith(real):
            outside.append(folder)
        else:
            yield folder


def _local(place: Place, folder: str, most: int | None, outside: list[str] | None) -> list[str]:
    left: list[str] | None = None if outside is None else []
    paths = listing.files(Path(place.path, folder), most, left)
    if outside is not None and left:
        outside += [f"{folder}/{name}" if folder else name for name in left]
    return [path.relative_to(place.path).as_posix() for path in paths]
