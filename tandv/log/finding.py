"""What lies at a place: a run, a file, or something that is no log, which one sentence describes."""

import os
from collections.abc import Sequence

from tandv.log._unreadable import UnreadableFile
from tandv.log.store.listing import PARTS
from tandv.messages import some
from tandv.place import AnyPath, Place, place_of

ALLOWED = (
    "tandv.read opens the folder of a run, and a log in a pickle or csv (also compressed by gzip), or in parquet; "
    "give tracker.path or tracker.out_path"
)
LOGS = ("log.pkl", "log.parquet")  # in the folder of a run: its finished log
OF_A_RUN = ("run.json", PARTS, *LOGS)


def lies_at(path: AnyPath | Place) -> str:
    """Return what lies at a place: "run" for the folder of one, or "file".

    >>> from pathlib import Path
    >>> Path("run").mkdir()
    >>> _ = Path("run/run.json").write_text("{}")
    >>> lies_at("run")
    'run'

    Args:
        path: a path of this machine, or an address.

    Raises FileNotFoundError if nothing is there, UnreadableFile for a folder that is not of a run, which names the runs
    in it, and TypeError for what is no path.
    """
    if not isinstance(path, str | os.PathLike | Place):
        raise TypeError(f"cannot read a {type(path).__name__}, only what lies at a path; {ALLOWED}")
    place = place_of(path)
    kind = place.kind()
    if kind == "file":
        return "file"
    if not kind:
        raise FileNotFoundError(f"cannot read {place}: there is nothing of this name; {ALLOWED}")
    names = place.names()
    if any(name in OF_A_RUN for name in names):
        return "run"
    if names and all(_is_part(name) for name in names):
        raise UnreadableFile(f"cannot read {place}: these are parts; give the folder of the run, which holds them")
    if runs := place.folders_with(OF_A_RUN):
        raise UnreadableFile(
            f"cannot read {place}: it is no run itself, these are runs: {some(runs, 5)}; give one of them, such as "
            f"{place.below(runs[0])}"
        )
    raise UnreadableFile(f"cannot read {place}: it is a folder with {_contents(names)}; {ALLOWED}")


def _is_part(name: str) -> bool:
    return name.removesuffix(".parquet").replace("-", "").isdecimal()


def _contents(names: Sequence[str]) -> str:
    if not names:
        return "nothing in it"
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}, and no {', '.join(OF_A_RUN[:-1])} or {OF_A_RUN[-1]}"
