"""The runs in a folder: how each stands, its steps and its size, without reading what it recorded."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tandv.log.opened import Log
from tandv.log.status import run_status

_DEPTH = 3  # folders below the one that is given in which a run is looked for
_RUN = "run.json"


class RunFound(NamedTuple):
    """A run in a folder.

    >>> RunFound("tandv-runs/a", "finished", 3, 0, 20, 4096, "GPT", "2026-01-01T00:00:00+00:00").steps
    3

    Args:
        path: its folder.
        status: how it stands, see `run_status`.
        steps: how many steps are recorded.
        first, last: the first and last of them; None where there is none.
        size: bytes of its files.
        model: the class of its model.
        started: when it began, as ISO 8601.
    """

    path: str
    status: str
    steps: int
    first: int | None
    last: int | None
    size: int
    model: str
    started: str


def runs_in(folder: str | os.PathLike[str] = "tandv-runs") -> list[RunFound]:
    """Return the runs in a folder and those below it, in the order in which they began.

    >>> Path("runs/a").mkdir(parents=True)
    >>> _ = Path("runs/a/run.json").write_text('{"status": "finished", "model": "GPT"}')
    >>> [(run.path, run.status, run.model) for run in runs_in("runs")]
    [('runs/a', 'finished', 'GPT')]

    Args:
        folder: the folder; or the folder of a run.

    Raises FileNotFoundError if there is no such folder, NotADirectoryError if it is a file.
    """
    place = Path(folder)
    if not place.exists():
        raise FileNotFoundError(f"there is no folder {place}; runs are in tandv-runs where training was started")
    if not place.is_dir():
        raise NotADirectoryError(f"{place} is a file; give a folder of runs")
    return sorted(map(_run, _folders(place, _DEPTH)), key=lambda run: (run.started, run.path))


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / _RUN).is_file():
        yield folder
        return
    if depth:
        for inner in folder.iterdir():
            if inner.is_dir() and not inner.name.startswith("."):
                yield from _folders(inner, depth - 1)


def _run(folder: Path) -> RunFound:
    about = _about(folder)
    try:
        status = run_status(folder)
    except (ValueError, OSError):
        status = "damaged"
    try:
        steps = Log(folder).steps()
    except (ValueError, OSError, KeyError):
        steps = []  # nothing was recorded, or it cannot be read
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    first, last = (int(steps[0]), int(steps[-1])) if len(steps) else (None, None)
    return RunFound(
        str(folder), status, len(steps), first, last, size, str(about.get("model", "")), str(about.get("started", ""))
    )


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / _RUN).read_text())
    except (ValueError, OSError):
        return {}
    return about if isinstance(about, dict) else {}
