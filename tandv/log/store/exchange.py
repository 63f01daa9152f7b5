"""Two folders change places: at one instant where the system can, else by renames."""

import contextlib
import ctypes
import os
import sys
from pathlib import Path

_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_AT_WORKING_FOLDER = -100


def exchange(new: Path, old: Path) -> None:
    """Let two folders change places.

    >>> for name in ("new", "old"):
    ...     Path(name).mkdir()
    ...     Path(name, f"was-{name}").touch()
    >>> exchange(Path("new"), Path("old"))
    >>> [path.name for path in Path("old").iterdir()]
    ['was-new']

    Raises OSError if they cannot; both are then where they were.
    """
    if not _at_once(new, old):
        by_renames(new, old)


def by_renames(new: Path, old: Path) -> None:
    """Let two folders change places where the system cannot do it at once: between two renames `old` is missing.

    Raises OSError if they cannot; both are then where they were.
    """
    away = new.with_name(f"{new.name}.old")
    os.rename(old, away)
    try:
        os.rename(new, old)
    except OSError:
        os.rename(away, old)
        raise
    os.rename(away, new)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, reach the disk before what follows."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        if path.is_dir():
            return
        raise
    try:
        with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():  # some systems cannot
            os.fsync(handle)
    finally:
        os.close(handle)


def _at_once(new: Path, old: Path) -> bool:
    name = {"linux": "renameat2", "darwin": "renamex_np"}.get(sys.platform)
    try:
        call = getattr(ctypes.CDLL(None, use_errno=True), name or "")
    except (AttributeError, OSError, TypeError):  # another system, or a C library without it
        return False
    one, other = os.fsencode(new), os.fsencode(old)
    if name == "renamex_np":
        return call(one, other, _EXCHANGE) == 0
    return call(_AT_WORKING_FOLDER, one, _AT_WORKING_FOLDER, other, _EXCHANGE) == 0
