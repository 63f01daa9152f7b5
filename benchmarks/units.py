"""What `track(units=True)` costs: step time tracked ÷ bare with and without it; writes results/units.md.

python benchmarks/units.py [--rounds 12] [--write]
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder, whose statistics.py would hide Python's own

import argparse
import contextlib
import importlib
import tempfile

from benchmarks.hardware import hardware, write
from benchmarks.overhead import cost

LENGTH = 10  # steps of a round, as many as lie between two flushes to disk


def main() -> None:
    """Measure both frameworks on the GPT of the overhead benchmark, and the MLP."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12, help="rounds of ten steps")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results")
    chosen = parser.parse_args()
    lines = ["| step time ÷ bare: median (lowest … highest round) | tracked | with units |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for framework in ("torch", "jax"):
            training = importlib.import_module(f"benchmarks.training_{framework}")
            for workload in ("mlp", "gpt"):
                found = [
                    cost(training, workload, training.tandv(**more), LENGTH, chosen.rounds)
                    for more in ({}, {"units": True})
                ]
                cells = [f"{one.median:.3f} ({one.low:.3f} … {one.high:.3f})" for one in found]
                lines.append(f"| {framework}: {training.NAMES[workload]} | {' | '.join(cells)} |")
                print(lines[-1], flush=True)
    command = " ".join(["python benchmarks/units.py", *sys.argv[1:]])
    machine = hardware("torch", "jax", "numba")
    report = f"# Units of outputs counted\n\n{machine}; one thread in PyTorch. Made by `{command}`.\n\n"
    if chosen.write:
        write("units", report + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
