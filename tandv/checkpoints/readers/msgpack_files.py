"""Read what flax.serialization wrote as MessagePack, without flax."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from tandv import formats
from tandv.checkpoints.entries import Entry
from tandv.checkpoints.readers.contents import Contents, Key
from tandv.checkpoints.readers.state_dict import in_model_order, model_in
from tandv.checkpoints.warnings import UnreadableCheckpoint

_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3  # flax's kinds of what MessagePack has no type for
_IN_PARTS = "__msgpack_chunked_array__"


@contextmanager
def open_msgpack(file: Path, key: Key = None) -> Iterator[Contents]:
    """Open a file; its bytes are read now, arrays are views of them."""
    try:
        loaded = _joined(msgpack.unpackb(file.read_bytes(), ext_hook=_extended, raw=False, strict_map_key=False))
    except (ValueError, TypeError, RecursionError) as error:  # those of msgpack are ValueErrors
        raise UnreadableCheckpoint(f"it is damaged, or not of flax.serialization ({error})") from error
    except (KeyError, IndexError, AttributeError) as error:
        raise UnreadableCheckpoint("it is damaged: an array that was written in parts lacks some of them") from error
    yield in_model_order(model_in(loaded, key))


def _extended(kind: int, content: bytes) -> Any:
    if kind not in (_ARRAY, _SCALAR):
        return None if kind != _COMPLEX else complex(*msgpack.unpackb(content))
    shape, dtype, values = msgpack.unpackb(content, raw=False)
    name = dtype.decode() if isinstance(dtype, bytes) else str(dtype)
    form = formats.dtype(name)
    if form.hasobject or min((0, *shape)) < 0 or math.prod(shape) * form.itemsize != len(values):
        raise ValueError("an array is cut off")
    return Entry(form.name, tuple(shape), partial(_array, values, form, tuple(shape)), framework="jax")


def _array(values: bytes, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(values, dtype).reshape(shape)


def _joined(node: Any) -> Any:
    """Return dictionaries with arrays above a gigabyte, which flax writes in parts, in one piece."""
    if not isinstance(node, Mapping):
        return node
    if _IN_PARTS not in node:
        return {str(name): _joined(child) for name, child in node.items()}
    shape = tuple(node["shape"][str(i)] for i in range(len(node["shape"])))
    parts = [node["chunks"][str(i)] for i in range(len(node["chunks"]))]
    return Entry(parts[0].dtype, shape, partial(_of_parts, parts, shape), framework="jax")


def _of_parts(parts: list[Entry], shape: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([part.read().reshape(-1) for part in parts]).reshape(shape)
