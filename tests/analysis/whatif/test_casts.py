"""Casts to many formats at once, whose sums are shared, against each of them alone."""

import numpy as np
from numba import types

from tandv.analysis.whatif import _bulk, _casts, _ranges, _values, whatif
from tests.analysis.whatif.test_peaks import gradient
from tests.analysis.whatif.test_prediction import log_of

FORMATS = ("e4m3", "e2m3", "e5m2", "e3m2", "e2m1", "fp16")
SCALES = ("none", "power2", "max")


def tensors():
    random = np.random.default_rng(0)
    normal = random.standard_normal(5000).astype(np.float32)
    wide = np.exp(6 * random.standard_normal(5000)).astype(np.float32)
    some = [normal, 1e-5 * normal, 300 * normal, wide, gradient(200, 64, 0.3), gradient(16, 512, 0.02), normal[:9]]
    special = [np.full(50, 0.3), np.zeros(5), [1.0, np.inf, np.nan], [np.nan]]
    return [*some, *(np.array(one, np.float32) for one in special), normal.astype(np.float16)]


def numbers(found):
    return found[[name for name in found if found[name].dtype == np.float32]].to_numpy()


def test_formats_and_scales_that_share_sums_get_what_each_gets_alone():
    log = log_of(*tensors())
    together = whatif(log, FORMATS, SCALES)
    for name, scale in (("e4m3", "none"), ("e2m3", "power2"), ("e5m2", "max"), ("e2m1", "none"), ("fp16", "power2")):
        own = together[(together.format == name) & (together.scale == scale)]
        np.testing.assert_allclose(numbers(own), numbers(whatif(log, name, scale)), rtol=1e-4, atol=1e-4)


def test_many_casts_of_many_rows_lie_where_their_rows_do():
    some = tensors()  # more casts than are written together, whose rows are taken in another order
    log = log_of(*some, *some[::-1])
    found = numbers(whatif(log, FORMATS, SCALES)).reshape(2 * len(some), -1)
    np.testing.assert_array_equal(found[: len(some)], found[len(some) :][::-1])


def test_a_row_that_says_nothing_of_values_has_no_sqnr_and_one_of_zeros_loses_nothing():
    found = whatif(log_of(np.zeros(4, np.float32), np.array([np.nan], np.float32)), "e4m3")
    assert found.sqnr.tolist()[0] == np.inf
    assert np.isnan(found.sqnr.tolist()[1])
    assert found.underflow.tolist() == [0, 0]


def test_constants_that_are_passed_on_are_no_types_of_their_own():
    # Else numba compiles `learn`, and all that it calls, once for each of them: half a minute, not a quarter of one.
    passed = [_values.TOP, _values.ANY, _bulk.NONE, _casts.NOWHERE, _casts.START, _ranges.UNDERFLOW, _ranges.SIGNAL]
    assert [types.maybe_literal(one) for one in passed] == [None] * len(passed)
    assert types.maybe_literal(9) is not None
