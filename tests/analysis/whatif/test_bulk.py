"""Gradients of classifiers of many classes at the start of training: against casts, and by hand."""

import numpy as np
import pytest

from tandv.analysis.whatif import whatif
from tandv.analysis.whatif._bulk import NONE, fill_bulk, fit_bulk
from tandv.analysis.whatif._peaks import LAW
from tandv.analysis.whatif._tables import SLOPES
from tandv.analysis.whatif._values import ANY, BULK, UNDER
from tandv.analysis.whatif._within import MOST_POINTS, NODES
from tests.analysis.whatif.test_peaks import gradient
from tests.analysis.whatif.test_prediction import cast, log_of

pytestmark = pytest.mark.slow  # numba compiles single functions

FORMATS = ("e4m3", "e5m2", "e2m3", "e3m2", "e2m1")
SCALES = ("none", "power2", "max")


def test_gradients_of_many_classes_at_the_start_are_predicted_within_half_a_decibel():
    tensors = [gradient(classes, examples, 0.02) for classes, examples in ((100, 256), (1000, 64), (8192, 16))]
    found = whatif(log_of(*tensors), FORMATS, SCALES)
    true = np.array([cast(x, name, scale)[3] for x in tensors for name in FORMATS for scale in SCALES])
    off = np.abs(found.sqnr - true)[true > 0.5]
    assert np.median(off) < 0.05
    assert np.quantile(off, 0.95) < 0.5
    assert ((found.sqnr_low <= true) & (true <= found.sqnr_high))[true > 0.5].all()


def test_where_all_but_the_peak_vanishes_the_sqnr_is_that_of_the_sums():
    x = np.concatenate([np.full(16, -0.999), np.full(8, -0.9995), np.repeat([0.00098, 0.00099, 0.00100], 8000)])
    row = whatif(log_of(x.astype(np.float32)), "e2m1").iloc[0]  # goes to 1 and to 0
    lost = 16 * 0.001**2 + 8 * 0.0005**2 + 8000 * (0.00098**2 + 0.00099**2 + 0.001**2)
    assert row.sqnr == pytest.approx(10 * np.log10((16 * 0.999**2 + 8 * 0.9995**2 + lost) / lost), abs=0.01)


def fitted(small):
    """Return the law of values in the powers of two of exponents -8 and -7, below 100 of 1, and which is fitted."""
    counts = np.array([(small < 2.0**-7).sum(), (small >= 2.0**-7).sum(), 0, 0, 0, 0, 0, 0, 100.0])
    sums = np.array([100 + (small**p).sum() for p in (1, 2, 4, 8)])
    peak, law, apart = np.array([1.0, 1e-9, 0, 0, 4, 1, 2, 1, 1]), np.empty(LAW), np.ones(9)
    slopes = np.full(9, len(SLOPES) // 2)
    bottom = small.min() * 256 if counts[0] else small.min() * 128
    return fit_bulk(counts, 0, 8, bottom, sums, slopes, apart, peak, law, np.empty(32)), law


def test_the_density_of_values_across_two_powers_of_two_has_their_mean_and_their_quantiles():
    small = 2.0**-7 * np.random.default_rng(0).normal(1.01, 0.02, 20_000)
    high, law = fitted(small)
    assert high == 1
    assert law[0] == pytest.approx(1.01, abs=1e-3) and law[1] == pytest.approx(0.02, rel=0.05)
    u, w, points = np.empty((ANY + 1, MOST_POINTS)), np.empty((ANY + 1, MOST_POINTS)), np.zeros(ANY + 1, np.int64)
    fill_bulk(high, 0, law, np.full(9, 23), np.zeros(64, np.int64), u, w, points, BULK)
    for kind, part in ((BULK, small[small >= 2.0**-7] * 2**7), (UNDER, small[small < 2.0**-7] * 2**8)):
        median = np.interp(0.5, w[kind, : NODES + 1], np.linspace(u[kind, 2], u[kind, 1], NODES + 1))
        assert median == pytest.approx(np.median(part), abs=0.002)


def test_values_that_are_few_or_spread_widely_are_left_to_the_slopes():
    random = np.random.default_rng(0)
    assert fitted(2.0**-7 * random.normal(1.2, 0.02, 50))[0] == NONE
    assert fitted(2.0**-8 * random.uniform(1, 4, 5000))[0] == NONE
