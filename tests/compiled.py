"""Keep programs that XLA compiled between runs of the tests, and compile them quickly.

Compiling is three quarters of what JAX's tests take. What it takes to optimise is half of that, and only what is said
of a run's bits depends on it: tests of those are `optimised` (tests/track/jax/conftest.py).
"""

import contextlib
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

DAYS_KEPT = 14


def keep_compiled_programs() -> None:
    """Let JAX, here and in processes that tests start, look in this user's cache before it compiles.

    JAX finds a program by its text, its options and its own version, but not by the processor that it was compiled
    for: the folder's name stands for that. Programs of a fortnight ago, and what a killed process left empty, go.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "tandv-tests" / f"xla-{_processor():08x}"
    folder.mkdir(parents=True, exist_ok=True)
    for program in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another worker removed it
            status = program.stat()
            if not status.st_size or time.time() - status.st_mtime > DAYS_KEPT * 24 * 3600:
                program.unlink()
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"


@contextlib.contextmanager
def optimising() -> Iterator[None]:
    """Let XLA optimise what is compiled meanwhile, as it does for users."""
    import jax

    jax.config.update("jax_disable_most_optimizations", False)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", True)


def _processor() -> int:
    """A number for the processor's instructions, 0 where the system does not list them."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    return zlib.crc32(next((line for line in lines if line.startswith(("flags", "Features"))), "").encode())
