"""Give memory back that was needed for a moment only."""

import ctypes
import sys

import pyarrow as pa


def give_back() -> None:
    """Give memory that nothing uses any more back to the system.

    Footers are many small objects, and what columns are decoded into is kept by each thread for its next ones: after a
    look at a large log both are tens of megabytes, in a process that stays open for days beside a training.
    """
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
        if trim is not None:
            trim(0)
