"""A file of safetensors that is half written: from the middle of a tensor on, all of it is zeros.

The format has no checksums, and programs that reserve the whole file first leave zeros where nothing is written yet.
Zeros from the beginning of a tensor on may be its values, as those of B of LoRA at first.
"""

import json
import mmap
from pathlib import Path

_LEAST = 4096  # bytes of zeros that are worth a word: a page of memory
_CHUNK = 1 << 20


def said_of_zeros(file: Path) -> str:
    """Return a sentence on a file that ends in zeros from the middle of a tensor on, "" for any other.

    Args:
        file: a file of safetensors that can be opened.
    """
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
        begin, size = 8 + length, opened.seek(0, 2)
        if size - begin < _LEAST:
            return ""
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            zeros = _first_of_zeros(mapped, begin, size)
    if size - zeros < _LEAST:
        return ""
    places = {name: about["data_offsets"] for name, about in header.items() if name != "__metadata__"}
    inside = [name for name, (start, end) in places.items() if begin + start < zeros <= begin + end - _LEAST]
    if not inside and zeros > begin:
        return ""
    where = f"from the middle of {inside[0]} on" if inside else "which is all of them"
    return f"its last {size - zeros:,} bytes are zeros, {where}: it may be half written, and has no checksums that tell"


def _first_of_zeros(mapped: mmap.mmap, begin: int, end: int) -> int:
    """Return the place from which on there are only zeros."""
    while end > begin:
        at = max(end - _CHUNK, begin)
        left = mapped[at:end].rstrip(b"\0")
        if left:
            return at + len(left)
        end = at
    return begin
