"""Keep programs that XLA, numba and inductor compiled between runs of the tests, and compile those of XLA quickly.

Compiling is three quarters of what JAX's tests take, and a minute of numba's. To optimise is half of JAX's share,
and only what is said of a run's bits depends on it: tests of those are `optimised` (tests/track/jax/conftest.py).
"""

import contextlib
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

DAYS_KEPT = 14
KERNELS = ("measure", "formats", "analysis/whatif")  # whose functions and numbers numba compiles


def keep_compiled_programs() -> None:
    """Let JAX, numba and inductor look in this user's cache before they compile, also in processes that tests start.

    JAX and inductor find a program by its text, its options and their own version, but not by the processor that it was
    compiled for: the folder's name stands for that. Numba finds one by the text of its file and by the processor, but
    not by the other files that it is made of, for which its folder's name stands; in the checkout, where it keeps
    programs otherwise, a fresh clone has none.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = home / "tandv-tests"
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_folder(kept / f"xla-{_processor():08x}"))
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(_folder(kept / f"inductor-{_processor():08x}"))
    os.environ["NUMBA_CACHE_DIR"] = str(_folder(kept / "numba") / f"{_kernels():08x}")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"


def _folder(path: Path) -> Path:
    """Return a folder without what it held a fortnight ago, and what a killed process left empty."""
    path.mkdir(parents=True, exist_ok=True)
    for program in (Path(folder, name) for folder, _, names in os.walk(path) for name in names):
        with contextlib.suppress(FileNotFoundError):  # another worker removed it
            status = program.stat()
            hours = (time.time() - status.st_mtime) / 3600
            empty = not status.st_size and program.suffix != ".lock" and hours > 1  # and not just being written
            if empty or hours > 24 * DAYS_KEPT:
                program.unlink()
    return path


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


def _kernels() -> int:
    """A number for the text of all that numba compiles."""
    package = Path(__file__).parents[1] / "tandv"
    files = [package / "statistics.py", *(file for room in KERNELS for file in (package / room).rglob("*.py"))]
    return zlib.crc32(b"".join(file.read_bytes() for file in sorted(files)))
