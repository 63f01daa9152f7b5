"""What keeping a log costs beside training: bytes per row, processor time of parts and of joining, peak of memory.

    python benchmarks/log_writing.py [--steps 300] [--write]

The rows are those of the demo's GPT, which has more of them for its size than any model that is worth training; bytes
are those of its own run. For times and memory they are written again with later steps, with noise in all statistics,
until there is a block of 0.5 million rows; that is done in a process of its own, whose peak of memory is given over
what it had before the first part. Times are those of the processor, and shares are of a tracked step.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import contextlib
import pickle
import subprocess
import tempfile
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.hardware import hardware, write
from tandv import demo
from tandv.log.store.columns import Rows
from tandv.log.store.listing import files
from tandv.log.store.writing import Store

BLOCK = 520_000  # rows that are written: a block, and some of the next


def batches() -> Any:
    data, chance = demo.text(), np.random.default_rng(0)
    while True:
        first = chance.integers(len(data) - 65, size=(16, 1))
        yield data[first + np.arange(65)]


def trained(steps: int, folder: Path) -> tuple[list[Rows], float, float]:
    """The rows of each flush of a tracked run, and seconds of the processor for a bare step and for a tracked one."""
    from tandv.demo.torch_gpt import Training

    bare, data = Training(0, 64), batches()
    nobody: Any = SimpleNamespace(step=lambda **_: None)
    for _ in range(5):
        bare.step(nobody, next(data))
    start = time.thread_time()
    for _ in range(30):
        bare.step(nobody, next(data))
    step = (time.thread_time() - start) / 30

    flushed: list[Rows] = []
    real = Store.add

    def add(self: Store, rows: Rows, places: Any = ()) -> None:
        flushed.append(rows)
        real(self, rows, places)

    tracked, data = Training(0, 64), batches()
    Store.add = add
    try:
        with tracked.track(folder) as tracker:
            start = time.process_time()
            for _ in range(steps):
                tracked.step(tracker, next(data))
            whole = (time.process_time() - start) / steps
    finally:
        Store.add = real
    return flushed, step, whole


def later(flushed: list[Rows], rows: int) -> Any:
    """The same flushes again and again, at later steps, with noise in all statistics, until there are enough rows."""
    chance, done, shift = np.random.default_rng(0), 0, 0
    while done < rows:
        for one in flushed:
            scalars = {
                name: values
                if values.dtype.kind == "i" or not shift
                else values * chance.normal(1, 1e-3, len(values)).astype(values.dtype)
                for name, values in one.scalars.items()
            }
            yield one._replace(
                metadata={**one.metadata, "step": np.asarray(one.metadata["step"]) + shift}, scalars=scalars
            )
            done += len(one.counts)
        shift += int(np.max(flushed[-1].metadata["step"])) + 1


def measured(path: Path) -> dict[str, float]:
    """Write all rows in this process; return seconds of its processor and bytes, a row, and its peak in MiB."""
    flushed = pickle.loads(path.read_bytes())
    pa.set_cpu_count(1)
    found: dict[str, float] = {}
    for name in ("part bytes", "joined bytes"):
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder), batch=1 << 60)
            for one in flushed:
                store.add(one)
            if name == "joined bytes":
                store.close()
            found[name] = sum(file.stat().st_size for file in files(Path(folder))) / store.rows
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        spent = {"add": 0.0, "join": 0.0}
        for one in later(flushed, BLOCK):
            start = time.process_time()
            store.add(one)
            middle = time.process_time()
            while store.join():
                pass
            spent["add"] += middle - start
            spent["join"] += time.process_time() - middle
        start = time.process_time()
        store.close()
        found["close"] = time.process_time() - start
        found |= {name: seconds / store.rows for name, seconds in spent.items()}
        found["files"], found["rows"] = len(files(Path(folder))), store.rows
    found["peak"] = (resident("VmHWM") - before) / 1024
    return found


def resident(what: str) -> int:
    """The memory of this process in KiB: VmRSS now, VmHWM at its peak."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what)]
    return int(line.split()[1])


def report(found: dict[str, float], step: float, whole: float, per_step: float, command: str) -> str:
    share = {name: 100 * found[name] * per_step / whole for name in ("add", "join")}
    lines = [
        "# Writing a log beside training",
        "",
        f"{hardware('torch', 'pyarrow', 'numpy')}; processor time, one thread. Made by `{command}`.",
        "",
        "| the demo's GPT | measured | at most |",
        "|---|---|---|",
        f"| rows of a step | {per_step:.0f} | |",
        f"| a bare step | {1e3 * step:.1f} ms | |",
        f"| a tracked step, everything included | {1e3 * whole:.1f} ms | |",
        f"| bytes of a row in parts | {found['part bytes']:.1f} | 64 |",
        f"| bytes of a row, joined | {found['joined bytes']:.1f} | 50 |",
        f"| a row: packing it and writing parts | {1e6 * found['add']:.2f} µs, {share['add']:.1f} % | |",
        f"| a row: joining, batch and block | {1e6 * found['join']:.2f} µs, {share['join']:.1f} % | |",
        f"| together, of training | {share['add'] + share['join']:.1f} % | 3 % |",
        f"| closing, what is open joined | {found['close']:.2f} s | |",
        f"| peak of memory of the writer, {found['rows']:,.0f} rows | {found['peak']:.0f} MiB | 286 MiB |",
        f"| files in the end | {found['files']:.0f} | |",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=300)
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.measure:
        asked.measure.with_suffix(".found").write_bytes(pickle.dumps(measured(asked.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(sys.stderr):
            flushed, step, whole = trained(asked.steps, Path(folder, "run"))
        path = Path(folder, "rows")
        path.write_bytes(pickle.dumps(flushed))
        subprocess.run([sys.executable, __file__, "--measure", str(path)], check=True)
        found = pickle.loads(path.with_suffix(".found").read_bytes())
    per_step = sum(len(rows.counts) for rows in flushed) / asked.steps
    text = report(found, step, whole, per_step, f"python benchmarks/log_writing.py --steps {asked.steps} --write")
    print(text)
    if asked.write:
        write("log_writing", text)


if __name__ == "__main__":
    main()
