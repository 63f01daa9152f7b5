"""Families without a planted change that are hard to tell from one: oscillations, spikes that overlap, and others.

That of a warm-up has a place where it is fastest, which is a transition by the definition of the default detector.
"""

import numpy as np
from scipy.signal import lfilter

from benchmarks.curves.case import Case, Family, recovering, series


def cyclic(rng: np.random.Generator, n: int) -> Case:
    """Make AR(2) noise with a cycle of 10 to 100 points that lasts for 20 to 200."""
    kept, period = rng.uniform(0.95, 0.995), rng.uniform(10, 100)
    shocks = rng.standard_normal(n + 1000)
    noise = np.asarray(lfilter([1.0], [1, -2 * kept * np.cos(2 * np.pi / period), kept**2], shocks))
    return Case(series(noise[1000:], "loss"))


def sine(rng: np.random.Generator, n: int) -> Case:
    wave = np.sin(2 * np.pi * (rng.uniform(1, 20) * np.arange(n) / n + rng.random()))
    return Case(series(wave + rng.choice([0.02, 0.1, 0.3]) * rng.standard_normal(n), "loss"))


def overlapping(rng: np.random.Generator, n: int) -> Case:
    """Make four spikes within 30 points."""
    values, first, spikes = 1 + 0.04 * rng.standard_normal(n), int(rng.uniform(0.2, 0.7) * n), []
    for at in (first + rng.integers(0, 30, 4)).tolist():
        values = values + rng.uniform(0.3, 2) * recovering(rng, n, at, 10)
        spikes.append((float(at), at + 10.0, at + 40.0))
    return Case(series(values, "train_loss"), spikes=spikes)


def running_mean(rng: np.random.Generator, n: int) -> Case:
    """Make the mean of a noisy loss since the beginning of its epoch, as progress bars show it."""
    epoch = int(rng.uniform(0.04, 0.12) * n)
    loss = 1 + np.exp(-np.linspace(0, 5, n)) + 0.3 * rng.standard_normal(n)
    means = [np.cumsum(part) / np.arange(1, len(part) + 1) for part in np.split(loss, range(epoch, n, epoch))]
    return Case(series(np.concatenate(means), "train_loss"), teeth=True)


def warm_up(rng: np.random.Generator, n: int) -> Case:
    """Make a loss that decays as fast as the learning rate allows: a warm-up of 2 to 10 % and one cosine."""
    points, warm = np.arange(n), rng.uniform(0.02, 0.1) * n
    after = 0.5 * (1 + np.cos(np.pi * (points - warm) / (n - warm)))
    rate = np.minimum(points / warm, 1) * np.where(points < warm, 1, after)
    decay = np.exp(-np.cumsum(rate) / (rng.uniform(0.03, 0.15) * n))
    return Case(series(1 + 3 * decay + 0.03 * rng.standard_normal(n), "train_loss"))


BEYOND: dict[str, Family] = {
    "AR(2), a cycle of 10 to 100 points": cyclic,
    "sine of 1 to 20 cycles": sine,
    "four spikes within 30 points": overlapping,
    "running mean of each epoch": running_mean,
    "warm-up, then decay": warm_up,
}
