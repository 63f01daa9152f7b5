"""The folder of a run: its default name, and a number where the name is taken."""

import datetime
import re
from collections.abc import Iterator
from pathlib import Path


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


def default_folder(name: str | None, model: str) -> Path:
    """Return tandv-runs/<name> under the working directory; by default the model and the time."""
    stamp = f"{model}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    return Path.cwd() / "tandv-runs" / re.sub(r"[^\w.\-]+", "_", name or stamp)
