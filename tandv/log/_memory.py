"""Give memory back that was needed for a moment only."""

import ctypes
import gc
import sys

import pyarrow as pa


def give_back() -> None:
    """Give memory that nothing uses any more back to the system.

    Footers are many small objects: after those of a large log the heap keeps tens of megabytes for later, in a process
    that stays open for days beside a training.
    """
    gc.collect()  # readers of parquet files are in cycles, with the footers
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
        if trim is not None:
            trim(0)
