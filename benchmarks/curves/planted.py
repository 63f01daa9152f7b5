"""Curves with steps, sigmoids, ramps and several changes in five kinds of noise, and smooth curves with none."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from benchmarks.curves.case import Case

NOISES = ("white", "autocorrelated", "drifting", "heteroscedastic", "decaying")
SHAPES = ("step", "sigmoid", "ramp", "multiple")
LEVELS = {"6 σ": (6.0, 6.0), "6 to 15 σ": (6.0, 15.0)}


def noise(kind: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return noise, its standard deviation at each point, and the trend under it."""
    white, x, flat = rng.standard_normal(n), np.linspace(0, 1, n), np.zeros(n)
    if kind == "white":
        return white, flat + 1, flat
    if kind == "autocorrelated":
        memory = rng.choice([0.5, 0.8, 0.9])
        red = np.asarray(lfilter([np.sqrt(1 - memory**2)], [1, -memory], rng.standard_normal(n + 200)))[200:]
        return red, flat + 1, flat
    if kind == "drifting":
        drifts = (
            np.cumsum(rng.standard_normal(n)) / np.sqrt(n),
            2 * rng.choice([-1, 1]) * x,
            np.sin(2 * np.pi * (x * rng.uniform(0.5, 1.5) + rng.random())),
        )
        return white + drifts[rng.integers(3)] * rng.uniform(1, 4), flat + 1, flat
    if kind == "heteroscedastic":
        monotone = np.exp(rng.choice([-1, 1]) * np.log(5) * (x - 0.5))
        sigma = monotone if rng.random() < 0.5 else np.exp(0.8 * np.sin(2 * np.pi * (2 * x + rng.random())))
        return white * sigma, sigma, flat
    fast = rng.uniform(0.05, 0.3)
    decay = np.exp(-x / fast)
    sigma = 0.15 + 0.85 * decay
    return white * sigma, sigma, rng.uniform(10, 60) * (decay if rng.random() < 0.6 else 1 / (1 + 2 * x / fast))


def edge(shape: str, x: np.ndarray, middle: float, width: float) -> np.ndarray:
    """From 0 to 1; `width` is from a tenth to nine tenths."""
    if shape == "step":
        return (x > middle).astype(float)
    if shape == "sigmoid":
        return 1 / (1 + np.exp(-np.clip((x - middle) * 2 * np.log(9) / width, -50, 50)))
    return np.clip(0.8 * (x - middle) / width + 0.5, 0, 1)


def planted(shape: str | None, kind: str, seed: int, sigmas: tuple[float, float]) -> Case:
    """Make a curve with known changes of so many standard deviations of the noise where they happen; None: a null.

    Changes on a trend are at least three times as fast as the trend: slower ones are none by definition.
    """
    rng = np.random.default_rng([seed, NOISES.index(kind), 9 if shape is None else SHAPES.index(shape)])
    n = int(rng.choice([200, 400, 1000, 2000]))
    error, sigma, trend = noise(kind, n, rng)
    x = np.linspace(0, 1, n)
    steps = np.cumsum(rng.integers(1, 20, n)) if rng.random() < 0.25 else np.arange(n) * int(rng.choice([1, 10]))
    values, truth = error + trend, []
    count = 0 if shape is None else int(rng.integers(2, 5)) if shape == "multiple" else 1
    places, sign = np.linspace(0.15, 0.9, count + 1), rng.choice([-1, 1])
    for low, high in pairwise(places):
        this = str(rng.choice(SHAPES[:3])) if shape == "multiple" else str(shape)
        for _ in range(100):
            width = rng.uniform(0.01, 0.2 / count**0.7)
            room = high - low > width + 0.03
            middle = rng.uniform(low + width / 2 + 0.01, high - width / 2 - 0.01) if room else (low + high) / 2
            near = slice(max(0, int((middle - width / 2) * n)), int((middle + width / 2) * n) + 1)
            size = rng.uniform(*sigmas) * sigma[near].max()
            if (
                this == "step"
                or size / width > 3 * np.abs(np.gradient(trend, x))[max(0, int((middle - width) * n)) :].max()
            ):
                break
        sign = -sign if rng.random() < 0.3 else sign
        values = values + sign * size * edge(this, x, middle, width)
        after = int(np.searchsorted(x, middle, "right"))
        ends = (middle - width / 2, middle, middle + width / 2)
        between = (steps[after - 1], steps[after - 1 : after + 1].mean(), steps[after])
        truth.append(tuple(map(float, between if this == "step" else np.interp(ends, x, steps))))
    return Case(pd.Series(values * 10 ** rng.uniform(-3, 3), index=steps, name="value"), truth)


def smooth_nulls() -> Iterator[tuple[str, Case]]:
    """Yield curves without noise that have no transition, with their names."""
    x = np.linspace(0, 1, 1000)
    curves = {
        "exponential": np.exp(-5 * x),
        "power law": (1 + 100 * x) ** -0.5,
        "two exponentials": np.exp(-3 * x) + np.exp(-60 * x),
        "line": x,
        "parabola": x**2,
        "sine": np.sin(8 * x),
        "constant": np.ones(1000),
        "constant, noise 1e-12": 1 + 1e-12 * np.random.default_rng(1).standard_normal(1000),
    }
    for name, values in curves.items():
        yield name, Case(pd.Series(values, name="value"))
