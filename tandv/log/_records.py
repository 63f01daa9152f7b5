"""A pickle as records of what it names, of which nothing is ever executed.

Unpickling normally calls whatever the file names. Here every name in the file becomes an inert record of
its arguments and its state instead, and a name that no log needs is an error.
"""

import copyreg
import io
import pickle
from typing import Any, Self

from tandv.log._unreadable import UnreadableFile


def records(data: bytes) -> Any:
    """Return the record of the object that a pickle describes; raise UnreadableFile for names no log needs."""
    copyreg.clear_extension_cache()  # a cached extension would be loaded without calling find_class
    return _Reader(io.BytesIO(data)).load()


class PickledObject:
    """What a pickle says about one object: the kind of its class or function, its arguments, its state."""

    kind = ""
    arguments: tuple
    named: dict
    state: Any

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        self = object.__new__(cls)
        self.arguments, self.named, self.state = arguments, named, None
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state


_KNOWN = {
    ("builtins", "slice"): "slice",
    ("builtins", "bytearray"): "bytes",
    ("_codecs", "encode"): "latin1",
    ("zlib", "decompress"): "inflate",
    ("numpy", "dtype"): "dtype",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "ascontiguousarray"): "contiguous",
    ("numpy", "take"): "take",
    ("pandas", "NA"): "missing",
    ("pandas._libs.missing", "NA"): "missing",
    ("pandas._libs.internals", "_unpickle_block"): "block",
    ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"): "backed",
    ("pandas.core.indexes.base", "_new_Index"): "new_index",
    ("pandas.core.internals.managers", "BlockManager"): "manager",
    ("pandas.core.internals", "BlockManager"): "manager",
    ("pyarrow.lib", "_restore_array"): "arrow",
    ("pyarrow.lib", "chunked_array"): "chunks",
    ("pyarrow.lib", "type_for_alias"): "arrow_type",
    ("pyarrow.lib", "py_buffer"): "bytes",
    ("tandv.track.common._types", "TrainingStats"): "training_stats",
    ("tandv.curves", "TrainingStats"): "training_stats",
}
_KNOWN |= {("__builtin__", name): kind for (module, name), kind in _KNOWN.items() if module == "builtins"}
for _core in ("numpy.core", "numpy._core"):  # numpy 1 and 2
    _KNOWN[(f"{_core}.multiarray", "_reconstruct")] = "array"
    _KNOWN[(f"{_core}.multiarray", "scalar")] = "scalar"
    _KNOWN[(f"{_core}.numeric", "_frombuffer")] = "frombuffer"
for _name, _class, *_modules in (  # pandas 3 pickles the public names, pandas 2 the modules
    ("DataFrame", "frame", "pandas.core.frame"),
    ("Index", "index", "pandas.core.indexes.base"),
    ("RangeIndex", "range", "pandas.core.indexes.range"),
    ("MultiIndex", "labels", "pandas.core.indexes.multi"),
    ("Categorical", "categorical", "pandas.core.arrays.categorical"),
    ("CategoricalDtype", "category", "pandas.core.dtypes.dtypes"),
    ("StringDtype", "text", "pandas.core.arrays.string_"),
    ("StringArray", "text", "pandas.core.arrays.string_", "pandas.arrays"),
    ("StringArrayNumpySemantics", "text", "pandas.core.arrays.string_", "pandas.arrays"),
    ("ArrowStringArray", "text", "pandas.core.arrays.string_arrow", "pandas.arrays"),
    ("ArrowStringArrayNumpySemantics", "text", "pandas.core.arrays.string_arrow", "pandas.arrays"),
):
    _KNOWN |= {(module, _name): _class for module in ("pandas", *_modules)}

_CLASSES = {kind: type(kind, (PickledObject,), {"kind": kind}) for kind in set(_KNOWN.values())}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[PickledObject]:
        if (module, name) not in _KNOWN:
            raise UnreadableFile(
                f"it asks for {module}.{name}, which no log needs; the file may be hostile, and nothing in it "
                "was run. If you trust where it came from, open it there and save it with tandv's write_pickle"
            )
        return _CLASSES[_KNOWN[(module, name)]]

    def persistent_load(self, pid: Any) -> Any:
        raise UnreadableFile("it refers to objects outside of itself (persistent ids), as files of torch do")


def kind_of(d: Any) -> str:
    return getattr(d, "kind", type(d).__name__)


def expect(d: Any, kind: str) -> PickledObject:
    if not isinstance(d, PickledObject) or d.kind != kind:
        raise UnreadableFile(f"it has a {kind_of(d)} where a {kind} belongs; the file is damaged or hostile")
    return d
