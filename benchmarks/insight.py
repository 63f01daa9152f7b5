"""What insight costs, section by section.

python benchmarks/insight.py [--write]
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder, whose statistics.py would hide Python's own

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmarks.hardware import hardware, write
from tandv.analysis.features import correlation_summary, layerwise_cross_correlation


def median_seconds(call: Callable[[], object], rounds: int = 7) -> float:
    """Return the median of several rounds, after one that does not count."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def layer_correlations() -> str:
    """12 layers of 512 features over a batch of 512: all 78 pairs, 20 million correlations."""
    rng = np.random.default_rng(0)
    outputs = {f"layers.{n}": rng.normal(size=(512, 512)).astype(np.float32) for n in range(12)}
    calls = [
        ("`layerwise_cross_correlation`", lambda: layerwise_cross_correlation(outputs), "2 s"),
        ("`correlation_summary` (mean abs r and CKA, with chance)", lambda: correlation_summary(outputs), ""),
        ("the same with SVCCA", lambda: correlation_summary(outputs, svcca=True), ""),
    ]
    lines = ["| 12 layers × 512 features, batch of 512 | takes | wanted |", "|---|---|---|"]
    lines += [f"| {what} | {median_seconds(call):.2f} s | {wanted} |" for what, call, wanted in calls]
    return "\n".join(lines)


SECTIONS = {"Layer correlations": layer_correlations}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep the tables in benchmarks/results/insight.md")
    arguments = parser.parse_args()
    sections = "\n\n".join(f"## {title}\n\n{section()}" for title, section in SECTIONS.items())
    report = (
        f"# What insight costs\n\n{hardware('numpy', 'scipy', 'scikit-learn')}; medians. "
        f"Made by `python benchmarks/insight.py --write`.\n\n{sections}\n"
    )
    print(report)
    if arguments.write:
        write("insight", report)
