"""The errors of a file or table that is no log, and what is said of a file that is damaged."""

from typing import Any

import pyarrow as pa

WHAT_TO_DO = "copy it again from where it was written"


class UnreadableFile(ValueError):
    """The file is damaged, of another kind, or asks for something that a log does not need."""


class SchemaError(ValueError):
    """The table is not a tandv log; the message names every problem and what mends it."""


def unreadable(where: Any, error: Exception) -> UnreadableFile:
    """Return the error of a file that cannot be read, which says what to do if it is damaged.

    >>> print(unreadable("x.parquet", pa.ArrowInvalid("no footer.")))
    cannot read x.parquet: it is damaged or was cut off (no footer); copy it again from where it was written

    Args:
        where: the path or place of the file.
        error: what reading it raised.
    """
    of_the_system = isinstance(error, OSError) and error.errno is not None  # such as of a disk that cannot be reached
    by_arrow = isinstance(error, pa.ArrowException) or (isinstance(error, OSError) and not of_the_system)
    if not by_arrow or isinstance(error, pa.ArrowNotImplementedError):
        return UnreadableFile(f"cannot read {where}: {error}")
    words = " ".join(str(error).split()).rstrip(".")
    return UnreadableFile(f"cannot read {where}: it is damaged or was cut off ({words}); {WHAT_TO_DO}")
