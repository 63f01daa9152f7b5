"""What measuring a tensor costs: ns per element beside `t.sum()` and `t.clone()`, in one run.

python benchmarks/tensors.py [--write]
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable

import torch

from benchmarks.hardware import hardware, write
from tandv import measure
from tandv.measure import host
from tandv.statistics import empty_rows

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)


def interleaved(calls: dict[str, Callable[[], object]], seconds: float = 1.0) -> dict[str, float]:
    """Return the median seconds of each call; they take turns, so that a busy machine slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[next(iter(times))]) < 5:
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def numpy_only(tensors, places, rows) -> None:
    compiled, host._compiled = host._compiled, lambda: None
    try:
        measure.add(tensors, places, rows)
    finally:
        host._compiled = compiled


def one_tensor() -> str:
    lines = [
        "| dtype | elements | `t.sum()` | `t.clone()` | tandv | ÷ sum | NumPy alone |",
        "|---|---|---|---|---|---|---|",
    ]
    for dtype in (torch.float32, torch.bfloat16):
        for n in SIZES:
            tensor, rows = (torch.randn(n) * 0.02).to(dtype), empty_rows(1)
            cost = interleaved(
                {
                    "sum": tensor.sum,
                    "clone": tensor.clone,
                    "tandv": lambda t=tensor, r=rows: measure.add([t], [0], r),
                }
            )
            cost |= interleaved({"numpy": lambda t=tensor, r=rows: numpy_only([t], [0], r)}, seconds=0.3)
            ns = {name: 1e9 * seconds / n for name, seconds in cost.items()}
            lines.append(
                f"| {str(dtype)[6:]} | {n:,} | {ns['sum']:.2f} | {ns['clone']:.2f} | **{ns['tandv']:.2f}** "
                f"| {ns['tandv'] / ns['sum']:.1f} | {ns['numpy']:.1f} |"
            )
    return "\n".join(lines)


def many_tensors() -> str:
    lines = ["| tensors | elements of each | µs per tensor |", "|---|---|---|"]
    for n in (128, 10_000):
        tensors, rows = [torch.randn(n) for _ in range(300)], empty_rows(300)
        cost = interleaved({"tandv": lambda t=tensors, r=rows: measure.add(t, range(300), r)})
        lines.append(f"| 300 | {n:,} | {1e6 * cost['tandv'] / 300:.1f} |")
    return "\n".join(lines)


def scratch() -> str:
    tensor, rows = torch.randn(10_000_000), empty_rows(1)
    strided = torch.randn(2, 5_000_000).t()[::2]
    peaks = []
    for case in (tensor, tensor.bfloat16(), strided):
        tracemalloc.start()
        measure.add([case], [0], rows)
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
    return (
        f"Scratch memory besides torch's own (MiB, 1e7 elements): float32 {peaks[0]:.1f}, bfloat16 {peaks[1]:.1f}, "
        f"strided {peaks[2]:.1f} and one copy of at most {4 * host._COPY / 2**20:.0f} MiB at a time."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the tables in benchmarks/results/tensors.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report = f"""# Cost of measuring a tensor

{hardware()}; one thread; medians, calls interleaved; ns per element. Made by `python benchmarks/tensors.py --write`.

{one_tensor()}

{many_tensors()}

{scratch()}
"""
    print(report)
    if arguments.write:
        write("tensors", report)
