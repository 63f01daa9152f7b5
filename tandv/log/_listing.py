"""Which files of a run count, by their names alone: a name says which parts a file covers, and the wider wins.

`000016-000031.parquet` is the rows of the parts 16 to 31 joined. A file and those that it was joined from can be there
at once, for a moment or after a kill.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tandv.log.place import Place
from tandv.log.schema import SchemaError

_NAME = re.compile(r"(\d+)(?:-(\d+))?\.parquet")


def which_count(names: Iterable[str] | Mapping[str, Any], where: Place | str = "the run") -> list[str]:
    """Return the names of the files that count, in the order of the parts that they cover.

    >>> which_count(["0000/000/000000.parquet", "0000/000/000001.parquet", "0000/000000-000001.parquet"])
    ['0000/000000-000001.parquet']

    Args:
        names: the names of files below `parts`; others than those of parts are left out.
        where: the run, for the error.

    Raises SchemaError where files overlap that cannot be of one run.
    """
    spans: list[tuple[int, int, str]] = []
    for name in names:
        *folders, last = name.split("/")
        fits = _NAME.fullmatch(last)
        if fits and not any(folder.startswith(".") for folder in folders):
            first = int(fits[1])
            spans.append((first, int(fits[2] or first), name))
    kept: list[tuple[int, int, str]] = []
    for span in sorted(spans, key=lambda span: (span[0], -span[1], span[2])):
        if kept and span[0] <= kept[-1][1]:
            if span[1] > kept[-1][1]:
                raise SchemaError(
                    f"{where}: {kept[-1][2]} and {span[2]} cover the same parts in part: two runs lie in one folder; "
                    "move the files of one of them to a folder of its own"
                )
            continue
        kept.append(span)
    return [name for _, _, name in kept]
