"""What tracking costs: step time tracked ÷ bare, side by side in one process.

    python benchmarks/overhead.py [--framework jax] [--only mlp] [--rounds 12] [--fast] [--write]
    python benchmarks/overhead.py --ranks 2 [--write]     data parallel in so many processes
    python benchmarks/overhead.py --memory [--write]      resident memory over 10,000 tracked steps
    python benchmarks/overhead.py --log-size [--write]    bytes per row of the demo's log
    python benchmarks/overhead.py --order [--write]       what keeping the order of execution takes of a tracked step

wandb and tensorboard stand beside it where they are installed.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import contextlib
import importlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

from benchmarks.hardware import hardware, write
from tandv import demo
from tandv.track.common import read_pickle


class Cost(NamedTuple):
    """Tracked ÷ bare: the median of the rounds with their extremes, and the seconds of a bare step."""

    median: float
    low: float
    high: float
    bare: float


def cost(training: ModuleType, workload: str, way, length: int, rounds: int) -> Cost:
    """Compare a way of tracking with a bare twin, step by step in turn, in rounds of `length` steps, after ten more.

    A round is summed before the median is taken: a median of steps would lose what only some of them pay.
    """
    with training.bare(training.Training(workload)) as plain, way(training.Training(workload)) as tracked:
        found = []
        for round_ in range(rounds + 1):
            spent = {"plain": 0.0, "tracked": 0.0}
            for number in range(length if round_ else min(length, 10)):
                pair = [("plain", plain), ("tracked", tracked)]
                for name, step in pair if number % 2 else reversed(pair):  # neither is always the first
                    start = time.perf_counter()
                    step()
                    spent[name] += time.perf_counter() - start
            if round_:  # before it both warmed up
                found.append((spent["tracked"] / spent["plain"], spent["plain"] / length))
    ratios, seconds = zip(*found, strict=True)
    return Cost(statistics.median(ratios), min(ratios), max(ratios), statistics.median(seconds))


def overhead(training: ModuleType, workloads: list[str], rounds: int, ways: dict[str, Any], least: int) -> str:
    """Return the table of all ways, of each at least so many rounds."""
    heads = " | ".join(training.NAMES[workload] for workload in workloads)
    lines = [f"| step time ÷ bare: median (lowest … highest round) | {heads} |", "|---" * (1 + len(workloads)) + "|"]
    seconds = {}
    for label, (way, length) in ways.items():
        if way in training.NEEDS and find_spec(training.NEEDS[way]) is None:
            lines.append(f"| {label} |" + f" {training.NEEDS[way]} is not installed |" * len(workloads))
            continue
        cells = []
        for workload in workloads:
            if workload == "compiled" and way in training.OTHERS:
                cells.append("–")
                continue
            found = cost(training, workload, way, length, max(least, rounds * 10 // length))
            seconds.setdefault(workload, found.bare)
            cells.append(f"{found.median:.3f} ({found.low:.3f} … {found.high:.3f})")
        lines.append(f"| {label} | {' | '.join(cells)} |")
        print(lines[-1], file=sys.stderr)
    if hasattr(training, "compile_ratio"):
        cells = " | ".join(f"{training.compile_ratio(workload):.1f}" for workload in workloads)
        lines.append(f"| time to compile, everything tracked | {cells} |")
    lines.insert(2, "| bare step | " + " | ".join(f"{1e3 * seconds[w]:.1f} ms" for w in workloads) + " |")
    return "\n".join(lines)


def resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(steps: int = 10_000) -> str:
    import torch
    from torch import nn

    from tandv.track.torch import track

    torch.set_num_threads(1)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.AdamW(model.parameters())
    seen = {}
    with track(model, optimizer=optimizer) as tracker:
        for step in range(steps + 1):
            optimizer.zero_grad()
            model(torch.randn(8, 16)).square().mean().backward()
            optimizer.step()
            tracker.step()
            if step in (500, steps // 4, steps // 2, steps):
                seen[step] = resident()
    rows = [f"| {step:,} | {size:.0f} |" for step, size in seen.items()]
    return "\n".join(["| tracked steps | resident MiB |", "|---|---|", *rows])


def log_size() -> str:
    path = demo.run(steps=100)
    rows = len(read_pickle(path))
    parts = sum(part.stat().st_size for part in (path.parent / "parts").iterdir())
    return (
        f"| the demo's log, {rows:,} rows | bytes per row |\n|---|---|\n"
        f"| parquet parts | {parts / rows:.1f} |\n| pickle | {path.stat().st_size / rows:.1f} |"
    )


def order_of_execution(training: ModuleType, steps: int = 20) -> str:
    """Measure the processor time that keeping the order takes, the clock's included, beside that of a tracked step."""
    from tandv.track.common.execution_order import ExecutionOrder

    spent = 0.0

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal spent
            start = time.thread_time()
            out = function(*arguments)
            spent += time.thread_time() - start
            return out

        return call

    ExecutionOrder.note, ExecutionOrder.end_of_step = timed(ExecutionOrder.note), timed(ExecutionOrder.end_of_step)
    lines = [
        "| everything at every step | processor time of a step | of it for the order of execution |",
        "|---|---|---|",
    ]
    way, _ = training.WAYS["everything at every step"]
    for workload in ("mlp", "gpt"):
        with way(training.Training(workload)) as step:
            step()  # warms up
            spent, start = 0.0, time.process_time()
            for _ in range(steps):
                step()
            whole = time.process_time() - start
        share = f"{1e6 * spent / steps:.0f} µs, {100 * spent / whole:.3f} %"
        lines.append(f"| {training.NAMES[workload]} | {1e3 * whole / steps:.0f} ms | {share} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("mlp", "gpt", "compiled"), help="one workload")
    parser.add_argument("--ranks", type=int, default=0, help="data parallel in so many processes")
    parser.add_argument(
        "--rounds",
        type=int,
        default=12,
        help="rounds of ten steps; a longer round counts as several",
    )
    parser.add_argument("--fast", action="store_true", help="one long round, of 100 steps, instead of three")
    parser.add_argument("--framework", choices=("torch", "jax"), default="torch")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--log-size", action="store_true")
    parser.add_argument("--order", action="store_true")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results")
    arguments = parser.parse_args()
    least = 1 if arguments.fast else 3
    training = importlib.import_module(f"benchmarks.training_{arguments.framework}")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if arguments.memory:
            name, title, table = "memory", "Memory while tracking", memory()
        elif arguments.log_size:
            name, title, table = "log_size", "Size of a log", log_size()
        elif arguments.order:
            name, title, table = "order", "Keeping the order of execution", order_of_execution(training)
        elif arguments.ranks:
            # What is tracked seldom costs the same there, and takes ten times as long to measure.
            ways = {
                label: (way, length)
                for label, (way, length) in training.WAYS.items()
                if way not in training.OTHERS and length == 10
            }
            measured = partial(overhead, training, ["gpt"], arguments.rounds, ways, least)
            name, title = "overhead_ranks", f"{training.TITLE} on {arguments.ranks} ranks"
            table = training.on_ranks(arguments.ranks, measured)
        else:
            workloads = [arguments.only] if arguments.only else list(training.NAMES)
            name = "overhead" if arguments.framework == "torch" else f"overhead_{arguments.framework}"
            title, table = training.TITLE, overhead(training, workloads, arguments.rounds, training.WAYS, least)
    machine = hardware(*training.PACKAGES)
    command = " ".join(["python benchmarks/overhead.py", *sys.argv[1:]])
    report = f"# {title}\n\n{machine}; {training.THREADS}. Made by `{command}`.\n\n{table}\n"
    print(report)
    if arguments.write:
        write(name, report)


if __name__ == "__main__":
    main()
