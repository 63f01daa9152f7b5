"""Read files of torch.save before version 1.6 that hold objects beside tensors: pickles, then raw numbers."""

import mmap
from pathlib import Path
from typing import Any, BinaryIO

from tandv.checkpoints.readers.torch_pickles import TensorUnpickler, bytes_of
from tandv.checkpoints.readers.unpickling import DAMAGE, InertUnpickler, NotPlain

_FIRST = 0x1950A86A20F9469CFC6C  # the number that such a file begins with


def load_legacy(file: Path) -> Any:
    """Return what a file holds, an Entry for each tensor, whose array is a view of the mapped file. Raises NotPlain."""
    try:
        with open(file, "rb") as opened:
            if InertUnpickler(opened).load() != _FIRST:
                raise NotPlain("not of torch.save")
            for _ in ("protocol", "system"):
                InertUnpickler(opened).load()
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            begin = opened.tell()
            # where the numbers are stands behind the pickle that they are named in, so that it is read twice
            sizes = _Sizes(opened)
            sizes.load()
            places = _places(opened, sizes.of)
            opened.seek(begin)
            return TensorUnpickler(opened, mapped, lambda key: (*places[key], 0)).load()
    except NotPlain:
        raise
    except DAMAGE as error:
        raise NotPlain(str(error)) from error


class _Sizes(InertUnpickler):
    """Finds how many bytes the values of each storage have."""

    def __init__(self, pickled: BinaryIO):
        super().__init__(pickled)
        self.of: dict[str, int] = {}

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":  # a class with its source
            return pid[1]
        self.of[str(pid[2])] = bytes_of(getattr(pid[1], "kind", "").rpartition(".")[2])
        return None


def _places(opened: BinaryIO, sizes: dict[str, int]) -> dict[str, tuple[int, int]]:
    places: dict[str, tuple[int, int]] = {}
    for key in InertUnpickler(opened).load():
        length = int.from_bytes(opened.read(8), "little") * sizes[str(key)]
        places[str(key)] = opened.tell(), length
        opened.seek(length, 1)
    return places
