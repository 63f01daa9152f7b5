"""Pickles of torch.save: tensors in them are views of bytes beside them, and no name in them is ever imported."""

import mmap
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from tandv.checkpoints.entries import Entry, place_of
from tandv.checkpoints.readers.unpickling import InertUnpickler, NotPlain
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

_CHUNK = 64 << 20  # bytes of which the checksum is computed at a time

Bytes = mmap.mmap | bytes
Places = Callable[[str], tuple[int, int, int]]  # the first byte, how many there are, their CRC-32


class _Storage(NamedTuple):
    name: str
    dtype: np.dtype
    start: int  # of its first byte in the file
    size: int
    check: Callable[[], None]


class _Wrapper(NamedTuple):
    """A tensor of a class of its own, such as a DTensor, whose values are in its state."""

    shape: tuple[int, ...]


def _parameter(data: Any, is_trained: Any = False, *_: Any) -> Any:
    return data._replace(role="parameter") if isinstance(data, Entry) and is_trained is True else data


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


class _Check:
    """Compares the bytes of a storage with the checksum that was written with them, once they are first read."""

    def __init__(self, mapped: Bytes, key: str, start: int, length: int, crc: int):
        self._of = (mapped, key, start, length, crc)
        self._done = False

    def __call__(self) -> None:
        """Raise UnreadableCheckpoint if the bytes are not those that were written."""
        mapped, key, start, length, crc = self._of
        found = 0
        for at in () if self._done else range(start, start + length, _CHUNK):
            with memoryview(mapped) as view, view[at : min(at + _CHUNK, start + length)] as content:
                found = zlib.crc32(content, found)
            _forget(mapped)
        if not self._done and found != crc:
            raise UnreadableCheckpoint(
                f"it is damaged, or was still being written: the numbers in its part data/{key} are not those that its "
                "checksum is of"
            )
        self._done = True


def _forget(mapped: Bytes) -> None:
    """Give back the memory of pages that were read before."""
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _view(
    mapped: Bytes, shape: tuple, dtype: np.dtype, start: int, strides: tuple, check: Callable[[], None]
) -> np.ndarray:
    check()
    _forget(mapped)
    return np.ndarray(shape, dtype, mapped, start, strides)


def _unknown() -> None:
    """Check nothing: the file has no checksum."""


def bytes_of(storage: str) -> int:
    """Return how many bytes a value of a class of storages has. Raises KeyError."""
    return dtype_of(_STORAGES[storage]).itemsize


class TensorUnpickler(InertUnpickler):
    """Reads a pickle of torch.save.

    Args:
        pickled: the pickle.
        mapped: the bytes that the tensors are in.
        places: tells of the name of a storage its first byte, how many there are, and their CRC-32; 0 if unknown.
    """

    def __init__(self, pickled: BinaryIO, mapped: Bytes, places: Places):
        super().__init__(pickled)
        self._mapped = mapped
        self._places = places
        self._checks: dict[str, Callable[[], None]] = {}

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
                return lambda *of: _parameter(*of)
            case "torch._tensor", "_rebuild_from_type_v2":
                return lambda make, _, of, state, *__: _whole(make(*of), state)
            case "torch._utils", "_rebuild_wrapper_subclass":
                return lambda _, __, size, *___: _Wrapper(tuple(size))
            case _, "ShardedTensor":
                raise UnreadableCheckpoint(SPLIT)
            case (("torch._utils" | "torch._tensor"), _) if name.startswith("_rebuild"):
                raise NotPlain(f"{module}.{name}")
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":  # a class with its source, which is not read
            return pid[1]
        kind, name, key, _, size, *view = pid
        if kind != "storage" or any(view):
            raise NotPlain(str(kind))
        dtype = dtype_of(_STORAGES[name])
        start, there, crc = self._places(str(key))
        if int(size) * dtype.itemsize > there:
            raise NotPlain("a tensor is cut off")
        if str(key) not in self._checks:
            self._checks[str(key)] = _Check(self._mapped, str(key), start, there, crc) if crc else _unknown
        return _Storage(str(key), dtype, start, int(size), self._checks[str(key)])

    def _tensor(
        self,
        storage: _Storage,
        offset: int,
        shape: tuple,
        stride: tuple,
        is_trained: Any = False,
        hooks: Any = None,
        metadata: Any = None,
        *_: Any,
    ) -> Entry:
        if metadata:  # what is stored is to be negated or conjugated, which PyTorch knows
            raise NotPlain(f"a tensor has metadata: {metadata!r:.60}")
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        if min((offset, *shape, *stride)) < 0 or (0 not in shape and last >= storage.size):
            raise NotPlain("a tensor reaches beyond its storage")
        bytes_apart = tuple(step * storage.dtype.itemsize for step in stride)
        start = storage.start + offset * storage.dtype.itemsize
        read = partial(_view, self._mapped, tuple(shape), storage.dtype, start, bytes_apart, storage.check)
        place = place_of(storage.name, offset, tuple(shape), tuple(stride))
        role = "parameter" if is_trained is True else None
        return Entry(_NAMES[storage.dtype], tuple(shape), read, place, "torch", role)
