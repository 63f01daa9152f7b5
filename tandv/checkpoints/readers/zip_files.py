"""Read the usual files of torch.save without torch: a zip archive of a pickle and raw numbers.

No name in the pickle is ever imported. Tensors of rare kinds, and names that only a program asks for, are left to
torch's own reader, which reads or refuses them.
"""

import mmap
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

from tandv.checkpoints.readers.optimisers import holds_tensors
from tandv.checkpoints.readers.torch_pickles import Bytes, TensorUnpickler
from tandv.checkpoints.readers.unpickling import DAMAGE, NotPlain
from tandv.checkpoints.warnings import UnreadableCheckpoint


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


def _content_of(archive: zipfile.ZipFile, mapped: Bytes) -> Any:
    inside = {info.filename.partition("/")[2]: info for info in archive.infolist()}
    if "data.pkl" not in inside:
        raise NotPlain("not a state dict of torch.save")
    if "byteorder" in inside and _content(inside["byteorder"], mapped) != b"little":
        raise NotPlain("big-endian")
    pickled = BytesIO(_content(inside["data.pkl"], mapped))

    def place(key: str) -> tuple[int, int, int]:
        info = inside[f"data/{key}"]
        return _start(info, mapped), info.file_size, info.CRC

    loaded = TensorUnpickler(pickled, mapped, place).load()
    if "constants.pkl" in inside and not holds_tensors(loaded):
        raise UnreadableCheckpoint(
            "it is a frozen program of TorchScript, whose weights are constants without names; save it before "
            "torch.jit.freeze"
        )
    return loaded


def _start(info: zipfile.ZipInfo, mapped: Bytes) -> int:
    """Return where the content of an archive's file begins."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise NotPlain("compressed")
    # it follows the local header, whose last two fields are the lengths of the name and of the extra field
    at = info.header_offset
    name, extra = (int.from_bytes(mapped[at + i : at + i + 2], "little") for i in (26, 28))
    return at + 30 + name + extra


def _content(info: zipfile.ZipInfo, mapped: Bytes) -> bytes:
    start = _start(info, mapped)
    return mapped[start : start + info.file_size]
