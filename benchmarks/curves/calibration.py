"""False discoveries among many curves that are searched together, and speed."""

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.curves.case import cases, interval, red, rise
from benchmarks.curves.judge import kind_of, matched, table
from benchmarks.curves.nulls import NULLS, SHORT
from tandv.analysis.transitions import find_transitions

LENGTH = 1000  # points of curves that are searched together
SOME = 100  # of curves whose search takes longer
APART = 400  # seeds from one search to the next
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
    return discoveries_of(
        [searched_together(first, 0), *[searched_together(first + k * APART, TRUE) for k in range(4)]]
    )


def searched_together(first: int, true: int) -> tuple[int, int, list[str]]:
    """Return how many of so many true changes are found among 1,000 curves, how many there are, and the false ones."""
    curves, truth = mixture(1000, true, first)
    found = [t for t in find_transitions(curves) if kind_of(t) != "spike"]
    wrong = sorted({t.quantity for t in found if t.quantity not in truth})
    right = sum(
        bool(matched([t.step for t in found if t.quantity == name], [where], 0.02 * LENGTH))
        for name, where in truth.items()
    )
    print(first, true, right, wrong, flush=True)
    return right, true, [name.rpartition(" ")[0] for name in wrong]


def discoveries_of(searches: Sequence[tuple[int, int, list[str]]]) -> str:
    """Return the table of searches, and the sum of those with true changes."""
    together = [one for one in searches if one[1]]
    total = (
        sum(one[0] for one in together),
        sum(one[1] for one in together),
        [name for one in together for name in one[2]],
    )
    rows = []
    for name, (right, true, of) in [*(("1,000", one) for one in searches), ("in total, with changes", total)]:
        families = ", ".join(f"{family} {of.count(family)}" for family in sorted(set(of)))
        share = f"{100 * len(of) / (len(of) + right):.1f} %" if true else ""
        rows.append([name, f"{right}/{true}", len(of), share, families])
    return table(["curves", "changes found", "curves with a false one", "share of discoveries", "families"], rows)


def speed(first: int) -> str:
    """Return the CPU seconds in which 1,000 curves of 1,000 points are searched; of slow ones a part is measured."""
    white = np.random.default_rng(first).standard_normal((LENGTH, 1000))
    part = white[:, :SOME]
    held = np.sort(np.random.default_rng(first).choice(np.arange(1, LENGTH), LENGTH // 10, replace=False))
    kinds = {
        "white noise": pd.DataFrame(white),
        "all families": mixture(1000, 0, first)[0],
        "a step of 8 σ in each": pd.DataFrame(part + SIZE * (np.arange(LENGTH) > LENGTH // 2)[:, None]),
        "held for irregular times": pd.DataFrame(part[np.searchsorted(held, np.arange(LENGTH), "right")]),
        "sines of 8 cycles": pd.DataFrame(0.1 * part + np.sin(np.arange(LENGTH) * 16 * np.pi / LENGTH)[:, None]),
    }
    rows = []
    for name, curves in kinds.items():
        start, wall, each = time.process_time(), time.perf_counter(), 1000 / curves.shape[1]
        find_transitions(curves.add_prefix("curve "))
        seconds = each * (time.process_time() - start), each * (time.perf_counter() - wall)
        rows.append([name, curves.shape[1], *[f"{one:.1f}" for one in seconds]])
        print(rows[-1], flush=True)
    return table(["curves of 1,000 points", "measured", "CPU seconds for 1,000", "seconds"], rows)
