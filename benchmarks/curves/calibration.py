"""False discoveries among many curves that are searched together, and speed."""

import time

import numpy as np
import pandas as pd

from benchmarks.curves.case import cases, interval, red, rise
from benchmarks.curves.judge import kind_of, matched, table
from benchmarks.curves.nulls import NULLS, SHORT
from tandv.analysis.transitions import find_transitions

LENGTH = 1000  # points of curves that are searched together
TRUE, SIZE = 50, 8.0  # curves with a change, in standard deviations of their noise
OWN_STEPS = {"decay, uneven steps"} | SHORT  # families whose curves do not fit into one table


def mixture(count: int, true: int, first: int) -> tuple[pd.DataFrame, dict[str, tuple[float, float, float]]]:
    """Return a table of curves of all families without transition, and where the first `true` have one planted."""
    names = [name for name in NULLS if name not in OWN_STEPS]
    columns: dict[str, np.ndarray] = {}
    truth = {}
    for k in range(true):
        rng = np.random.default_rng([first, k])
        middle, width = float(np.floor(rng.uniform(0.2, 0.8) * LENGTH) + 0.5), float(rng.choice([0.5, 20, 80]))
        noise = red(rng, LENGTH, rng.choice([0, 0.5, 0.8]))
        columns[f"true {k}"] = noise + rng.choice([-1, 1]) * SIZE * rise(LENGTH, middle, width)
        truth[f"true {k}"] = interval(np.arange(LENGTH), middle, width)
    each = -(-count // len(names))
    for name in names:
        for k, case in enumerate(cases(NULLS, name, range(first, first + 2 * each, 2), LENGTH)):
            if len(columns) < count + true:
                columns[f"{name} {k}"] = case.curve.to_numpy()
    return pd.DataFrame(columns), truth


def discovery(first: int) -> str:
    """Return false and true discoveries among 1,000 curves that are searched together, without and with true ones."""
    rows = []
    for true in (0, TRUE):
        curves, truth = mixture(1000, true, first)
        found = [t for t in find_transitions(curves) if kind_of(t) != "spike"]
        wrong = sorted({t.quantity for t in found if t.quantity not in truth})
        right = sum(
            bool(matched([t.step for t in found if t.quantity == name], [where], 0.02 * LENGTH))
            for name, where in truth.items()
        )
        of = [name.rpartition(" ")[0] for name in wrong]
        families = ", ".join(f"{name} {of.count(name)}" for name in sorted(set(of)))
        share = f"{100 * len(wrong) / max(len(wrong) + right, 1):.1f} %"
        rows.append([f"1,000 and {true}", f"{right}/{true}", len(wrong), share, families])
        print(rows[-1], flush=True)
    head = ["curves without and with", "found", "curves with a false one", "share of discoveries", "families"]
    return table(head, rows)


def speed(first: int) -> str:
    """Return the CPU seconds in which 1,000 curves of 1,000 points are searched."""
    mixed, _ = mixture(1000, 0, first)
    white = pd.DataFrame(np.random.default_rng(first).standard_normal((LENGTH, 1000))).add_prefix("white ")
    rows = []
    for name, curves in (("white noise", white), ("all families", mixed)):
        start, wall = time.process_time(), time.perf_counter()
        find_transitions(curves)
        rows.append([name, f"{time.process_time() - start:.1f}", f"{time.perf_counter() - wall:.1f}"])
        print(rows[-1], flush=True)
    return table(["1,000 curves of 1,000 points", "CPU seconds", "seconds"], rows)
