"""`read`: one door for logs in files and folders, which looks at what is there and not at its name."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tandv.log._opening import AnyPath
from tandv.log.files import OTHER_FILES, UnreadableFile, read_csv, read_parquet, read_pickle
from tandv.log.run import read_run

_ALLOWED = (
    "tandv.read opens the folder of a run, and a log in a pickle (also compressed by gzip), in parquet or in csv; "
    "give tracker.path or tracker.out_path"
)
_OF_A_RUN = ("run.json", "parts", "log.pkl", "log.parquet")
_BEGINNING = 4096  # bytes that are looked at

# What a file begins with, and how it is opened.
_FORMATS: dict[bytes, Callable[[AnyPath], pd.DataFrame]] = {
    b"PAR1": read_parquet,
    b"\x80\x02": read_pickle,
    b"\x80\x03": read_pickle,
    b"\x80\x04": read_pickle,
    b"\x80\x05": read_pickle,
    b"\x1f\x8b": read_pickle,  # gzip
}
_OTHERS = OTHER_FILES | {
    b"\x89HDF": "HDF5",
    b"ARROW1": "an Arrow file (Feather)",
    b"SQLite": "a database of SQLite",
    b"\x93NUMPY": "a NumPy array",
}


def read(path: AnyPath) -> pd.DataFrame:
    """Open a log: the folder of a run, finished or not, or a file in pickle, parquet or csv, whatever it is called.

    >>> from tandv.log.example import example_log
    >>> from tandv.log.files import write_parquet
    >>> write_parquet(example_log(), "downloaded")
    >>> read("downloaded").shape
    (1250, 60)

    Args:
        path: the folder that a tracker made (`tracker.path`), or a file (`tracker.out_path`).

    Raises FileNotFoundError if nothing is there, UnreadableFile saying what it is if it is no log or is damaged,
    SchemaError naming everything in which a table differs from a log.
    """
    try:
        place = Path(path)
    except TypeError:
        raise TypeError(f"cannot read a {type(path).__name__}, only what lies at a path; {_ALLOWED}") from None
    if place.is_dir():
        if not any((place / name).exists() for name in _OF_A_RUN):
            raise UnreadableFile(f"cannot read {path}: it is a folder with {_contents(place)}; {_ALLOWED}")
        return read_run(place)
    if not place.exists():
        raise FileNotFoundError(f"cannot read {path}: there is nothing of this name; {_ALLOWED}")
    with open(place, "rb") as file:
        beginning = file.read(_BEGINNING)
    for start, reader in _FORMATS.items():
        if beginning.startswith(start):
            return reader(place)
    first_line = _as_text(beginning).partition("\n")[0]
    if "," in first_line and not first_line.startswith("{"):
        return read_csv(place)
    raise UnreadableFile(f"cannot read {path}: it is {_described(beginning)}; {_ALLOWED}")


def _as_text(beginning: bytes) -> str:
    """Return the beginning of a text; nothing if it is none. A letter may be cut in two at its end."""
    for cut in range(4):
        try:
            text = beginning[: len(beginning) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return "" if "\0" in text else text
    return ""


def _described(beginning: bytes) -> str:
    if not beginning:
        return "an empty file"
    known = next((what for start, what in _OTHERS.items() if beginning.startswith(start)), None)
    if known is not None:
        return known
    text = _as_text(beginning)
    return "JSON" if text.startswith("{") else "a text that is no csv" if text else "a file of another kind"


def _contents(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    if not names:
        return "nothing in it"
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}, and no {', '.join(_OF_A_RUN[:-1])} or {_OF_A_RUN[-1]}"
