"""Families of curves with planted transitions, each with the noise of something that a training run records."""

from functools import partial

import numpy as np

from benchmarks.curves.case import Case, Family, falling, interval, long_memory, recovering, red, rise, series

# A family's events are of these kinds, where the detector names kinds; of those not here, steps or ramps.
KINDS = {
    "explodes to infinity": {"divergence"},
    "explodes to NaN": {"divergence"},
    "rise under way at the end": {"divergence"},
    "drop of the learning rate, given": {"schedule"},
}


def _place(rng: np.random.Generator, n: int, widest: float = 0.12) -> tuple[float, float]:
    """Return a middle and a width in points: half of them steps."""
    width = 0.5 if rng.random() < 0.5 else float(rng.uniform(4, max(5.0, widest * n)))
    return float(np.floor(rng.uniform(0.2, 0.8) * n) + 0.5), width


def plain(rng: np.random.Generator, n: int, *, noise, sizes: tuple[float, float] = (8, 15)) -> Case:
    """Plant one change of so many standard deviations in noise of standard deviation 1."""
    middle, width = _place(rng, n)
    values = noise(rng, n) + rng.choice([-1, 1]) * rng.uniform(*sizes) * rise(n, middle, width)
    return Case(series(values, "loss"), [interval(np.arange(n), middle, width)])


def gradient_norm_jumps(rng: np.random.Generator, n: int) -> Case:
    """Plant a change by e^2.5 to e^4.5 in a log-normal curve, on which it stays."""
    middle, width = _place(rng, n, 0.05)
    logarithm = rng.uniform(0.3, 0.7) * red(rng, n, 0.5) + rng.choice([-1, 1]) * rng.uniform(2.5, 4.5) * rise(
        n, middle, width
    )
    return Case(series(np.exp(logarithm), "grad_norm"), [interval(np.arange(n), middle, width)])


def proportional_step(rng: np.random.Generator, n: int) -> Case:
    """Plant a fall to half or less, of at most a twentieth of the run, in a decay with proportional noise."""
    middle, width = _place(rng, n, 0.05)
    decay = np.exp(-np.linspace(0, 8, n)) + rng.uniform(0.05, 0.3)
    level = decay * np.exp(-rng.uniform(0.7, 2) * rise(n, middle, width))
    noise = 1 + rng.choice([0.02, 0.05]) * rng.standard_normal(n)
    return Case(series(3 * level * noise, "train_loss"), [interval(np.arange(n), middle, width)])


def step_over_decades(rng: np.random.Generator, n: int) -> Case:
    """Plant a fall by a factor of 5 to 30 in a loss that falls over three to six decades."""
    middle, width = _place(rng, n, 0.02)
    logarithm = -np.linspace(0, rng.uniform(3, 6), n) * np.log(10) - rng.uniform(1.6, 3.4) * rise(n, middle, width)
    noise = rng.choice([0.02, 0.1]) * rng.standard_normal(n)
    return Case(series(np.exp(logarithm + noise), "train_loss"), [interval(np.arange(n), middle, width)])


def groks(rng: np.random.Generator, n: int) -> Case:
    m, (middle, width) = int(rng.choice([64, 250, 1000])), _place(rng, n)
    low = rng.uniform(0.02, 0.3)
    true = low + (rng.uniform(0.8, 1) - low) * rise(n, middle, width)
    return Case(series(rng.binomial(m, true) / m, "test_acc"), [interval(np.arange(n), middle, width)])


def among_spikes(rng: np.random.Generator, n: int) -> Case:
    middle, width = _place(rng, n)
    values = rng.choice([-1, 1]) * rise(n, middle, width) + 0.06 * rng.standard_normal(n)
    spikes, apart = [], np.abs(np.arange(n) - middle) > width + 40
    for at in rng.choice(np.flatnonzero(apart[: n - 40]), 3, replace=False).tolist():
        values = values + rng.uniform(0.8, 2) * recovering(rng, n, at, 8)
        spikes.append((float(at), at + 10.0, at + 32.0))
    return Case(series(values, "loss"), [interval(np.arange(n), middle, width)], spikes)


def among_teeth(rng: np.random.Generator, n: int) -> Case:
    middle, width = _place(rng, n, 0.04)
    epoch = int(rng.integers(max(12, n // 24), n // 8))
    tooth = 1 - (np.arange(n) % epoch) / epoch
    values = 1 - rise(n, middle, width) + 0.15 * tooth + 0.02 * rng.standard_normal(n)
    return Case(series(values, "train_loss"), [interval(np.arange(n), middle, width)], teeth=True)


def explodes(rng: np.random.Generator, n: int, *, last: float) -> Case:
    """Make a loss that grows exponentially until it is not finite."""
    points, at = np.arange(n, dtype=np.float64), int(rng.uniform(0.5, 0.85) * n)
    growth = np.exp(np.clip((points - at) * rng.uniform(0.3, 1), 0, 80)) - 1
    values = 1 + 2 * np.exp(-points / (n / 8)) + 0.03 * rng.standard_normal(n) + growth
    end = int(np.argmax(growth > 1e5)) or n - 1
    values[end:] = last
    return Case(series(values, "train_loss"), [(float(at), (at + end) / 2, float(n - 1))])


def rising_end(rng: np.random.Generator, n: int) -> Case:
    """Make a loss that rises over its last 2 to 8 %, beyond all that it has had but its beginning."""
    points, last = np.arange(n, dtype=np.float64), int(max(8, rng.uniform(0.02, 0.08) * n))
    along = np.clip((points - (n - 1 - last)) / last, 0, 1)
    shape = along if rng.random() < 0.5 else np.expm1(3 * along) / np.expm1(3)
    values = 1 + np.exp(-points / (n / 6)) + 0.04 * rng.standard_normal(n) + rng.uniform(2, 8) * shape
    return Case(series(values, "train_loss"), [(n - 1.0 - last, n - 1 - last / 2, n - 1.0)])


def collapses(rng: np.random.Generator, n: int) -> Case:
    """Make a loss that jumps up and stays there."""
    at = float(np.floor(rng.uniform(0.3, 0.92) * n) + 0.5)
    values = 0.3 + 2 * np.exp(-np.linspace(0, 1, n) * rng.uniform(5, 15)) + 0.02 * rng.standard_normal(n)
    after = np.arange(n) > at
    values[after] = rng.uniform(1.5, 3) + rng.choice([0.01, 0.1]) * rng.standard_normal(int(after.sum()))
    return Case(series(values, "train_loss"), [interval(np.arange(n), at, 0)])


def near_an_end(rng: np.random.Generator, n: int) -> Case:
    share = rng.uniform(0.04, 0.08) if rng.random() < 0.5 else rng.uniform(0.92, 0.96)
    middle, width = float(np.floor(share * n) + 0.5), float(rng.choice([0.5, 0.015 * n]))
    values = 10 * rise(n, middle, width) + rng.standard_normal(n)
    return Case(series(values, "score"), [interval(np.arange(n), middle, width)])


def pulse(rng: np.random.Generator, n: int) -> Case:
    """Plant a rise that is taken back after 5 to 20 % of the run on a plateau."""
    first = float(np.floor(rng.uniform(0.2, 0.6) * n) + 0.5)
    second = first + float(np.floor(rng.uniform(0.06, 0.2) * n))
    values = 10 * (rise(n, first, 0) - rise(n, second, 0)) + rng.standard_normal(n)
    return Case(series(values, "score"), [interval(np.arange(n), m, 0) for m in (first, second)])


def stairs(rng: np.random.Generator, n: int) -> Case:
    """Plant 3 to 8 falls at equal distances, each of at least 6 standard deviations."""
    count = int(rng.integers(3, 9))
    length = n / (count + 1)
    middles = [float(np.floor(k * length) + 0.5) for k in range(1, count + 1)]
    values = 1 + 0.03 * rng.standard_normal(n)
    for middle in middles:
        values = values - rng.uniform(0.2, 0.5) * rise(n, middle, 0)
    return Case(series(values, "train_loss"), [interval(np.arange(n), m, 0) for m in middles])


def restarts(rng: np.random.Generator, n: int) -> Case:
    """Plant 2 to 4 sudden rises after each of which the loss decays again."""
    count = int(rng.integers(2, 5))
    length = n // (count + 1)
    values = 1 + 0.02 * rng.standard_normal(n) + 2 * np.exp(-np.arange(n) / (0.15 * length))
    middles = []
    for k in range(1, count + 1):
        since = np.maximum(np.arange(n) - k * length, 0)
        values = values + np.where(
            np.arange(n) >= k * length, rng.uniform(0.4, 1) * np.exp(-since / (0.25 * length)), 0
        )
        middles.append(k * length - 0.5)
    return Case(series(values, "train_loss"), [interval(np.arange(n), m, 0) for m in middles])


def slow_ramp(rng: np.random.Generator, n: int) -> Case:
    middle, width = float(rng.uniform(0.42, 0.58) * n), float(rng.uniform(0.2, 0.34) * n)
    values = rng.choice([-1, 1]) * rng.uniform(8, 15) * rise(n, middle, width) + rng.standard_normal(n)
    return Case(series(values, "score"), [interval(np.arange(n), middle, width)])


def unevenly_recorded(rng: np.random.Generator, n: int, *, how: str) -> Case:
    """Plant one change on a curve recorded at steps that are random, evenly spaced in their logarithm, or with gaps."""
    middle, width = _place(rng, n)
    values = rng.choice([-1, 1]) * rng.uniform(8, 15) * rise(n, middle, width) + rng.standard_normal(n)
    steps = np.arange(n)
    if how == "random":
        steps = np.cumsum(rng.choice([1, 3, 8, 60], n))
    elif how == "logarithm":
        steps = np.arange(n) + np.round(10 ** np.linspace(0, 5, n)).astype(np.int64)
    truth = interval(steps, middle, width)
    if how == "gaps":
        for _ in range(int(rng.integers(1, 4))):
            first = int(rng.uniform(0, 0.95) * n)
            gap = slice(first, first + int(rng.uniform(0.02, 0.12) * n))
            if gap.start > truth[2] + 8 or gap.stop < truth[0] - 8:
                values[gap] = np.nan
    return Case(series(values, "loss", steps), [truth])


def few_points(rng: np.random.Generator, n: int) -> Case:
    """Plant a change of 10 standard deviations in 25, 40 or 60 points, whatever `n` is."""
    n = int(rng.choice([25, 40, 60]))
    middle, width = float(np.floor(rng.uniform(0.3, 0.7) * n) + 0.5), float(rng.choice([0.5, 3, 5]))
    values = rng.choice([-1, 1]) * 10 * rise(n, middle, width) + rng.standard_normal(n)
    return Case(series(values, "loss", 100 * np.arange(n)), [interval(100 * np.arange(n), middle, width)])


def scheduled(rng: np.random.Generator, n: int) -> Case:
    """Make a loss that falls where the learning rate is divided by ten."""
    at = float(np.floor(rng.uniform(0.4, 0.7) * n) + 0.5)
    lr = series(np.where(np.arange(n) > at, 0.01, 0.1), "lr")
    values = 1 + falling(rng, n) - 0.4 * rise(n, at + 2, 4) + 0.03 * rng.standard_normal(n)
    return Case(series(values, "train_loss"), [(at, at + 2, at + 4)], lr=lr)


EVENTS: dict[str, Family] = {
    "in white noise": partial(plain, noise=lambda rng, n: rng.standard_normal(n)),
    "in AR 0.8": partial(plain, noise=lambda rng, n: red(rng, n, 0.8)),
    "in AR 0.95": partial(plain, noise=lambda rng, n: red(rng, n, 0.95)),
    "in long memory": partial(plain, noise=lambda rng, n: long_memory(rng, n, 0.3)),
    "in t3": partial(plain, noise=lambda rng, n: red(rng, n, 0, 3)),
    "log-normal gradient norm": gradient_norm_jumps,
    "decay, noise proportional": proportional_step,
    "loss over decades": step_over_decades,
    "accuracy that groks": groks,
    "among recovering spikes": among_spikes,
    "among teeth": among_teeth,
    "explodes to infinity": partial(explodes, last=np.inf),
    "explodes to NaN": partial(explodes, last=np.nan),
    "rise under way at the end": rising_end,
    "collapse": collapses,
    "near an end": near_an_end,
    "pulse": pulse,
    "stairs": stairs,
    "fewer than five restarts": restarts,
    "ramp of 20 to 34 % of the run": slow_ramp,
    "random steps": partial(unevenly_recorded, how="random"),
    "steps even in logarithm": partial(unevenly_recorded, how="logarithm"),
    "gaps": partial(unevenly_recorded, how="gaps"),
    "25, 40 or 60 points": few_points,
    "drop of the learning rate, given": scheduled,
}
