"""A curve with what is true of it, and the noises that families of curves are made of."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.special import expit

Interval = tuple[float, float, float]
LENGTHS = (200, 400, 800, 1500, 2500)


class Case(NamedTuple):
    """One curve and where it truly changes: a tenth, the middle, nine tenths, in steps.

    A spike that recovers is no transition; each of `spikes` may take one event that is called a spike. Nor are teeth.
    """

    curve: pd.Series
    truth: Sequence[Interval] = ()
    spikes: Sequence[Interval] = ()
    lr: pd.Series | None = None
    teeth: bool = False


Family = Callable[[np.random.Generator, int], Case]


def cases(families: dict[str, Family], name: str, seeds: Iterable[int], length: int | None = None) -> list[Case]:
    """Return a case of a family for each seed, of `length` points or one of LENGTHS at random."""
    out = []
    for seed in seeds:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        n = int(rng.choice(LENGTHS))
        out.append(families[name](rng, length or n))
    return out


def series(values: np.ndarray, name: str, steps: np.ndarray | None = None) -> pd.Series:
    return pd.Series(values, index=np.arange(len(values)) if steps is None else steps, name=name)


def red(rng: np.random.Generator, n: int, memory: float, tail: float | None = None) -> np.ndarray:
    """Return AR(1) noise of variance 1; `tail` are degrees of freedom of Student's t, above 2."""
    shocks = rng.standard_normal(n + 500) if tail is None else rng.standard_t(tail, n + 500) * np.sqrt(1 - 2 / tail)
    return np.asarray(lfilter([np.sqrt(1 - memory**2)], [1, -memory], shocks))[500:]


def long_memory(rng: np.random.Generator, n: int, d: float) -> np.ndarray:
    """Return ARFIMA(0, d, 0) noise, from its moving average over 3,000 points."""
    k = np.arange(1, 3000)
    weights = np.concatenate([[1.0], np.cumprod((k - 1 + d) / k)])
    return np.convolve(rng.standard_normal(n + 2999), weights, "valid")


def falling(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return a decay from 1 that is fastest at its beginning: exponential, power law or two exponentials."""
    x, kind = np.linspace(0, 1, n), rng.integers(3)
    if kind == 0:
        return np.exp(-x * rng.uniform(3, 40))
    if kind == 1:
        return (1 + x * 10 ** rng.uniform(0.5, 2.5)) ** -rng.uniform(0.3, 1.5)
    share = rng.uniform(0.2, 0.8)
    return share * np.exp(-x * rng.uniform(15, 60)) + (1 - share) * np.exp(-x * rng.uniform(1, 6))


def rise(n: int, middle: float, width: float) -> np.ndarray:
    """Return a curve from 0 to 1; `width` is from a tenth to nine tenths, in points; below 1 it is a step."""
    points = np.arange(n, dtype=np.float64)
    if width < 1:
        return (points > middle).astype(np.float64)
    return expit((points - middle) * 2 * np.log(9) / width)


def interval(steps: np.ndarray, middle: float, width: float) -> Interval:
    """Return where a rise happens, in steps; of a step, the two recorded steps around it."""
    if width < 1:
        after = min(int(np.floor(middle)) + 1, len(steps) - 1)
        return float(steps[after - 1]), float(steps[after - 1 : after + 1].mean()), float(steps[after])
    first, half, last = np.interp([middle - width / 2, middle, middle + width / 2], np.arange(len(steps)), steps)
    return float(first), float(half), float(last)


def recovering(rng: np.random.Generator, n: int, at: int, slowest: float) -> np.ndarray:
    """Return a spike of height 1 that decays over at most `slowest` points."""
    points = np.arange(n)
    return np.where(points >= at, np.exp(-np.maximum(points - at, 0) / rng.uniform(0.5, slowest)), 0.0)
