"""Read files of torch.save, of any version, with weights_only=True: a file that asks for code is refused."""

import argparse
import collections
import contextlib
import pathlib
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tandv import formats
from tandv.checkpoints.entries import Entry, place_of
from tandv.checkpoints.warnings import RefusedCheckpoint, UnreadableCheckpoint, asks_for

# What torch raises for a damaged file.
_DAMAGE = (pickle.UnpicklingError, RuntimeError, LookupError, AttributeError, TypeError, ValueError, EOFError)
_DAMAGE += (struct.error,)
_SCALAR, _RECONSTRUCT = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
# Plain data that training loops save with the weights; building one of them runs no code of the file.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    collections.deque,
    pathlib.PosixPath,
    pathlib.PurePosixPath,
    pathlib.WindowsPath,
    np.dtype,
    np.ndarray,
    *(type(np.dtype(kind)) for kind in (bool, "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")),
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),  # NumPy 1 and 2
    *((_RECONSTRUCT, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
]
_OF_ARRAYS = ("numpy.core.multiarray.", "numpy._core.multiarray.", "numpy.ndarray", "numpy.dtype")
_NPY = b"\x93NUMPY"
_AS_NUMPY = {  # formats that NumPy lacks: the integer type with the same bits, and the dtype of ml_dtypes
    getattr(torch, name): (torch.uint8 if name in formats.EIGHT_BITS else torch.int16, formats.dtype(name))
    for name in ("bfloat16", *formats.EIGHT_BITS)
    if hasattr(torch, name)
}


def load(file: Path) -> Any:
    """Return what a file holds, an Entry for each tensor; raises RefusedCheckpoint or UnreadableCheckpoint.

    Tensors are memory-mapped if the file is a zip archive, as torch.save has written since version 1.6.
    """
    with warnings.catch_warnings(), torch.serialization.safe_globals(_HARMLESS):
        warnings.simplefilter("ignore")  # torch warns about old formats
        try:
            try:
                return _with_entries(torch.load(file, map_location="cpu", weights_only=True, mmap=True))
            except RuntimeError as error:
                if "mmap can only be used" not in str(error):
                    raise
                return _with_entries(torch.load(file, map_location="cpu", weights_only=True))
        except _DAMAGE as error:
            raise _refusal(str(error), file) from error


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor's values as an array, not copied; 16- and 8-bit formats as dtypes of ml_dtypes."""
    tensor = tensor.detach().resolve_neg()
    if tensor.dtype in _AS_NUMPY:
        bits, dtype = _AS_NUMPY[tensor.dtype]
        return tensor.view(bits).numpy().view(dtype)
    return tensor.numpy()


def _with_entries(loaded: Any) -> Any:
    """Return plain dictionaries with an Entry in place of each tensor; other things stay as they are."""
    if isinstance(loaded, Mapping):
        return {key: _with_entries(value) for key, value in loaded.items()}
    return _entry(loaded) if isinstance(loaded, torch.Tensor) else loaded


def _entry(tensor: torch.Tensor) -> Entry:
    dtype = str(tensor.dtype).removeprefix("torch.")
    packed = tensor.is_quantized or dtype.endswith("_x2")  # two numbers in a byte
    if tensor.layout != torch.strided or packed or tensor.is_meta:
        kind = f"{'meta' if tensor.is_meta else str(tensor.layout).removeprefix('torch.')} {dtype}"
        return Entry(kind, tuple(tensor.shape), partial(as_array, tensor), framework="torch")
    at = tensor.untyped_storage().data_ptr()
    storage = place_of(at, int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride())
    return Entry(dtype, tuple(tensor.shape), partial(as_array, tensor), storage, "torch")


def _refusal(message: str, file: Path) -> UnreadableCheckpoint:
    asked = re.findall(r"GLOBAL ([\w.]+)", message)
    if "TorchScript" in message:
        asked = ["a TorchScript program"]
    if not asked and not zipfile.is_zipfile(file):
        if _is_npy(file):
            return UnreadableCheckpoint("it is one array of numpy.save, without a name; save several by numpy.savez")
        named = [name for name in _names_in(file) if not name.startswith(("collections.", "torch."))]
        asked = [name for name in named if not name.startswith(_OF_ARRAYS)] or named
    if asked:
        return RefusedCheckpoint(asks_for(asked))
    first = message.rpartition("WeightsUnpickler error: ")[2].strip().partition("\n")[0]
    return UnreadableCheckpoint(f"it is damaged, or not written by torch.save ({first})")


def _is_npy(file: Path) -> bool:
    with open(file, "rb") as opened:
        return opened.read(len(_NPY)) == _NPY


def _names_in(file: Path) -> list[str]:
    """Return the classes and functions that a pickle names, by reading its instructions without following them."""
    names: list[str] = []
    texts: list[str] = []
    memo: dict[int, str] = {}
    last: str | None = None
    with contextlib.suppress(ValueError, EOFError, IndexError), open(file, "rb") as opened:
        for instruction, argument, _ in pickletools.genops(opened):
            if instruction.name in ("GLOBAL", "INST"):
                names.append(str(argument).replace(" ", "."))
            elif instruction.name == "STACK_GLOBAL":
                names.append(".".join(texts[-2:]))
            elif instruction.name == "MEMOIZE":
                memo[len(memo)] = last or ""
            got: Any = argument
            last = got if isinstance(got, str) else memo.get(got) if "GET" in instruction.name else None
            texts += [last] if last else []
    return names
