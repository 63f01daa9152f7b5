"""What `track(units=True)` costs: processor time of a step ÷ that of a bare one; writes results/units.md.

    python benchmarks/units.py [--rounds 12] [--write]

Processor time of all threads, not the clock, so that what else the machine does has little weight.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import contextlib
import importlib
import statistics
import tempfile

from benchmarks.hardware import hardware, write
from benchmarks.processor_time import rounds_of

LENGTH = 10  # steps of a round, as many as lie between two flushes to disk
WORKLOADS = (("torch", "mlp"), ("torch", "gpt"), ("jax", "mlp"))


def ratios(framework: str, workload: str, rounds: int) -> tuple[str, list[list[float]]]:
    """Return the name of a workload, and of each round the ratios tracked ÷ bare, without units and with."""
    training = importlib.import_module(f"benchmarks.training_{framework}")
    ways = (training.bare, training.tandv(), training.tandv(units=True))
    with contextlib.ExitStack() as stack:
        steps = [stack.enter_context(way(training.Training(workload))) for way in ways]
        found = [[one / spent[0] for one in spent[1:]] for spent in rounds_of(steps, rounds, LENGTH)]
    return f"{framework}: {training.NAMES[workload]}", found


def main() -> None:
    """Measure both frameworks on models of the overhead benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12, help="rounds of ten steps")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results")
    chosen = parser.parse_args()
    lines = ["| processor time ÷ bare: median (lowest … highest round) | tracked | with units |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for framework, workload in WORKLOADS:
            name, found = ratios(framework, workload, chosen.rounds)
            columns = list(zip(*found, strict=True))
            cells = [f"{statistics.median(one):.3f} ({min(one):.3f} … {max(one):.3f})" for one in columns]
            lines.append(f"| {name} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    command = " ".join(["python benchmarks/units.py", *sys.argv[1:]])
    machine = hardware("torch", "jax", "numba")
    report = f"# Units of outputs counted\n\n{machine}; one thread in PyTorch. Made by `{command}`.\n\n"
    if chosen.write:
        write("units", report + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
