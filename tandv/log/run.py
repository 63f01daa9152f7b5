"""The folder of a run: its finished log, or the parts that were flushed so far."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from tandv.log import _parquet, logframe
from tandv.log._opening import AnyPath, as_log
from tandv.log.files import UnreadableFile, read_parquet, read_pickle

__all__ = ["DamagedPart", "parts", "read_run"]


class DamagedPart(UserWarning):
    """Some files of a run's folder could not be read; what the others hold was returned."""


def read_run(folder: AnyPath) -> pd.DataFrame:
    """Open the log of a run that is finished, was killed, or still goes on.

    A finished run has `log.pkl` or `log.parquet`; without one, what counts is `parts/*.parquet`. A part that
    is damaged is named in one DamagedPart warning, the others are returned. Raises FileNotFoundError if
    there is no such folder, UnreadableFile if nothing in it can be read, SchemaError if it has no rows yet.

    >>> df = read_run("tandv-runs/demo")
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file; open it with read_pickle, read_parquet or read_csv" if folder.exists() else "is missing"
        raise FileNotFoundError(f"cannot open the run {folder}: the folder {what}")
    damaged: list[str] = []
    for name, read in {"log.pkl": read_pickle, "log.parquet": read_parquet}.items():
        if (folder / name).exists():
            try:
                return _warned(read(folder / name), damaged, folder)
            except UnreadableFile as error:
                damaged.append(str(error))
    tables = []
    for part in parts(folder):
        try:
            tables.append(_parquet.read_table(part))
        except FileNotFoundError:  # the run ended just now, and its parts became the log
            if any((folder / name).exists() for name in ("log.pkl", "log.parquet")) and not damaged:
                return read_run(folder)
            damaged.append(f"{part} vanished while it was read")
        except UnreadableFile as error:
            damaged.append(str(error))
    if not tables and damaged:
        raise UnreadableFile(f"cannot open the run {folder}:\n  " + "\n  ".join(damaged))
    if not any(len(table) for table in tables):
        raise logframe.SchemaError(
            f"the run {folder} has no rows yet: wait until it has flushed its first steps, or check that "
            "tracker.step() is called"
        )
    joined = pa.concat_tables(tables, promote_options="permissive")
    return _warned(as_log(_parquet.from_table(joined)), damaged, folder)


def parts(folder: AnyPath) -> list[Path]:
    """Return the part files of a run in order; names beginning with "." are not finished."""
    found = (Path(folder) / "parts").glob("*.parquet")
    return sorted((p for p in found if not p.name.startswith(".")), key=lambda p: (len(p.name), p.name))


def _warned(df: pd.DataFrame, damaged: Sequence[str], folder: Path) -> pd.DataFrame:
    if damaged:
        listed = "\n  ".join(damaged)
        warnings.warn(f"the rest of the run {folder} was read without:\n  {listed}", DamagedPart, stacklevel=3)
    return df
