"""Which place a path or an address names; pyarrow opens addresses, or else fsspec."""

import os

import pyarrow.fs

from tandv.messages import how_to_install
from tandv.place.place import TRIED, AnyPath, Place, Unreachable


def is_address(path: AnyPath) -> bool:
    """Tell whether a path is the address of another file system, such as "s3://bucket/run".

    >>> is_address("memory://run"), is_address("runs/demo")
    (True, False)

    Args:
        path: a path of this machine, or an address.
    """
    scheme, colon, _ = os.fspath(path).partition("://")
    return bool(colon) and scheme.isidentifier() and scheme != "file"


def place_of(path: AnyPath | Place) -> Place:
    """Return the place that a path or an address names; nothing is looked at.

    >>> place_of("runs/demo").is_local, place_of("file:///runs/demo").path
    (True, '/runs/demo')

    Args:
        path: a path of this machine, or an address such as "s3://bucket/run" or "memory://run".

    Raises Unreachable for an address that names nothing, or that neither pyarrow nor fsspec knows how to open, saying
    what to install, and TypeError for what is no path.
    """
    if isinstance(path, Place):
        return path
    given = os.fspath(path)
    if not isinstance(given, str):
        raise TypeError(f"a path is text, not {type(given).__name__}")
    scheme, colon, rest = given.partition("://")
    if not colon or not scheme.isidentifier():
        return Place(None, given, given)
    if not rest.strip("/"):
        raise Unreachable(f"cannot open {given}: it names no folder or file; give one, such as {scheme}://bucket/run")
    if scheme == "file":
        return Place(None, rest, rest)
    try:
        filesystem, inner = pyarrow.fs.FileSystem.from_uri(given)
        return Place(filesystem, inner, given)
    except TRIED as error:
        return _of_fsspec(given, scheme, error)


def _of_fsspec(given: str, scheme: str, by_pyarrow: Exception) -> Place:
    """Return the place of an address that pyarrow itself does not open."""
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise Unreachable(
            f"cannot open {given}: pyarrow does not open {scheme}:// ({by_pyarrow}), and fsspec is not installed: "
            f"{how_to_install('remote')}"
        ) from error
    try:
        filesystem, inner = fsspec.core.url_to_fs(given)
    except (ImportError, ValueError) as error:  # it names the package that it needs, or the protocol it does not know
        first = str(by_pyarrow).splitlines()[0]
        words = str(error).rstrip(".")
        words = f"{words}, then run this again" if isinstance(error, ImportError) else words
        raise Unreachable(f"cannot open {given}: {words} (pyarrow says: {first})") from error
    return Place(pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(filesystem)), inner, given)
