"""The log of a finished run as one file, in the format that its name asks for."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pandas as pd

from tandv.log import files
from tandv.log.opened import Log
from tandv.log.run import read_run
from tandv.log.schema import SchemaError
from tandv.log.store import of_ranks
from tandv.log.store.writing import Store
from tandv.place import place_of

_IN_MEMORY = 256 << 20  # bytes of the whole log as a frame, beyond which it is not made one file at the end

_METADATA = 22  # bytes of the metadata of a row

LogFormat = Literal[".pkl", ".parquet"]

FORMATS: dict[LogFormat, Callable[[pd.DataFrame, Path], None]] = {
    ".pkl": lambda df, path: files.write_pickle(df, path),
    ".parquet": lambda df, path: files.write_parquet(df, path),
}


def finished_log(
    folder: Path, wanted: Path | None, store: Store, note: Callable[[str, str], None]
) -> tuple[str | None, Path]:
    """Write the log of a run as one file; return its name and where it lies.

    The name is "parts" where it stays in these, None if it has no row; then the folder is the log: where it is too
    large for memory, or is mirrored. Where one format fails, another is written.

    Args:
        folder: the run's folder.
        wanted: the file to write, None where the run is mirrored at another place.
        store: the rows of the run.
        note: takes a kind of message, and the message.
    """
    others = bool(of_ranks.folders(place_of(folder)))
    if not store.rows and not others:
        return None, folder
    if wanted is None:
        return "parts", folder
    failed: list[str] = []
    try:
        size = _frame_size(folder) if others else store.frame_size
        if size > _IN_MEMORY:
            note(
                "large",
                f"the log takes {size / 2**20:,.0f} MiB in memory, more than {_IN_MEMORY >> 20}: the folder "
                f"{folder} is the log, which read_run opens; `tandv log export` makes one file of it",
            )
            return "parts", folder
        log = read_run(folder)
        for suffix in sorted(FORMATS, key=lambda suffix: suffix != wanted.suffix):
            path = wanted.with_suffix(suffix)
            try:
                FORMATS[suffix](log, path)
            except Exception as error:
                failed.append(f"could not write {path.name}: {type(error).__name__}: {error}")
                continue
            if failed:
                note("close", f"{failed[0]}; the finished log is {path} instead")
            return path.name, path
    except SchemaError:  # no rank has recorded anything
        return None, folder
    except Exception as error:
        failed.append(f"could not join the parts: {type(error).__name__}: {error}")
    note("close", f"{'; '.join(failed)}; the log stays in parts, read_run({str(folder)!r}) opens it")
    return "parts", folder


def _frame_size(folder: Path) -> int:
    """Return the bytes that the log of all ranks takes in memory as one frame, about."""
    log = Log(folder)
    return log.rows * (_METADATA + 8 * len(log.scalar_metrics()) + 4 * (len(log.exponents()) + 2))
