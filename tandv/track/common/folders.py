"""The folder of a run: its default name, and a number where the name is taken."""

import datetime
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tandv.place import is_address, place_of


def new_folder(folder: Path) -> Path:
    """Create `folder`, or the first of folder-2, folder-3, ... that no other run has."""
    for candidate in _candidates(folder):
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            if candidate.is_dir() and not any(candidate.iterdir()):
                return candidate
            continue
        except OSError as error:
            raise type(error)(
                f"cannot create the run's folder {candidate}: {error.strerror}; "
                "give track(path=...) a folder that can be written"
            ) from error
        return candidate
    raise AssertionError("unreachable")


def _candidates(folder: Path) -> Iterator[Path]:
    yield folder
    for n in range(2, 1_000_000):
        yield folder.with_name(f"{folder.name}-{n}")


def run_paths(path: str | os.PathLike[str] | None, name: str | None, model: str, ending: str) -> tuple[Any, Any]:
    """Return where a run and its finished log will lie: paths, or twice the address of another place.

    >>> run_paths("s3://bucket/run", None, "GPT", ".pkl")
    ('s3://bucket/run', 's3://bucket/run')

    Args:
        path: the run's folder, if it was given.
        name: the run's name, if it was given.
        model: the class of the model, for the name of the folder.
        ending: of the file of the finished log.
    """
    if path is not None and is_address(path):
        return str(path), str(path)
    folder = (default_folder(name, model) if path is None else Path(place_of(path).path)).absolute()
    return folder, folder / f"log{ending}"


def path_of(text: str) -> Path | str:
    """Return a path that was sent as text; an address stays text."""
    return text if is_address(text) else Path(text)


def default_folder(name: str | None, model: str) -> Path:
    """Return tandv-runs/<name> under the working directory; by default the model and the time."""
    stamp = f"{model}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    return Path.cwd() / "tandv-runs" / re.sub(r"[^\w.\-]+", "_", name or stamp)
