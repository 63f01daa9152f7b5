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
    """Open the log of a run that is finished, was killed, or is still running.

    A finished run has `log.pkl` or `log.parquet`; otherwise the log is read from `parts/*.parquet`. A damaged part is
    named in one DamagedPart warning and the others are returned.

    >>> from tandv.log.files import write_pickle
    >>> Path("run").mkdir()
    >>> write_pickle(logframe.example_log(), "run/log.pkl")
    >>> read_run("run").shape
    (1250, 60)

    Args:
        folder: the folder of the run, which a tracker made (`tracker.path`).

    Raises FileNotFoundError if there is no such folder, UnreadableFile if nothing in it can be read, SchemaError if
    it has no rows yet.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file; open it with read_pickle, read_parquet or read_csv" if folder.exists() else "is missing"
        raise FileNotFoundError(f"cannot open the run {folder}: the folder {what}")
    damaged: list[str] = []
    for name, read in {"log.pkl": read_pickle, "log.parquet": read_parquet}.items():
        if (folder / name).exists():
            try:
                return _warn(read(folder / name), damaged, folder)
            except UnreadableFile as error:
                damaged.append(str(error))
    tables = []
    for part in parts(folder):
        try:
            tables.append(_parquet.read_table(part))
        except FileNotFoundError:  # the run has just ended and joined its parts into the log
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
    return _warn(as_log(_parquet.from_table(joined)), damaged, folder)


def parts(folder: AnyPath) -> list[Path]:
    """Return the part files of a run in the order in which they were written.

    Names beginning with "." are left out: they are still being written.

    >>> Path("run/parts").mkdir(parents=True)
    >>> for name in ("000001.parquet", "000000.parquet", ".000002.parquet"):
    ...     Path("run/parts", name).touch()
    >>> [part.name for part in parts("run")]
    ['000000.parquet', '000001.parquet']

    Args:
        folder: the folder of the run.
    """
    files = (Path(folder) / "parts").glob("*.parquet")
    return sorted((p for p in files if not p.name.startswith(".")), key=lambda p: (len(p.name), p.name))


def _warn(df: pd.DataFrame, damaged: Sequence[str], folder: Path) -> pd.DataFrame:
    if damaged:
        listed = "\n  ".join(damaged)
        warnings.warn(f"the rest of the run {folder} was read without:\n  {listed}", DamagedPart, stacklevel=3)
    return df
