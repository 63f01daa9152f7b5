"""What lies in the folder of a run: the files of its log that count, and the tensors in the order of the model."""

import json
import os
import stat
from typing import Any

from tandv.log._saved import Key
from tandv.log.shown import named
from tandv.log.store import of_ranks
from tandv.log.store.layers import NAME as MODEL
from tandv.log.store.layers import Tensor
from tandv.messages import some
from tandv.place import Place

_FILES = 20_000  # files of a folder that are looked at
_MODEL = 64 << 20  # bytes of a list of tensors, at most


def files_of(place: Place, kind: str, notes: list[str]) -> list[tuple[Key, Place]]:
    """Return the files that count, each with what tells it from another of its name.

    Args:
        place: the folder of a run, or a file.
        kind: which of the two: "run" or "file".
        notes: takes sentences about files that do not count.
    """
    if kind == "file":
        state = place.state()
        if state is None:
            raise FileNotFoundError(f"{place} is not there any more")
        return [((place.absolute(), state), place)]
    if not place.is_local:
        found = of_ranks.of_parts(place)
        names = of_ranks.counting(place)
        return [((name, found[name]), place.below(*name.split("/"))) for name in names if name in found]
    outside: list[str] = []
    names = of_ranks.counting(place, _FILES, outside)
    if outside:
        notes.append(f"links that lead out of the run are not followed: {some(sorted(outside))}")
    if len(names) >= _FILES:
        notes.append(f"the run has more than {_FILES:,} files, of which the others are not shown")
    out: list[tuple[Key, Place]] = []
    for name in names:
        file = place.below(*name.split("/"))
        about = os.stat(file.path)
        if not stat.S_ISREG(about.st_mode):
            notes.append(f"{name.rpartition('/')[2]} is not read: it is no plain file")
            continue
        out.append(((name, (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)), file))
    return out


def models_of(place: Place) -> Any:
    """Return what changes when the run writes down new tensors."""
    folders = ("", *of_ranks.folders(place))
    return [place.below(*filter(None, one.split("/")), MODEL).state() for one in folders]


def model_of(place: Place, notes: list[str]) -> list[Tensor]:
    """Return the tensors in the order of the model, of all ranks, as far as the run has written them down.

    Args:
        place: the folder of a run.
        notes: takes a sentence about a list that cannot be read.
    """
    folders = ("", *of_ranks.folders(place))
    return of_ranks.in_one_order(
        [_tensors(place.below(*filter(None, one.split("/")), MODEL), notes) for one in folders]
    )


def _tensors(file: Place, notes: list[str]) -> list[Tensor]:
    state = file.state()
    if state is None:
        return []
    try:
        if state.size > _MODEL:
            raise ValueError("it is too large")
        found = [(kind, named(name) if name == "" else name) for kind, name in json.loads(file.read())["tensors"]]
        if not all(isinstance(word, str) for one in found for word in one):
            raise TypeError("not all of it is text")
        return list(dict.fromkeys(found))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        notes.append(f"{MODEL} cannot be read ({error}): layers are in the order of their names")
        return []
