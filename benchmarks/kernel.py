"""What each sweep of the compiled kernel costs over a block in the first-level cache.

python benchmarks/kernel.py [--write]

The shortest of many short repeats counts, which a busy machine changes little.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from benchmarks.hardware import hardware, write
from tandv.measure import _exponents, _float32_blocks

REPEATS, SERIES = 50, 400


def repeated(sweep: Callable[..., Any]) -> Callable[..., Any]:
    """Return a compiled loop over a sweep, whose arguments are those of the loop but the first."""

    @njit(nogil=True)
    def loop(times, *given):
        for _ in range(times):
            sweep(*given)

    return loop


@njit(nogil=True)
def _extremes(v, out):
    largest, smallest, used = _float32_blocks._extremes(v)
    out[0] += largest + smallest + used  # or the compiler would leave the sweep out


def sweeps() -> str:
    size = _exponents.BLOCK
    values = (np.random.default_rng(0).standard_normal(size).astype(np.float32) * 0.02).view(np.uint32)
    out = np.zeros(5)
    fields, windows, _ = _exponents.new_counter(size)
    calls: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "extremes and bits used": (repeated(_extremes), (values, out)),
        "five sums, in float64": (repeated(_float32_blocks._sums), (values, out)),
        "counts of 32 exponents, in a window": (
            repeated(_exponents._count_in_window),
            (values, 97, windows[0], 0),
        ),
        "counts of any exponents, one store for each value": (
            repeated(_exponents._count_by_store),
            (values, fields),
        ),
    }
    best = dict.fromkeys(calls, np.inf)
    for loop, given in calls.values():
        loop(1, *given)
    for _ in range(SERIES):
        for name, (loop, given) in calls.items():
            begun = time.perf_counter()
            loop(REPEATS, *given)
            best[name] = min(best[name], time.perf_counter() - begun)
    lines = [f"| {name} | {1e9 * seconds / REPEATS / size:.3f} |" for name, seconds in best.items()]
    return "\n".join(["| sweep over a block of float32s | ns per element |", "|---|---|", *lines])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results/kernel.md")
    arguments = parser.parse_args()
    machine = f"{hardware('numpy', 'numba')}; one thread; the shortest of {SERIES} series"
    report = f"""# The compiled kernel, sweep by sweep

{machine}. Made by `python benchmarks/kernel.py --write`. What was tried besides: [trials](kernel_trials.md).

{sweeps()}
"""
    print(report)
    if arguments.write:
        write("kernel", report)
