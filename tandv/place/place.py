"""A place: a folder or file on this machine, or one that pyarrow or fsspec opens by its address, such as "s3://...".

Files appear whole or not at all: here they are renamed into place, elsewhere each is put in one call.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.fs

AnyPath = str | os.PathLike[str]
TRIED = (OSError, ValueError, NotImplementedError, pa.ArrowException, ImportError)
_AT_ONCE = 64 << 20  # bytes


class Unreachable(OSError):
    """The place cannot be opened: its kind is unknown, a package is missing, or its server refuses."""


class Info(NamedTuple):
    """What a listing tells of a file.

    >>> Info(size=4096, written=0).size
    4096

    Args:
        size: of the file, in bytes.
        written: when it was, in nanoseconds; 0 where the place does not tell.
    """

    size: int
    written: int


class Place(NamedTuple):
    """Where something lies: a path of this machine (`filesystem` is None), or a path of another file system.

    >>> from tandv.place import place_of
    >>> place_of("runs/demo").below("parts", "000000.parquet").path
    'runs/demo/parts/000000.parquet'

    Args:
        filesystem: a file system of pyarrow; None for this machine's own.
        path: the path in it.
        name: the address as it was given, for messages.
    """

    filesystem: Any
    path: str
    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def is_local(self) -> bool:
        return self.filesystem is None

    def absolute(self) -> str:
        """Return its address, which stays the same when the working directory changes."""
        return os.path.abspath(self.path) if self.filesystem is None else self.name

    def below(self, *names: str) -> "Place":
        """Return the place of these names, one below the other.

        Args:
            names: the names of folders, and last of a file or folder.
        """
        if self.filesystem is None:
            return Place(None, os.path.join(self.path, *names), os.path.join(self.name, *names))
        joined = "/".join(names)
        return Place(self.filesystem, f"{self.path.rstrip('/')}/{joined}", f"{self.name.rstrip('/')}/{joined}")

    def kind(self) -> str:
        """Return what is here: "folder", "file", or "" for nothing."""
        if self.filesystem is None:
            return "folder" if os.path.isdir(self.path) else "file" if os.path.exists(self.path) else ""
        found = self._try(lambda: self.filesystem.get_file_info(self.path)).type
        if found == pyarrow.fs.FileType.File:
            return "file"
        # An object store has no folders, only names that begin alike.
        return "folder" if found == pyarrow.fs.FileType.Directory or self.files() else ""

    def folders_with(self, names: Collection[str], most: int = 200) -> list[str]:
        """Return the names of the folders directly in this one that hold something of a certain name.

        Args:
            names: one of these is in each.
            most: how many of what lies here is looked into, so that a large folder does not take long.
        """
        return [
            name
            for name in self.names()[:most]
            if (inner := self.below(name)).kind() == "folder" and any(one in names for one in inner.names())
        ]

    def state(self) -> Info | None:
        """Return the size of this file and when it was written; None if there is none."""
        if self.filesystem is None:
            try:
                about = os.stat(self.path)
            except (OSError, ValueError):
                return None
            return Info(about.st_size, about.st_mtime_ns)
        found = self._try(lambda: self.filesystem.get_file_info(self.path))
        return Info(found.size or 0, found.mtime_ns or 0) if found.is_file else None

    def around(self) -> "Place | None":
        """Return the folder that this file is in; None if it is no file."""
        if self.kind() != "file":
            return None
        if self.filesystem is None:
            return Place(None, os.path.dirname(self.path) or ".", os.path.dirname(self.name) or ".")
        return Place(self.filesystem, self.path.rpartition("/")[0], self.name.rpartition("/")[0])

    def names(self) -> list[str]:
        """Return the names of files and folders that lie directly in this folder, ascending."""
        if self.filesystem is None:
            return sorted(os.listdir(self.path))
        selector = pyarrow.fs.FileSelector(self.path, allow_not_found=True)
        return sorted({one.base_name for one in self._try(lambda: self.filesystem.get_file_info(selector))})

    def files(self) -> dict[str, Info]:
        """Return the files in this folder and below it, by their names from here on ("0000/000/000000.parquet")."""
        if self.filesystem is None:
            return dict(_files(self.path))
        selector = pyarrow.fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        found = self._try(lambda: self.filesystem.get_file_info(selector))
        start = len(self.path.strip("/")) + 1
        return {
            one.path.strip("/")[start:]: Info(one.size or 0, one.mtime_ns or 0) for one in found if one.is_file
        }  # fmt: skip

    def source(self) -> Any:
        """Return what pyarrow reads a file from: its path, or the opened file of another file system."""
        return self.path if self.filesystem is None else self._try(lambda: self.filesystem.open_input_file(self.path))

    def read(self) -> bytes:
        """Return the bytes of this file. Raises FileNotFoundError if there is none."""
        if self.filesystem is None:
            return Path(self.path).read_bytes()
        with self.source() as file:
            return file.readall() if hasattr(file, "readall") else file.read()

    def beginning(self, size: int) -> bytes:
        """Return the first bytes of this file.

        Args:
            size: how many bytes, at most.
        """
        with open(self.path, "rb") if self.filesystem is None else self.source() as file:
            return file.read(size)

    def put(self, data: bytes) -> None:
        """Write this file, which appears when it is whole; folders that are missing are made.

        Args:
            data: the bytes of the file.
        """
        if self.filesystem is None:
            path = Path(self.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            try:
                aside.write_bytes(data)
                os.replace(aside, path)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
            return
        self._try(lambda: self._put(data))

    def put_from(self, path: Path) -> None:
        """Write this file as a copy of one of this machine.

        One of up to 64 MiB is put in one call and appears when it is whole; a larger one is not held in memory, and
        whether it appears before depends on the file system.

        Args:
            path: the file that is copied.
        """
        if self.filesystem is None or path.stat().st_size <= _AT_ONCE:
            self.put(path.read_bytes())
        else:
            self._try(lambda: self._stream(path))

    def delete(self) -> None:
        """Remove this file; nothing happens if there is none."""
        if self.filesystem is None:
            Path(self.path).unlink(missing_ok=True)
            return
        try:
            self._try(lambda: self.filesystem.delete_file(self.path))
        except FileNotFoundError:
            return

    def _stream(self, path: Path) -> None:
        handler = getattr(self.filesystem, "handler", None)
        if handler is not None:
            handler.fs.makedirs(self.path.rpartition("/")[0], exist_ok=True)
            handler.fs.put_file(str(path), self.path)
            return
        with path.open("rb") as file, self.filesystem.open_output_stream(self.path) as stream:
            shutil.copyfileobj(file, stream, _AT_ONCE)

    def _put(self, data: bytes) -> None:
        handler = getattr(self.filesystem, "handler", None)
        if handler is not None:  # of fsspec: while it writes to an opened file, others see half of it
            parent = self.path.rpartition("/")[0]
            if parent:
                handler.fs.makedirs(parent, exist_ok=True)
            handler.fs.pipe_file(self.path, data)
            return
        with self.filesystem.open_output_stream(self.path) as stream:  # of an object store: there when it is closed
            stream.write(data)

    def _try(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except FileNotFoundError:
            raise
        except TRIED as error:
            raise Unreachable(f"cannot reach {self.name}: {type(error).__name__}: {error}") from error


def _files(folder: str) -> "list[tuple[str, Info]]":
    found = []
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        try:
            with os.scandir(os.path.join(folder, inner)) as entries:
                for entry in entries:
                    name = f"{inner}/{entry.name}" if inner else entry.name
                    if entry.is_dir():
                        waiting.append(name)
                    else:
                        about = entry.stat()
                        found.append((name, Info(about.st_size, about.st_mtime_ns)))
        except (FileNotFoundError, NotADirectoryError):  # it has been joined with others meanwhile, or never was
            continue
    return found
