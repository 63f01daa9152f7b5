"""Intervals of sharpness: how often they hold the true width of a transition, and how wide they are."""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, ndtr, ndtri

from benchmarks.curves.case import long_memory, red, series
from benchmarks.curves.judge import kind_of, table
from benchmarks.curves.recorded import runs
from tandv.analysis.transitions import Evidence, Transition, transitions
from tandv.analysis.transitions.sharpness import Sharpness, sharpness

POINTS, SIZE, CONFIDENCE = 400, 10.0, 0.95
Measure = Callable[[pd.Series, Transition], Sharpness]


def _noise(name: str, rng: np.random.Generator) -> np.ndarray:
    if name == "t3":
        return red(rng, POINTS, 0, 3)
    if name == "long memory":
        return long_memory(rng, POINTS, 0.3)
    return red(rng, POINTS, {"AR 0.5": 0.5, "AR 0.8": 0.8, "AR 0.95": 0.95}.get(name, 0.0))


NOISES = ("white", "AR 0.5", "AR 0.8", "AR 0.95", "long memory", "t3")
OTHERS = ("accuracy of 250 samples", "sloping flanks, white", "normal distribution's shape, white")


def planted(kind: str, seed: int) -> tuple[pd.Series, Transition, float]:
    """Return a curve with a transition of 10 standard deviations, where a detector might say it is, and its width."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    width, middle = rng.uniform(10, 80), rng.uniform(150, 250)
    z = (np.arange(POINTS) - middle) / width
    edge = ndtr(z * 2 * ndtri(0.9)) if kind.startswith("normal") else expit(z * 2 * np.log(9))
    if kind.startswith("accuracy"):
        values = rng.binomial(250, 0.1 + 0.85 * edge) / 250
    else:
        values = SIZE * edge + _noise(kind, rng)
    if kind.startswith("sloping"):
        slopes = rng.uniform(-0.1, 0.1, 2) * SIZE / width  # of either flank, a tenth of the height in a width
        values = values + (np.arange(POINTS) - middle) * np.where(z < 0, *slopes)
    start, end = middle - width * rng.uniform(0.4, 0.6), middle + width * rng.uniform(0.4, 0.6)
    found = Transition(
        "loss", round(start), round(middle + 0.1 * width * rng.uniform(-1, 1)), round(end), 0, 1, Evidence()
    )
    return series(values, "loss"), found, width


def coverage(seeds: range, names: Sequence[str], measure: Measure = sharpness) -> str:
    """Return how often the interval holds the true width, and how wide it is, by kind of noise."""
    rows = []
    for kind in names or (*NOISES, *OTHERS):
        held, factors, errors = 0, [], []
        for seed in seeds:
            curve, found, width = planted(kind, seed)
            sharp = measure(curve, found)
            slope = 2 * np.log(9) / width
            held += sharp.low <= slope <= sharp.high
            factors.append(np.sqrt(sharp.high / sharp.low) if sharp.low > 0 else np.inf)
            errors.append(abs(np.log(sharp.slope / slope)))
        factor = np.quantile(factors, [0.5, 0.9])
        rows.append([kind, f"{held}/{len(seeds)} = {held / len(seeds):.2f}", f"{factor[0]:.2f}", f"{factor[1]:.2f}"])
        rows[-1].append(f"{np.exp(np.median(errors)):.2f}")
        print(rows[-1], flush=True)
    head = [
        "noise",
        f"holds the true width ({CONFIDENCE:.0%})",
        "median factor",
        "nine in ten within",
        "median error, factor",
    ]
    return table(head, rows)


def on_runs(folder: Path, measure: Measure = sharpness) -> str:
    """Return the width of each transition of recorded runs, with its interval."""
    rows = []
    for name, case in runs(folder):
        for one in transitions(case.curve) if case.truth else []:
            if kind_of(one) == "divergence":
                continue
            sharp = measure(case.curve, one)
            low, high = (2 * np.log(9) / slope if slope > 0 else np.inf for slope in (sharp.high, sharp.low))
            factor = np.sqrt(high / low) if low > 0 else np.inf
            rows.append(
                [
                    name,
                    f"{one.start:,} to {one.end:,}",
                    f"{sharp.width:.4g}",
                    f"{low:.4g} to {high:.4g}",
                    f"{factor:.4g}",
                ]
            )
            print(rows[-1], flush=True)
    return table(["column", "transition", "width", "interval", "factor"], rows)
