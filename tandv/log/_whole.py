"""Logs that are read whole: one file in pickle, parquet or csv, and the folders of runs of an older tandv."""

import re
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from tandv.log import _parquet, logframe
from tandv.log._opening import GZIP, AnyPath, as_log
from tandv.log._unreadable import WHAT_TO_DO
from tandv.log.choice_of_rows import rows_at, rows_named
from tandv.log.door import Label, Names, Steps
from tandv.log.files import OTHER_FILES, UnreadableFile, read_csv, read_parquet, read_pickle
from tandv.log.finding import ALLOWED, LOGS
from tandv.log.store import of_ranks
from tandv.log.store.listing import PARTS
from tandv.messages import warn
from tandv.place import Place, place_of

FINISHED: dict[str, Callable[[AnyPath], pd.DataFrame]] = dict(zip(LOGS, (read_pickle, read_parquet), strict=True))
_BEGINNING = 4096  # bytes that are looked at

# What a file begins with, and how it is opened.
_FORMATS: dict[bytes, Callable[[AnyPath], pd.DataFrame]] = {
    b"PAR1": read_parquet,
    b"\x80\x02": read_pickle,
    b"\x80\x03": read_pickle,
    b"\x80\x04": read_pickle,
    b"\x80\x05": read_pickle,
    GZIP: read_pickle,
}
_OTHERS = OTHER_FILES | {
    b"\x89HDF": "HDF5",
    b"ARROW1": "an Arrow file (Feather)",
    b"SQLite": "a database of SQLite",
    b"\x93NUMPY": "a NumPy array",
}


class DamagedPart(UserWarning):
    """Some files of a run's folder could not be read; what the others hold was returned."""


def read_file(place: Place) -> pd.DataFrame:
    """Return the log in a file, whatever it is called; one that lies elsewhere is copied here for that time."""
    if not place.is_local:
        return _copied(place, [""], lambda folder: read_file(Place(None, str(folder / "log"), place.name)))
    with open(place.path, "rb") as file:
        beginning = file.read(_BEGINNING)
    if beginning.startswith(GZIP) and _is_csv(_decompressed(beginning)):
        return read_csv(place.path)
    for start, reader in _FORMATS.items():
        if beginning.startswith(start):
            return reader(place.path)
    if _is_csv(beginning):
        return read_csv(place.path)
    raise UnreadableFile(f"cannot read {place}: it is {_described(beginning)}; {ALLOWED}")


def read_folder(place: Place) -> pd.DataFrame:
    """Return the log of a run of an older tandv: that of the finished run, or else of its parts.

    A damaged part is named in one DamagedPart warning and the others are returned.

    Raises UnreadableFile if nothing in it can be read, SchemaError if it has no rows yet.
    """
    if not place.is_local:
        names = [name for name in FINISHED if place.below(name).kind()][:1]
        names = names or [f"{PARTS}/{name}" for name in place.below(PARTS).files()]
        return _copied(place, names, lambda folder: read_folder(Place(None, str(folder), place.name)))
    folder = Path(place.path)
    damaged: list[str] = []
    for name, read in FINISHED.items():
        if (folder / name).exists():
            try:
                return _warned(read(folder / name), damaged, place)
            except UnreadableFile as error:
                damaged.append(str(error))
    tables = []
    for part in parts(folder):
        try:
            tables.append(_parquet.read_table(part))
        except FileNotFoundError:  # the run has just ended and joined its parts into the log
            if any((folder / name).exists() for name in FINISHED) and not damaged:
                return read_folder(place)
            damaged.append(f"{part} vanished while it was read")
        except UnreadableFile as error:
            damaged.append(str(error))
    if not tables and damaged:
        raise UnreadableFile(f"cannot open the run {place}:\n  " + "\n  ".join(damaged))
    if not any(len(table) for table in tables):
        raise logframe.SchemaError(no_rows(place))
    joined = pa.concat_tables(tables, promote_options="permissive")
    return _warned(as_log(_parquet.from_table(joined)), damaged, place)


def chosen_rows(
    df: pd.DataFrame,
    layer: Names | None,
    tt: Names | None,
    step: Steps | None,
    columns: Sequence[Label] | None,
) -> pd.DataFrame:
    """Return the rows of some layers, tensor types and steps of a log; it has no rows if none meets all choices.

    Args:
        df: the log.
        layer: a layer's name, a compiled pattern, or a list of these; None for all.
        tt: a tensor type, a compiled pattern, or a list of these; None for all.
        step: an integer, a list, or a slice; None for all.
        columns: the labels of the columns that are needed, as in `select`; None for all.

    Raises UnknownName for what is not in the log.
    """
    df = df.copy(deep=False)  # what is done to it must not be done to the next one that is asked for
    masks = [] if layer is None else [rows_named(df[("metadata", "name")], layer, "layer")]
    masks += [] if tt is None else [rows_named(df[("metadata", "tensor_type")], tt, "tensor type")]
    masks += [] if step is None else [rows_at(df[("metadata", "step")].to_numpy(), step)]
    if masks:
        df = df.take(np.flatnonzero(np.logical_and.reduce(masks)))
    if columns is None:
        return df
    tops = {top for top, _ in columns}
    return df[
        [
            label
            for label in df.columns
            if label[0] == "metadata" or label in columns or (label[0] == "exponent_counts" and label[0] in tops)
        ]
    ]


def parts(folder: AnyPath) -> list[Path]:
    """Return the part files of a run in the order in which they were written.

    A name says which parts a file holds, `000016-000031.parquet` sixteen of them; names beginning with "." are left
    out, as are files that another one holds already. Those that other ranks have written come after the first rank's.

    >>> Path("run/parts").mkdir(parents=True)
    >>> for name in ("000001.parquet", "000000.parquet", ".000002.parquet"):
    ...     Path("run/parts", name).touch()
    >>> [part.name for part in parts("run")]
    ['000000.parquet', '000001.parquet']

    Args:
        folder: the folder of the run.
    """
    return [Path(folder, name) for name in of_ranks.counting(place_of(folder))]


def no_rows(place: Place) -> str:
    """Return the sentence that a run has no rows yet."""
    return (
        f"the run {place} has no rows yet: wait until it has flushed its first steps, or check that "
        "tracker.step() is called"
    )


def warn_of(damaged: Sequence[str], place: Place | str, stacklevel: int) -> None:
    """Warn once of all files that could not be read, if there are any."""
    if damaged:
        lines = "\n  ".join(damaged)
        warn(f"the rest of the run {place} was read without:\n  {lines}", DamagedPart, stacklevel=stacklevel)


def _warned(df: pd.DataFrame, damaged: Sequence[str], place: Place) -> pd.DataFrame:
    warn_of(damaged, place, stacklevel=5)
    return df


def _copied(place: Place, names: Sequence[str], read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    """Read copies of some files of a place that is not of this machine."""
    with tempfile.TemporaryDirectory(prefix="tandv-") as folder:
        for name in names:
            copy = Path(folder, name or "log")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((place.below(*name.split("/")) if name else place).read())
        try:
            return read(Path(folder))
        except UnreadableFile as error:
            raise UnreadableFile(str(error).replace(folder, str(place))) from None


def _is_csv(beginning: bytes) -> bool:
    first_line = _as_text(beginning).partition("\n")[0]
    told = "," in first_line and not first_line.startswith("{")
    return told or re.match(rb'(\xef\xbb\xbf)?[;\t]?"?metadata"?[,;\t]', beginning) is not None


def _decompressed(beginning: bytes) -> bytes:
    """Return what a compressed file begins with, nothing if it is damaged."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(beginning, _BEGINNING)
    except zlib.error:
        return b""


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
        return f"an empty file, which was cut off; {WHAT_TO_DO}"
    known = next((what for start, what in _OTHERS.items() if beginning.startswith(start)), None)
    if known is not None:
        return known
    text = _as_text(beginning)
    return "JSON" if text.startswith("{") else "a text that is no csv" if text else "a file of another kind"
