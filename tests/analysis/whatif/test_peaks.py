"""Tensors of which one power of two holds nearly all, as gradients of classifiers: against casts, and by hand."""

import ml_dtypes
import numpy as np
import pytest

from tandv.analysis.whatif import whatif
from tandv.analysis.whatif._peaks import LAW, fill_peak, fit, groups
from tandv.analysis.whatif._tables import SLOPES
from tandv.analysis.whatif._within import MOST_POINTS, NODES, log_densities
from tests.analysis.whatif.test_prediction import cast, log_of

SCALES = ("none", "power2", "max")
FORMATS = ("e4m3", "e5m2", "e2m3", "e3m2", "e2m1")


def gradient(classes, examples, spread, rarity=0.0, seed=0):
    """Return (p - onehot) / examples of logits about the log frequencies of the classes, as a flat float32 array."""
    random = np.random.default_rng(seed)
    often = 1 / np.arange(1, classes + 1) ** rarity
    often /= often.sum()
    p = np.exp(np.log(often) + spread * random.standard_normal((examples, classes)))
    p /= p.sum(1, keepdims=True)
    p[np.arange(examples), random.choice(classes, examples, p=often)] -= 1
    return (p / examples).astype(np.float32).ravel()


def test_ranges_hold_the_gradients_of_classifiers_of_many_kinds():
    tensors = [
        gradient(classes, examples, spread, rarity)
        for classes, examples in ((16, 512), (200, 64), (200, 300), (1500, 24))
        for spread in (0.02, 0.3, 1.5)
        for rarity in (0.0, 1.0)
    ]
    found = whatif(log_of(*tensors), FORMATS, SCALES)
    true = np.array([cast(x, name, scale)[3] for x in tensors for name in FORMATS for scale in SCALES])
    lossy = (true > 0.5) & np.isfinite(true)
    off = np.abs(found.sqnr - true)[lossy]
    held = ((found.sqnr_low - 1e-3 <= true) & (true <= found.sqnr_high + 1e-3))[lossy]
    bounds = (found.sqnr_least - 1e-3 <= true) & (true <= found.sqnr_most + 1e-3)
    assert bounds[lossy].all()
    assert held.mean() > 0.93  # 95 % of casts like these, of which these are some
    assert np.median(off) < 0.5


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_values_that_lie_close_together_are_cast_as_the_one_that_they_are_near(dtype):
    random = np.random.default_rng(0)
    x = (0.3 + 1e-4 * random.standard_normal(20_000)).astype(dtype)  # one value of bfloat16
    small = (1e-4 * random.standard_normal(20_000)).astype(dtype)
    for name in ("e4m3", "fp16", "e2m1"):
        row = whatif(log_of(np.concatenate([x, small])), name).iloc[0]
        assert row.sqnr == pytest.approx(cast(np.concatenate([x, small]), name, "none")[3], abs=0.7)


def grouped(*counts):
    logs, out = np.empty(len(counts)), np.empty(len(counts))
    log_densities(np.array(counts, float), 0, len(counts) - 1, 1.0, logs)
    groups(logs, 0, len(counts) - 1, out)
    return out.tolist()


def test_a_peak_is_one_group_and_a_smooth_histogram_many():
    assert grouped(1, 2, 4, 8)[3] == pytest.approx(64 * 8)  # a flat density: each power of two has twice as many
    assert grouped(100, 400, 200, 50)[3] > 1000
    assert grouped(1, 1, 1, 1024)[3] == 1  # 2^10 times as many as beside it
    assert grouped(1, 1, 1, 8)[3] == pytest.approx(64 / 8)  # 2^3 times as many
    found = grouped(8, 8, 512, 512)  # a peak across two powers of two
    assert found[2] == found[3] == 1 and found[0] > 100
    below, above = grouped(1000, 500, 250, 400), grouped(100, 200, 250, 400)
    assert below[3] < 20 < 500 < above[3]  # a second peak, above others; no peak


def fitted(x, counts, top):
    """Return the law of values in units of the highest power of two, in one or two of them."""
    law, apart = np.empty(LAW), np.ones(len(counts))
    sums = np.array([(x**p).sum() for p in (1, 2, 4, 8)])
    slopes = np.full(len(counts), len(SLOPES) // 2)
    assert fit(np.array(counts, float), 0, len(counts) - 1, top, sums, slopes, apart, law, np.empty(32))
    return law, apart


def test_the_density_has_the_mean_and_the_spread_of_the_values():
    x = np.random.default_rng(0).normal(1.3, 0.02, 5000).clip(None, 1.4)
    law, apart = fitted(x, [5000], 1.4)
    assert apart[0] == 6
    u, w = np.empty((1, MOST_POINTS)), np.empty((1, MOST_POINTS))
    assert fill_peak(1.0, 1.4, law, 1.0, 23, False, u, w, 0) == 0
    nodes = np.linspace(u[0, 2], u[0, 1], NODES + 1)
    below = np.interp([1.28, 1.3, 1.32], nodes, w[0, : NODES + 1])
    assert below == pytest.approx([0.159, 0.5, 0.841], abs=0.03)  # those of a normal distribution


def test_a_peak_across_two_powers_of_two_is_fitted_in_both():
    x = np.random.default_rng(0).normal(1.0, 0.02, 5000).clip(None, 1.07)
    law, _ = fitted(x, [(x < 1).sum(), (x >= 1).sum()], 1.07)
    u, w = np.empty((1, MOST_POINTS)), np.empty((1, MOST_POINTS))
    fill_peak(1.0, 2.0, law, 0.5, 23, False, u, w, 0)  # of the lower one, in units of itself
    median = np.interp(0.5, w[0, : NODES + 1], np.linspace(u[0, 2], u[0, 1], NODES + 1))
    assert median / 2 == pytest.approx(np.median(x[x < 1]), abs=0.002)


def test_values_too_close_for_rounded_sums_are_as_close_as_the_largest_shows():
    x = np.random.default_rng(0).normal(1.3, 2e-5, 1000)
    law, _ = fitted(x, [1000], x.max())
    assert law[1] / law[0] / 4 == pytest.approx(2e-5 / 1.3, rel=0.3)  # of |x|^4, four times that of |x|
