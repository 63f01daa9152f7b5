"""What `tandv checkpoints --dry-run` prints: the files, steps and tensors that would be measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tandv.checkpoints import NoCheckpoints
from tandv.checkpoints.inspection import FileInspection, Inspection, dry_run, kinds_in_words, sentence, several
from tandv.checkpoints.readers.contents import Key
from tandv.checkpoints.selection import Filters
from tandv.checkpoints.warnings import LACKS_KEY
from tandv.cli.output import NOTHING, USAGE, answer, stop
from tandv.messages import UnknownName

SAME = "the same"
_HEAD = ("step", "file", "key", "parameters", "tensors")


def tell_what_is_there(folders: Sequence[str], filters: Filters, key: Key, *, as_json: bool) -> None:
    """Print what would be measured, as tables or as JSON; ends the command if there is nothing."""
    found = [_inspected(folder, filters, key) for folder in dict.fromkeys(folders)]
    if as_json:
        answer(json.dumps([as_dict(one) for one in found], ensure_ascii=False))
    else:
        answer("\n\n".join(table(one) for one in found))
    problems = [one.problem for of_folder in found for one in of_folder.files]
    if all(problems):
        lacking = all(problem.startswith(LACKS_KEY) for problem in problems)
        stop("nothing can be measured; each file says above why", USAGE if lacking else NOTHING)


def as_dict(found: Inspection) -> dict[str, object]:
    """Return what would be measured of a folder as what JSON can hold."""
    return {
        **found._asdict(),
        "files": [one._asdict() for one in found.files],
        "groups": [one._asdict() for one in found.groups],
    }


def table(found: Inspection) -> str:
    """Return what would be measured of a folder as text: a line for each file, and what holds for all of them."""
    rows = [_HEAD, *(_row(one) for one in found.files)]
    wide = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = [found.place, f"Steps are {found.rule}."]
    whats = [_more(one) for one in found.files]
    recorded = [f"; the file records {one.recorded}" * bool(one.recorded) for one in found.files]
    # what is the same as in the line above is not written again
    whats = [SAME if what == before else what for before, what in pairwise(["", *whats])]
    mores = ["what", *(f"{what}{more}" for what, more in zip(whats, recorded, strict=True))]
    for row, more in zip(rows, mores, strict=True):
        cells = [text.rjust(wide[i]) if i in (0, 3) else text.ljust(wide[i]) for i, text in enumerate(row)]
        lines.append(f"  {'  '.join(cells)}  {more}".rstrip())
    if len(found.groups) > 1:
        lines.append("Groups:")
        lines += [
            f"  {'measured' if one.measured else 'left out'}  {one.name}  {one.files:,} file{'s' * (one.files > 1)}, "
            f"steps {one.first:,} to {one.last:,}"
            for one in found.groups
        ]
    lines += [f"Note: {words}" for words in found.notes]
    return "\n".join([*lines, f"{sentence(found.files)}."])


def _row(one: FileInspection) -> tuple[str, ...]:
    if one.problem:
        return f"{one.step:,}", one.file, "", "", ""
    return f"{one.step:,}", one.file, one.key or "(top)", f"{one.parameters:,}", f"{one.tensors:,}"


def _more(one: FileInspection) -> str:
    if one.problem:
        return f"cannot be measured: {one.problem}"
    parts = [kinds_in_words(one.kinds)]
    if one.left_out:
        parts.append(f"left out: {several(one.left_out)}")
    return "; ".join(parts)


def _inspected(folder: str, filters: Filters, key: Key) -> Inspection:
    try:
        return dry_run(folder, **filters._asdict(), key=key)
    except NoCheckpoints as error:
        stop(str(error), NOTHING if Path(folder).exists() else USAGE)
    except (UnknownName, ValueError) as error:
        stop(str(error), USAGE)
    except OSError as error:
        stop(f"{folder} cannot be read ({error.strerror or error})", NOTHING)
