"""Read the usual files of torch.save without torch: a zip archive of a pickle and raw numbers.

No name in the pickle is ever imported. Tensors of rare kinds, and names that only a program asks for, are left to
torch's own reader, which reads or refuses them.
"""

import math
import mmap
import zipfile
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tandv.checkpoints.entries import Entry
from tandv.checkpoints.readers.unpickling import DAMAGE, InertUnpickler, NotPlain
from tandv.checkpoints.warnings import UnreadableCheckpoint
from tandv.formats import dtype as dtype_of

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_NAMES = {dtype_of(name): name for name in _STORAGES.values()}  # dtype.name is slow


SPLIT = (
    "its tensors are split over processes, and it holds the parts of one; save the full state dict "
    "(torch.distributed.checkpoint.state_dict, full_state_dict=True), or all parts with torch.distributed.checkpoint"
)


class _Storage(NamedTuple):
    name: str
    dtype: np.dtype
    start: int  # of its first byte in the file
    size: int


class _Wrapper(NamedTuple):
    """A tensor of a class of its own, such as a DTensor, whose values are in its state."""

    shape: tuple[int, ...]


def _whole(made: Any, state: Any) -> Any:
    """Return a tensor; of one that is split over processes, the local part if that is all of it."""
    if not isinstance(made, _Wrapper):
        return made
    parts = state if isinstance(state, tuple) else (state,)  # of a class with slots, a pair
    local = next((part["_local_tensor"] for part in parts if isinstance(part, dict) and "_local_tensor" in part), None)
    if not isinstance(local, Entry):
        raise NotPlain("a tensor of a class of its own")
    if local.shape != made.shape:
        raise UnreadableCheckpoint(SPLIT)
    return local


def load_plain(file: Path) -> Any:
    """Return what a file holds, an Entry for each tensor, whose array is a view of the mapped file. Raises NotPlain."""
    try:
        with open(file, "rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            with zipfile.ZipFile(opened) as archive:
                return _content_of(archive, mapped)
    except (NotPlain, UnreadableCheckpoint):
        raise
    except (zipfile.BadZipFile, *DAMAGE) as error:
        raise NotPlain(str(error)) from error


def load_part(file: Path, start: int, length: int) -> Any:
    """Return what a part of a file holds that torch.save wrote into it, read into memory. Raises NotPlain.

    Args:
        file: the file.
        start: its first byte.
        length: how many bytes it has.
    """
    try:
        with open(file, "rb") as opened:
            opened.seek(start)
            part = opened.read(length)
        with zipfile.ZipFile(BytesIO(part)) as archive:
            return _content_of(archive, part)
    except (NotPlain, UnreadableCheckpoint):
        raise
    except (zipfile.BadZipFile, *DAMAGE) as error:
        raise NotPlain(str(error)) from error


def _content_of(archive: zipfile.ZipFile, mapped: mmap.mmap | bytes) -> Any:
    inside = {info.filename.partition("/")[2]: info for info in archive.infolist()}
    if "data.pkl" not in inside or "constants.pkl" in inside:  # the latter is TorchScript
        raise NotPlain("not a state dict of torch.save")
    if "byteorder" in inside and _content(inside["byteorder"], mapped) != b"little":
        raise NotPlain("big-endian")
    return _PlainUnpickler(_content(inside["data.pkl"], mapped), inside, mapped).load()


def _start(info: zipfile.ZipInfo, mapped: mmap.mmap | bytes) -> int:
    """Return where the content of an archive's file begins."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise NotPlain("compressed")
    # it follows the local header, whose last two fields are the lengths of the name and of the extra field
    at = info.header_offset
    name, extra = (int.from_bytes(mapped[at + i : at + i + 2], "little") for i in (26, 28))
    return at + 30 + name + extra


def _content(info: zipfile.ZipInfo, mapped: mmap.mmap | bytes) -> bytes:
    start = _start(info, mapped)
    return mapped[start : start + info.file_size]


def _view(mapped: mmap.mmap | bytes, shape: tuple, dtype: np.dtype, start: int, strides: tuple) -> np.ndarray:
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)  # pages read before need not stay in memory
    return np.ndarray(shape, dtype, mapped, start, strides)


class _PlainUnpickler(InertUnpickler):
    """Reads a pickle of torch.save."""

    def __init__(self, pickled: bytes, inside: dict[str, zipfile.ZipInfo], mapped: mmap.mmap | bytes):
        super().__init__(BytesIO(pickled))
        self._inside = inside
        self._mapped = mapped

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name: for those of torch that make tensors, a function of this class."""
        match module, name:
            case "torch", _ if name in _STORAGES:
                return name  # not the dtype itself: a pickle could change it, for the whole process
            case "torch", _ if name.endswith("Storage"):
                raise NotPlain(f"{module}.{name}")
            case "torch._utils", "_rebuild_tensor_v2":
                return lambda *of: self._tensor(*of)
            case "torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state":
                return lambda data, *_: data
            case "torch._tensor", "_rebuild_from_type_v2":
                return lambda make, _, of, state, *__: _whole(make(*of), state)
            case "torch._utils", "_rebuild_wrapper_subclass":
                return lambda _, __, size, *___: _Wrapper(tuple(size))
            case _, "ShardedTensor":
                raise UnreadableCheckpoint(SPLIT)
            case (("torch._utils" | "torch._tensor"), _) if name.startswith("_rebuild"):
                raise NotPlain(f"{module}.{name}")
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> _Storage:
        kind, name, key, _, size = pid
        info = self._inside[f"data/{key}"]
        if kind != "storage":
            raise NotPlain(str(kind))
        dtype = dtype_of(_STORAGES[name])
        if int(size) * dtype.itemsize > info.file_size:
            raise NotPlain("a tensor is cut off")
        return _Storage(str(key), dtype, _start(info, self._mapped), int(size))

    def _tensor(self, storage: _Storage, offset: int, shape: tuple, stride: tuple, *_: Any) -> Entry:
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        if min((offset, *shape, *stride)) < 0 or (0 not in shape and last >= storage.size):
            raise NotPlain("a tensor reaches beyond its storage")
        bytes_apart = tuple(step * storage.dtype.itemsize for step in stride)
        start = storage.start + offset * storage.dtype.itemsize
        read = partial(_view, self._mapped, tuple(shape), storage.dtype, start, bytes_apart)
        return Entry(_NAMES[storage.dtype], tuple(shape), read, (storage.name, offset, math.prod(shape)), "torch")
