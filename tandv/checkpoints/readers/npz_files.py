"""Read archives of numpy.savez, one array at a time; names with slashes are paths, as projects of JAX write them."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tandv.checkpoints.entries import Entry
from tandv.checkpoints.readers.contents import Contents, Key
from tandv.checkpoints.readers.state_dict import in_model_order, model_in
from tandv.checkpoints.warnings import UnreadableCheckpoint

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@contextmanager
def open_npz(file: Path, key: Key = None) -> Iterator[Contents]:
    """Open an archive; shapes and types are read now, arrays when they are asked for."""
    try:
        with zipfile.ZipFile(file) as archive:
            tree: dict[str, Any] = {}
            for info in archive.infolist():
                node = tree
                *outer, last = info.filename.removesuffix(".npy").strip("/").split("/")
                for name in outer:
                    node = node.setdefault(name, {})
                node[last] = _entry(archive, info)
            yield in_model_order(model_in(tree, key))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, AttributeError) as error:
        raise UnreadableCheckpoint(f"it is damaged, or not of numpy.savez ({error})") from error


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    try:
        with archive.open(info) as opened:
            shape, _, dtype = _HEADERS[np.lib.format.read_magic(opened)](opened)
    except (ValueError, KeyError) as error:
        raise UnreadableCheckpoint(f"{info.filename} in it is no array ({error})") from error
    return Entry(dtype.name, shape, partial(_read, archive, info))


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as opened:
        return np.lib.format.read_array(opened, allow_pickle=False)
