"""Keep programs that XLA, numba and inductor compiled between runs of the tests, and compile those of XLA quickly.

Compiling is three quarters of what JAX's tests take, and a minute of numba's. To optimise is half of JAX's share,
and only what is said of a run's bits depends on it: tests of those are `optimised` (tests/track/jax/conftest.py).
"""

import contextlib
import fcntl
import os
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


def compile_in_one_process() -> None:
    """Let the other processes of the tests that want a program of numba's wait for the one that compiles it."""
    from numba.core.ccallback import CFunc
    from numba.core.dispatcher import Dispatcher

    for kind in (Dispatcher, CFunc):
        kind.compile = _one_at_a_time(kind.compile)


def _one_at_a_time(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that compiles, or loads what was kept, while no other process does so with the same function."""
    from numba.core.compiler_lock import global_compiler_lock

    held: set[str] = set()

    def alone(self: Any, *signature: Any) -> Any:
        kept = getattr(self._cache, "_cache_file", None)  # None where nothing is kept
        if kept is None:
            return compiled(self, *signature)
        with global_compiler_lock:  # as `compiled` does: first, or two threads would wait for each other
            if kept._index_path in held:  # a function that calls itself
                return compiled(self, *signature)
            with _locked(kept._index_path):
                held.add(kept._index_path)
                try:
                    return compiled(self, *signature)
                finally:
                    held.remove(kept._index_path)

    return alone


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold the lock of a file, which ends with the process at the latest."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # and not when it is closed: a process that was forked has it open, too


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
