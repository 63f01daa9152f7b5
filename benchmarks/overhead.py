"""What tracking costs: step time tracked ÷ bare, side by side in one process.

    python benchmarks/overhead.py [--only mlp] [--rounds 12] [--write]
    python benchmarks/overhead.py --memory [--write]      resident memory over 10,000 tracked steps
    python benchmarks/overhead.py --log-size [--write]    bytes per row of the demo's log

wandb and tensorboard stand beside it where they are installed.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder, whose statistics.py would hide Python's own

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from benchmarks.hardware import hardware, write
from tandv import demo
from tandv.track.common import read_pickle
from tandv.track.torch import track

Step = Callable[[], None]


class Training:
    """A model with its optimiser and one training step; equal seeds make equal ones."""

    def __init__(self, workload: str):
        torch.manual_seed(0)
        if workload == "mlp":
            self.model: nn.Module = nn.Sequential(*(m for _ in range(4) for m in (nn.Linear(1024, 1024), nn.ReLU())))
            self._batch = torch.randn(64, 1024)
        else:
            self.model = demo.GPT(layers=4, width=256, heads=8, context=128)
            self._batch = torch.randint(256, (8, 129))
        self._workload = workload
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)

    def step(self) -> None:
        self.optimizer.zero_grad()
        if self._workload == "mlp":
            loss = self.model(self._batch).square().mean()
        else:
            logits = self.model(self._batch[:, :-1])
            loss = functional.cross_entropy(logits.flatten(0, 1), self._batch[:, 1:].flatten())
        loss.backward()
        self.optimizer.step()


@contextlib.contextmanager
def bare(training: Training) -> Iterator[Step]:
    yield training.step


def tandv(**arguments) -> Callable[[Training], contextlib.AbstractContextManager[Step]]:
    @contextlib.contextmanager
    def tracked(training: Training) -> Iterator[Step]:
        with track(training.model, optimizer=training.optimizer, **arguments) as tracker:

            def step() -> None:
                training.step()
                tracker.step()

            yield step

    return tracked


@contextlib.contextmanager
def wandb_watch(training: Training) -> Iterator[Step]:
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": os.getcwd()}
    import wandb

    with wandb.init(project="overhead") as run:
        run.watch(training.model, log="all", log_freq=1)

        def step() -> None:
            training.step()
            run.log({"step": 1})

        yield step


@contextlib.contextmanager
def tensorboard(training: Training) -> Iterator[Step]:
    from torch.utils.tensorboard import SummaryWriter

    with contextlib.closing(SummaryWriter("tensorboard")) as writer:

        def step() -> None:
            training.step()
            for name, parameter in training.model.named_parameters():
                writer.add_histogram(name, parameter)
                if parameter.grad is not None:
                    writer.add_histogram(f"{name}.grad", parameter.grad)

        yield step


# what is measured, and the steps of a round: as many as lie between two flushes to disk, so that each has one
WAYS = {
    "bare beside bare (the noise)": (bare, 10),
    "everything at every step": (tandv(), 10),
    "everything at every 10th step": (tandv(every=10), 100),
    "attached but idle": (tandv(every=lambda _: False), 10),
    'wandb.watch(log="all", log_freq=1), offline': (wandb_watch, 10),
    "TensorBoard add_histogram of parameters and gradients": (tensorboard, 10),
}
NEEDS = {wandb_watch: "wandb", tensorboard: "tensorboard"}


class Cost(NamedTuple):
    """Tracked ÷ bare: the median of the rounds with their extremes, and the seconds of a bare step."""

    median: float
    low: float
    high: float
    bare: float


def cost(workload: str, way, length: int, rounds: int) -> Cost:
    """Compare a way of tracking with a bare twin, step by step in turn, in rounds of `length` steps.

    A round is summed before the median is taken: a median of steps would lose what only some of them pay.
    """
    with bare(Training(workload)) as plain, way(Training(workload)) as tracked:
        found = []
        for round_ in range(rounds + 1):
            spent = {"plain": 0.0, "tracked": 0.0}
            for number in range(length):
                pair = [("plain", plain), ("tracked", tracked)]
                for name, step in pair if number % 2 else reversed(pair):  # neither is always the first
                    start = time.perf_counter()
                    step()
                    spent[name] += time.perf_counter() - start
            if round_:  # the first warms up
                found.append((spent["tracked"] / spent["plain"], spent["plain"] / length))
    ratios, seconds = zip(*found, strict=True)
    return Cost(statistics.median(ratios), min(ratios), max(ratios), statistics.median(seconds))


def overhead(workloads: list[str], rounds: int) -> str:
    names = {"mlp": "MLP 4 × 1024, batch 64", "gpt": "GPT 4 layers, d = 256, sequence 128, batch 8"}
    heads = " | ".join(names[workload] for workload in workloads)
    lines = [f"| step time ÷ bare: median (lowest … highest round) | {heads} |", "|---" * (1 + len(workloads)) + "|"]
    seconds = {}
    for label, (way, length) in WAYS.items():
        if way in NEEDS and find_spec(NEEDS[way]) is None:
            lines.append(f"| {label} |" + f" {NEEDS[way]} is not installed |" * len(workloads))
            continue
        cells = []
        for workload in workloads:
            found = cost(workload, way, length, max(3, rounds * 10 // length))
            seconds.setdefault(workload, found.bare)
            cells.append(f"{found.median:.3f} ({found.low:.3f} … {found.high:.3f})")
        lines.append(f"| {label} | {' | '.join(cells)} |")
        print(lines[-1], file=sys.stderr)
    lines.insert(2, "| bare step | " + " | ".join(f"{1e3 * seconds[w]:.1f} ms" for w in workloads) + " |")
    return "\n".join(lines)


def resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(steps: int = 10_000) -> str:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("mlp", "gpt"), help="one workload")
    parser.add_argument(
        "--rounds",
        type=int,
        default=12,
        help="rounds of ten steps; a longer round counts as several",
    )
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--log-size", action="store_true")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if arguments.memory:
            name, title, table = "memory", "Memory while tracking", memory()
        elif arguments.log_size:
            name, title, table = "log_size", "Size of a log", log_size()
        else:
            workloads = [arguments.only] if arguments.only else ["mlp", "gpt"]
            name, title, table = "overhead", "Overhead of tracking PyTorch", overhead(workloads, arguments.rounds)
    machine = hardware("torch", "numba", "wandb", "tensorboard")
    command = " ".join(["python benchmarks/overhead.py", *sys.argv[1:]])
    report = f"# {title}\n\n{machine}; one thread. Made by `{command}`.\n\n{table}\n"
    print(report)
    if arguments.write:
        write(name, report)


if __name__ == "__main__":
    main()
