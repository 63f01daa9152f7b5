"""How fast a log of any size is opened where it lies, and what that takes of memory.

Run: python benchmarks/logs.py [MILLIONS ...]   (by default 0.5 and 10; the table is kept as results/logs.md)

The logs are written by the store of a tracker, 10 steps a part: 1,000 tensors (5 types of 200 layers), 13
statistics and 15 exponents a row, with noise as wide as in real training. Each question is asked in a process of its
own, of one thread, after one that is not counted; given are the least processor time of three and the peak of memory
over that of the imports.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np

from benchmarks.hardware import hardware, write

KINDS = ("Activation", "Gradient", "Weight", "Weight_Gradient", "Optimiser_State.exp_avg")
LAYERS = [f"layers.{i // 4}.{('attention.wq', 'attention.wo', 'mlp.up', 'mlp.down')[i % 4]}" for i in range(200)]
TENSORS = [(kind, layer) for kind in KINDS for layer in LAYERS]
STEPS, BINS = 10, 15  # steps of a part, exponents of a row
LAYER, KIND = LAYERS[81], "Weight"
FLOATS = ("mean", "std", "mean_abs", "max_abs", "min_abs", "rm2", "rm4", "rm8")


class Target(NamedTuple):
    """A question, and the most that it may take at a size, in millions of rows: milliseconds, or megabytes."""

    question: str
    time: dict[float, float]
    memory: dict[float, float]


PEAKS = {10: 300.0, 20: 500.0}
TARGETS = {
    "open": Target("opening it", {10: 100}, PEAKS),
    "tensor": Target("one tensor over all steps, a statistic", {10: 50}, PEAKS),
    "exponents": Target("one tensor over all steps, its exponents", {10: 50}, PEAKS),
    "step of a type": Target("one step of one tensor type, everything", {10: 60}, PEAKS),
    "step": Target("one step of all tensors, everything", {10: 230}, PEAKS),
    "grid": Target("the array of a heat map", {10: 250}, PEAKS),
    "heat map": Target("a heat map to PNG", {0.5: 150, 10: 700}, PEAKS),
    "click": Target("a click: the histogram of a cell to PNG", {0.5: 100}, PEAKS),
}


def rows_of(part: int) -> Any:
    """The rows of a part as a tracker hands them on."""
    from tandv.log.store.columns import Rows

    random = np.random.default_rng(part)
    size = len(TENSORS) * STEPS
    of = np.tile(np.arange(len(TENSORS)), STEPS)
    scale = -8 + 6 * np.sin(of * 0.37) + 0.1 * random.standard_normal(size)  # log2 of the tensor's size
    numel = np.array([65536, 262144, 1048576])[of % 3]
    share = np.exp(-(((np.arange(BINS) - 10) / 4.0) ** 2))
    bins = (numel[:, None] * (share / share.sum()) * (1 + 0.01 * random.standard_normal((size, BINS)))).astype(np.int64)
    low = np.floor(scale).astype(int) - 10
    counts = np.zeros((size, low.max() - low.min() + BINS + 2), np.int64)
    counts[np.arange(size)[:, None], low[:, None] - low.min() + 1 + np.arange(BINS)] = bins
    scalars = {n: (2.0**scale * (1 + 0.01 * random.standard_normal(size))).astype(np.float32) for n in FLOATS}
    nothing = np.zeros(size, np.int64)
    scalars |= {"numel": numel, "zeros": nothing, "nans": nothing, "infs": nothing, "calls": nothing + 1}
    metadata = {
        "tensor_type": [TENSORS[i][0] for i in of],
        "name": [TENSORS[i][1] for i in of],
        "type": ["Linear"] * size,
        "dtype": ["float32"] * size,
        "phase": [""] * size,
        "step": part * STEPS + np.repeat(np.arange(STEPS), len(TENSORS)),
    }
    return Rows(metadata, scalars, counts, int(low.min()))


def made(folder: Path, rows: int) -> tuple[float, float, float]:
    """Write a log; return the bytes of a row in parts and joined, and the processor time of a row in microseconds."""
    from tandv.log.store.writing import Store

    store = Store(folder)
    in_parts, seconds = 0, 0.0
    for part in range(rows // (len(TENSORS) * STEPS)):
        new = rows_of(part)
        began = time.process_time()
        store.add(new)
        seconds += time.process_time() - began
        in_parts += sum(path.stat().st_size for path in folder.rglob(f"{part:06d}.parquet"))
        began = time.process_time()
        while store.join():
            pass
        seconds += time.process_time() - began
    began = time.process_time()
    store.close()
    seconds += time.process_time() - began
    joined = sum(path.stat().st_size for path in (folder / "parts").rglob("*.parquet"))
    return in_parts / rows, joined / rows, 1e6 * seconds / rows


def questions(run: str) -> dict[str, Callable[[], Any]]:
    """What is asked of a log."""
    from tandv import viz
    from tandv.log.grid import grid
    from tandv.log.logframe import loaded
    from tandv.log.opened import Log, opened

    steps = sum(group.rows for file in opened(run)._state.files for group in file.groups) // len(TENSORS)
    counts = [("exponent_counts", 0)]
    return {
        "open": lambda: Log(run),
        "tensor": lambda: loaded(run, LAYER, KIND, columns=[("scalar_stats", "std")]),
        "exponents": lambda: loaded(run, LAYER, KIND, columns=counts),
        "step of a type": lambda: loaded(run, tt=KIND, step=steps // 2),
        "step": lambda: loaded(run, step=steps // 2),
        "grid": lambda: grid(run, KIND, "rm2"),
        "heat map": lambda: viz.scalar_global_heatmap(run, KIND, "rm2").savefig(BytesIO()),
        "click": lambda: viz.exp_hist(run, LAYER, KIND, steps // 2).savefig(BytesIO()),
    }


def asked(name: str, run: str) -> None:
    """Print the milliseconds of a question, and the peak of memory over that of the imports in MB."""
    import pyarrow as pa

    import tandv.log.run
    from tandv import viz
    from tandv.log.logframe import example_log

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    viz.scalar_global_heatmap(example_log(), "Weight", "rm2").savefig(BytesIO())  # fonts are searched for once
    before = peak()
    if name == "frame":
        began = time.process_time()
        df = tandv.log.run.read_run(run)
        took = time.process_time() - began
        size = df.memory_usage().sum() / 1e6
        print(1e6 * took / len(df), size, (peak() - before) / size)
        return
    ask, times = questions(run)[name], []
    for _ in range(4):
        began = time.process_time()
        ask()
        times.append(time.process_time() - began)
    print(1e3 * (min(times) if name == "open" else min(times[1:])), peak() - before)


def peak() -> float:
    """The most memory that this process has had, in MB."""
    # Not that of getrusage, which begins with the memory of the process that started this one.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def in_a_process(name: str, run: Path) -> list[float]:
    command = [sys.executable, __file__, "--ask", name, str(run)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(map(float, done.stdout.split()))


def against(value: float, most: float | None, words: str = "{:,.0f}") -> str:
    """A number, and whether it is within what it may be."""
    shown = words.format(value)
    return shown if most is None else f"{shown} ({'≤' if value <= most else '**over**'} {words.format(most)})"


def report(sizes: list[float]) -> str:
    columns: list[list[str]] = []
    for millions in sizes:
        with tempfile.TemporaryDirectory(prefix="tandv-logs-") as folder:
            run = Path(folder, "run")
            run.mkdir()
            in_parts, joined, cost = made(run, int(millions * 1e6))
            column = []
            for name, target in TARGETS.items():
                took, memory = in_a_process(name, run)
                column.append(
                    f"{against(took, target.time.get(millions))} ms, {against(memory, target.memory.get(millions))} MB"
                )
                print(f"{millions:g} M: {target.question}: {column[-1]}", flush=True)
            row, size, share = in_a_process("frame", run)
            # Before: 3 microseconds of processor for a row, 4 times the frame.
            column.append(f"{against(row, 3 / 1.8, '{:.2f}')} µs a row")
            column.append(f"{against(share, 1.3 if millions >= 2 else None, '{:.2f}')} × its {size:,.0f} MB")
            column.append(f"{against(in_parts, 64, '{:.1f}')} bytes a row")
            column.append(f"{against(joined, 50, '{:.1f}')} bytes a row")
            column.append(f"{cost:.1f} µs a row")
            columns.append(column)
    names = [target.question for target in TARGETS.values()]
    names += ["all of it as one frame", "peak of that", "size in parts", "size joined", "written and joined"]
    head = ["rows", *(f"{millions:g} M" for millions in sizes)]
    lines = [head, ["---", *["---:"] * len(sizes)], *map(list, zip(names, *columns, strict=True))]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return (
        f"# Logs that are opened where they lie\n\n{hardware('pyarrow', 'pandas', 'numpy', 'matplotlib')}\n\n"
        f"`python benchmarks/logs.py {' '.join(f'{m:g}' for m in sizes)}`: processor time of one thread, and the peak "
        f"of memory over that of the imports; in brackets what it may be.\n\n{table}\n"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ask"]:
        asked(*sys.argv[2:4])
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("millions", type=float, nargs="*", help="rows of each log, by default 0.5 and 10")
        write("logs", report(parser.parse_args().millions or [0.5, 10.0]))
