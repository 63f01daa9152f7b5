"""How long `whatif` takes for a large log: 0.5 million rows, six formats, three scales.

Run: python benchmarks/whatif.py [--rows 500000] [--rounds 3] [--write]

The log is made up: 100 layers, five tensor types, float32. Each round is a process of its own with as many threads as
there are cores, which asks three times: the first call also makes the tables of casts, and has its memory from the
system. Beside it stands what an answer saves: casting one tensor of a million values to the same formats by ml_dtypes
and adding up the squares of its errors, in one thread.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import json
import os
import statistics
import subprocess
import time

import ml_dtypes
import numpy as np

import tandv
from benchmarks.hardware import hardware, write

FORMATS = {
    "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "e2m3": ml_dtypes.float6_e2m3fn,
    "e3m2": ml_dtypes.float6_e3m2fn, "e2m1": ml_dtypes.float4_e2m1fn, "fp16": np.float16,
}  # fmt: skip
SCALES = ("none", "power2", "max")
LAYERS, TYPES, VALUES = 100, 5, 1_000_000


def answers(rows: int) -> list[float]:
    """Seconds of three calls in one process, and of casting one tensor."""
    log = tandv.example_log(layers=LAYERS, steps=rows // (LAYERS * TYPES), dtype="float32")
    tandv.whatif(log.iloc[:100], list(FORMATS), list(SCALES))  # compiled before it is timed
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        tandv.whatif(log, list(FORMATS), list(SCALES))
        seconds.append(time.perf_counter() - start)
    return [*seconds, casting()]


def casting() -> float:
    """Seconds that casting one tensor to all formats with all scales takes, and the sums of its squared errors."""
    x = np.random.default_rng(0).standard_normal(VALUES).astype(np.float32)
    start = time.perf_counter()
    for cast in FORMATS.values():
        for scale in (1.0, 2.0, 3.0):
            scaled = x * np.float32(scale)
            error = scaled.astype(cast).astype(np.float32) - scaled
            np.vdot(error, error)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="keep the table as results/whatif.md")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)  # one round, as JSON
    given = parser.parse_args()
    if given.alone:
        print(json.dumps(answers(given.rows)))
        return
    again = [sys.executable, __file__, "--alone", "--rows", str(given.rows)]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    rounds = [
        json.loads(subprocess.run(again, check=True, capture_output=True, text=True, env=environment).stdout)
        for _ in range(given.rounds)
    ]
    first, second, third, cast = zip(*rounds, strict=True)
    later = [*second, *third]
    row = statistics.median(later) / given.rows
    casts = len(FORMATS) * len(SCALES)
    report = f"""# What-if of a large log

{hardware("numpy", "numba", "ml_dtypes")}. Made by `python benchmarks/whatif.py --rounds {given.rounds} --write`.

{given.rows:,} rows × {len(FORMATS)} formats × {len(SCALES)} scales, all cores.

| seconds: median (least … most) | |
|---|---|
| the first call in a process | {spread(first)} |
| calls after it | {spread(later)} |

Casting one tensor of {VALUES:,} values {casts} times in one thread, and adding up squared errors, takes {spread(cast)}
s, as long as the answers of {statistics.median(cast) / row:,.0f} rows of the log.
"""
    print(report)
    if given.write:
        write("whatif", report)


def spread(seconds: tuple[float, ...] | list[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} … {max(seconds):.2f})"


if __name__ == "__main__":
    main()
