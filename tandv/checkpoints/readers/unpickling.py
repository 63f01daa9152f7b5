"""Read pickles without importing or running anything: what is no plain data becomes an Opaque of its class's name.

Python's own machine for pickles follows the instructions, but every name in them is answered here: by a function of
this file for tensors, arrays and collections, by a new class of Opaque for everything else. Names that only a program
asks for are no answer at all.
"""

import copyreg
import math
import pickle
import re
import sys
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from tandv import formats
from tandv.checkpoints.entries import Entry
from tandv.checkpoints.readers.opaque import Opaque

# What a damaged or forged pickle may make the machine raise.
DAMAGE = (
    pickle.UnpicklingError, KeyError, ValueError, TypeError, AttributeError, IndexError, EOFError, OverflowError,
    RecursionError, UnicodeDecodeError, MemoryError,
)  # fmt: skip
# Modules whose functions start programs, run text or change this process.
_CODE = frozenset((
    "os", "posix", "nt", "subprocess", "sys", "shutil", "importlib", "runpy", "pty", "ctypes", "socket", "code",
    "codeop", "pickle", "marshal", "webbrowser", "threading", "multiprocessing", "asyncio", "signal", "tempfile", "io",
    "operator", "gc", "inspect",
))  # fmt: skip
_TYPES = frozenset((
    "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "range", "set",
    "slice", "str", "tuple", "type", "Ellipsis", "NotImplemented",
))  # fmt: skip
_OF_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # as protocols up to 2 write them
_NUMBERS = re.compile(r"[<>|=]?[biufc]\d{1,2}")


class NotPlain(ValueError):
    """The file holds what cannot be read here; torch may be able to read it, or refuse it."""


class AsksForCode(NotPlain):
    """The file names functions that only a program needs."""


class Array(Opaque):
    """A NumPy array as a pickle has it: its shape, its type and its bytes."""

    kind = "numpy.ndarray"

    def entry(self) -> Entry | None:
        """Return it as an Entry; None for an array of objects."""
        state = vars(self).get("state")
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[4], bytes):
            return None
        _, shape, described, by_columns, content = state
        dtype, shape = _dtype(described), tuple(map(int, shape))
        if dtype is None or min((0, *shape)) < 0 or math.prod(shape) * dtype.itemsize != len(content):
            return None
        return Entry(dtype.name, shape, partial(_array, content, dtype, shape, bool(by_columns)))


class InertUnpickler(pickle.Unpickler):
    """Reads a pickle; no name in it is ever imported."""

    def load(self) -> Any:
        """Return what the pickle holds, an Entry for each array. Raises NotPlain, or one of DAMAGE."""
        copyreg.clear_extension_cache()  # a cached extension would be loaded without calling find_class
        return with_entries(super().load())

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name; never an object that a pickle could use to change this process."""
        module = _OF_PYTHON_2.get(module, module)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict  # nothing can be changed of it
        if (answer := _ANSWERS.get(f"{module}.{name}")) is not None:
            return lambda *of: answer(*of)  # a pickle may change a function, so each has its own
        top = module.partition(".")[0]
        is_code = module == "builtins" and name not in _TYPES
        if is_code or top in _CODE or (top in sys.stdlib_module_names and "." in name):
            raise AsksForCode(name if module == "builtins" else f"{module}.{name}")
        return opaque(f"{module}.{name}")


def opaque(kind: str) -> type[Opaque]:
    """Return a new class that stands for one that is not imported.

    >>> opaque("train.Settings")
    <class 'tandv.checkpoints.readers.unpickling.Settings'>
    """
    return type(kind.rpartition(".")[2], (Opaque,), {"kind": kind})


def with_entries(node: Any, seen: dict[int, Any] | None = None) -> Any:
    """Return plain data with an Entry for each array; dictionaries, lists and objects are changed in place."""
    if isinstance(node, Array):
        return node.entry() or node
    if isinstance(node, Entry) or not isinstance(node, dict | list | tuple | Opaque):
        return node
    seen = {} if seen is None else seen
    if id(node) in seen:
        return seen[id(node)]
    seen[id(node)] = node
    if isinstance(node, tuple):
        seen[id(node)] = new = tuple(with_entries(one, seen) for one in node)
        return new
    if isinstance(node, list):
        node[:] = [with_entries(one, seen) for one in node]
    else:
        inside = node if isinstance(node, dict) else vars(node)
        for key, value in inside.items():
            inside[key] = with_entries(value, seen)
    return node


def _dtype(described: Any) -> np.dtype | None:
    parts = vars(described) if isinstance(described, Opaque) else {}
    code, state = parts.get("0"), parts.get("state")
    if isinstance(code, type) and issubclass(code, Opaque) and code.kind.startswith("ml_dtypes."):
        name = code.kind.removeprefix("ml_dtypes.")
        return formats.dtype(name) if formats.is_format(name) else None
    order = state[1] if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "=") else ""
    text = f"{order}{code}"
    return np.dtype(text) if _NUMBERS.fullmatch(text) else None


def _array(content: bytes, dtype: np.dtype, shape: tuple[int, ...], by_columns: bool) -> np.ndarray:
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")


def _scalar(described: Any, content: Any = None) -> Any:
    dtype = _dtype(described)
    if dtype is None or not isinstance(content, bytes):
        return opaque("numpy.scalar")(described, content)
    return np.frombuffer(content, dtype)[0]


def _reconstruct(*_: Any) -> Array:
    return Array()


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any = "C", *_: Any) -> Array:
    array = Array()
    array.__setstate__(
        (1, shape, dtype, order == "F", bytes(content) if isinstance(content, bytes | bytearray) else None)
    )
    return array


def _jax_array(_: Any, __: Any, state: Any, *___: Any) -> Array:
    array = Array()
    array.__setstate__(state)
    return array


def _encoded(text: Any, encoding: Any = "latin1") -> Any:
    # bytes in pickles of protocol 2
    return text.encode("latin1") if isinstance(text, str) and encoding == "latin1" else None


def _attribute(of: Any, name: Any) -> Any:
    """Return a class within a class of the user's script."""
    if isinstance(of, type) and issubclass(of, Opaque) and of.kind.partition(".")[0] not in sys.stdlib_module_names:
        return opaque(f"{of.kind}.{name}")
    if isinstance(of, Opaque):  # a method of an object of one
        return opaque(f"{type(of).kind}.{name}")
    raise AsksForCode("getattr")


def _instance(of: Any, *_: Any) -> Any:
    return of() if isinstance(of, type) and issubclass(of, Opaque) else Opaque()


def _dictionary(*items: Any) -> dict[Any, Any]:
    return dict(items[-1]) if items and isinstance(items[-1], dict) else {}


def _list(values: Any = (), *_: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else []


def _size(lengths: Any = (), *_: Any) -> tuple[Any, ...]:
    return tuple(lengths) if isinstance(lengths, list | tuple) else ()


def _path(make: type[PurePosixPath] | type[PureWindowsPath], *parts: Any) -> Any:
    return make(*(part for part in parts if isinstance(part, str)))


_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_ANSWERS: dict[str, Callable[..., Any]] = {
    "collections.defaultdict": _dictionary,
    "collections.Counter": _dictionary,
    "collections.deque": _list,
    "builtins.getattr": _attribute,
    "_codecs.encode": _encoded,
    "torch.Size": _size,
    "copyreg._reconstructor": _instance,
    **{f"{module}._reconstruct": _reconstruct for module in _MULTIARRAY},
    **{f"{module}.scalar": _scalar for module in _MULTIARRAY},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
    "jax._src.array._reconstruct_array": _jax_array,
    **{f"pathlib.{name}": partial(_path, PurePosixPath) for name in ("Path", "PosixPath", "PurePosixPath")},
    **{f"pathlib.{name}": partial(_path, PureWindowsPath) for name in ("WindowsPath", "PureWindowsPath")},
}
