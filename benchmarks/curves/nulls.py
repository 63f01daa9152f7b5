"""Families of curves without a transition, each with the noise of something that a training run records."""

from functools import partial

import numpy as np

from benchmarks.curves.case import Case, Family, falling, long_memory, recovering, red, series


def autocorrelated(rng: np.random.Generator, n: int, *, memory: tuple[float, float], tail: float | None = None) -> Case:
    return Case(series(red(rng, n, rng.uniform(*memory), tail), "loss"))


def heavy_tailed(rng: np.random.Generator, n: int) -> Case:
    return Case(series(rng.standard_t(rng.uniform(2.2, 4), n), "loss"))


def remembering(rng: np.random.Generator, n: int) -> Case:
    return Case(series(long_memory(rng, n, rng.uniform(0.15, 0.45)), "loss"))


def walk(rng: np.random.Generator, n: int, *, drift: float = 0.0, white: tuple[float, float] | None = None) -> Case:
    """Make a sum of white noise, like the norm of weights; `drift` per point at most, `white` added at each."""
    values = np.cumsum(rng.standard_normal(n)) + rng.uniform(-drift, drift) * np.arange(n)
    return Case(series(values + (rng.uniform(*white) * rng.standard_normal(n) if white else 0), "weight_norm"))


def proportional(rng: np.random.Generator, n: int) -> Case:
    """Make a decay of which the noise is a share of the value."""
    noise = red(rng, n, rng.choice([0.0, 0.0, 0.5])).clip(-4, 4)
    level = falling(rng, n) + rng.choice([0.0, 0.01, 0.1, 0.5])
    return Case(
        series(rng.uniform(1, 8) * level * (1 + rng.choice([0.01, 0.03, 0.05, 0.1, 0.2]) * noise), "train_loss")
    )


def over_decades(rng: np.random.Generator, n: int) -> Case:
    """Make a loss that falls over three to seven decades, with proportional noise down to a small constant one."""
    x, decades = np.linspace(0, 1, n), rng.uniform(3, 7)
    level = 10 ** (-decades * x) if rng.random() < 0.5 else (1 + x * 10 ** rng.uniform(2, 3)) ** -rng.uniform(1.2, 2.2)
    noise = np.exp(rng.choice([0.02, 0.1, 0.3]) * red(rng, n, rng.choice([0.0, 0.6])))
    return Case(series(level * noise + rng.choice([0, 1e-7]) * np.abs(rng.standard_normal(n)), "train_loss"))


def saturating(rng: np.random.Generator, n: int) -> Case:
    """Make an accuracy on m samples that reaches 1."""
    m = int(rng.choice([50, 128, 500, 2000, 10_000]))
    true = 1 - rng.uniform(0.4, 0.98) * np.exp(-np.linspace(0, 1, n) * rng.uniform(4, 60))
    return Case(series(rng.binomial(m, true) / m, "train_acc"))


def slow_accuracy(rng: np.random.Generator, n: int) -> Case:
    m = int(rng.choice([50, 128, 500, 2000]))
    true = 0.1 + rng.uniform(0.3, 0.75) * (1 - (1 + np.linspace(0, 1, n) * rng.uniform(5, 200)) ** -0.6)
    return Case(series(rng.binomial(m, true) / m, "test_acc"))


def chance_accuracy(rng: np.random.Generator, n: int) -> Case:
    m = int(rng.choice([50, 128, 500]))
    return Case(series(rng.binomial(m, rng.uniform(0.02, 0.5), n) / m, "test_acc"))


def gradient_norms(rng: np.random.Generator, n: int) -> Case:
    """Make a log-normal curve that decays to a plateau."""
    noise = np.exp(rng.uniform(0.2, 1.0) * red(rng, n, rng.choice([0.0, 0.5, 0.8])))
    return Case(series(noise * (rng.uniform(0.1, 1) + falling(rng, n)), "grad_norm"))


def spiking(rng: np.random.Generator, n: int) -> Case:
    """Make a loss with up to six spikes that recover."""
    values = rng.uniform(0.5, 3) + 3 * falling(rng, n) + 0.04 * rng.standard_normal(n)
    spikes = []
    for at in rng.choice(np.arange(10, n - 40), rng.integers(1, 7), replace=False).tolist():
        values = values + rng.uniform(0.3, 3) * recovering(rng, n, at, 10)
        spikes.append((float(at), at + 10.0, at + 40.0))
    return Case(series(values, "train_loss"), spikes=spikes)


def single_outliers(rng: np.random.Generator, n: int) -> Case:
    values = 2 + 0.1 * rng.standard_normal(n)
    at = rng.choice(np.arange(1, n - 1), 6, replace=False)
    values[at] += rng.uniform(1, 5, 6) * rng.choice([-1, 1], 6)
    return Case(series(values, "train_loss"), spikes=[(k - 1.0, float(k), k + 1.0) for k in at.tolist()])


def sawtooth(rng: np.random.Generator, n: int) -> Case:
    """Make a loss with a tooth in every epoch, of which there are six or more."""
    points, epoch = np.arange(n), int(rng.integers(max(12, n // 40), n // 6))
    phase = (points % epoch) / epoch
    tooth = (1 - phase) if rng.random() < 0.6 else np.exp(-phase * rng.uniform(2, 8))
    values = 1 + 2 * falling(rng, n) + rng.uniform(0.1, 0.4) * rng.choice([-1, 1]) * tooth
    return Case(series(values + 0.02 * rng.standard_normal(n), "train_loss"), teeth=True)


def noise_level(rng: np.random.Generator, n: int) -> Case:
    """Make noise that becomes several times as large, or as small, at once."""
    sigma = np.where(np.arange(n) < rng.uniform(0.2, 0.8) * n, 1.0, rng.choice([0.12, 0.3, 4.0, 8.0]))
    return Case(series(sigma * rng.standard_normal(n), "loss"))


def cosine(rng: np.random.Generator, n: int) -> Case:
    """Make a loss of which a part, and the noise, follow one cosine schedule of the learning rate."""
    lr = 0.5 * (1 + np.cos(np.pi * np.arange(n) / n))
    values = 0.8 + 2 * np.exp(-np.linspace(0, 1, n) * rng.uniform(6, 15)) + rng.uniform(0.1, 0.5) * lr
    return Case(series(values + (0.01 + 0.03 * lr) * rng.standard_normal(n), "train_loss"))


def uneven(rng: np.random.Generator, n: int) -> Case:
    steps = np.cumsum(rng.choice([1, 3, 8, 60], n))
    decay = np.exp(-steps / steps[-1] * rng.uniform(3, 12))
    return Case(series(4 * decay + 0.06 * rng.standard_normal(n), "loss", steps))


def short(rng: np.random.Generator, n: int, *, memory: float = 0.0) -> Case:
    """Make a decay or noise of 12 to 60 points, whatever `n` is; noise that remembers has no decay."""
    n = int(rng.integers(12, 61))
    if memory:
        return Case(series(red(rng, n, memory), "loss", 50 * np.arange(n)))
    values = rng.choice([0, 3]) * np.exp(-np.linspace(0, 4, n)) + 0.1 * rng.standard_normal(n)
    return Case(series(values, "loss", 50 * np.arange(n)))


def printed(rng: np.random.Generator, n: int) -> Case:
    """Make a loss that was written with two or three decimals."""
    values = 2 * falling(rng, n) + rng.choice([0.002, 0.01, 0.05]) * rng.standard_normal(n)
    return Case(series(np.round(values, int(rng.choice([2, 3]))), "loss"))


def averaged(rng: np.random.Generator, n: int) -> Case:
    """Make a decay with the noise that is left after exponential smoothing."""
    kept = rng.uniform(0.8, 0.96)
    noise = 0.2 * np.sqrt((1 - kept) / (1 + kept)) * red(rng, n, kept)
    return Case(series(2 * falling(rng, n) + noise, "loss"))


STATIONARY: dict[str, Family] = {
    "white": partial(autocorrelated, memory=(0, 0)),
    "AR 0.3 to 0.9": partial(autocorrelated, memory=(0.3, 0.9)),
    "AR 0.95": partial(autocorrelated, memory=(0.95, 0.95)),
    "AR 0.98": partial(autocorrelated, memory=(0.98, 0.98)),
    "long memory": remembering,
    "t 2.2 to 4": heavy_tailed,
    "t4, AR 0.5 to 0.8": partial(autocorrelated, memory=(0.5, 0.8), tail=4),
    "t3, AR 0.8": partial(autocorrelated, memory=(0.8, 0.8), tail=3),
    "accuracy at chance": chance_accuracy,
}
SHORT = {"12 to 60 points", "12 to 60 points, AR 0.8"}  # families of few points, of which a rate needs more curves
NULLS: dict[str, Family] = STATIONARY | {
    "random walk": walk,
    "random walk with drift": partial(walk, drift=0.15),
    "random walk and white": partial(walk, white=(1, 8)),
    "decay, noise proportional": proportional,
    "loss over decades": over_decades,
    "accuracy that saturates": saturating,
    "accuracy, slow": slow_accuracy,
    "log-normal gradient norms": gradient_norms,
    "recovering spikes": spiking,
    "single outliers": single_outliers,
    "epoch sawtooth": sawtooth,
    "noise level changes": noise_level,
    "cosine schedule": cosine,
    "decay, uneven steps": uneven,
    "12 to 60 points": short,
    "12 to 60 points, AR 0.8": partial(short, memory=0.8),
    "printed with few digits": printed,
    "smoothed loss": averaged,
}
