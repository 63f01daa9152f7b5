import numpy as np
import pytest

from tandv.analysis.transitions.divergence import diverging, unfilled

STEPS = np.arange(500.0)
NOISE = 0.02 * np.random.default_rng(0).standard_normal(500)
LOSS = 1 + 2 * np.exp(-STEPS / 60) + NOISE


def test_a_rise_under_way_at_the_end_diverges():
    loss = LOSS.copy()
    loss[480:] += np.linspace(0.25, 5, 20)
    found = diverging(STEPS, loss, None)
    assert found is not None
    assert found.first == 480 and found.start == 479 and found.end == 499
    assert 485 <= found.middle <= 493  # half of 5 is reached at 489
    assert found.before == pytest.approx(1, abs=0.05) and found.after == loss[-1]
    assert found.effect == pytest.approx(5 / 0.02, rel=0.3) and found.p < 1e-3


@pytest.mark.parametrize(
    "loss",
    [LOSS, LOSS + 3 * (STEPS >= 480), LOSS - 3 * (STEPS >= 480) * (STEPS - 480), LOSS + 0.002 * STEPS],
    ids=["decay", "step that has arrived", "downward", "steady rise"],
)
def test_what_has_arrived_or_falls_or_always_rose_does_not(loss):
    assert diverging(STEPS, loss, None) is None


def test_an_end_that_is_not_finite_diverges():
    found = diverging(STEPS[:400], LOSS[:400], 400.0, np.inf)
    assert found is not None
    assert (found.first, found.start, found.middle, found.end) == (400, 399, 400, 400)
    assert found.after == np.inf and found.effect == np.inf and np.isnan(found.p)
    rising = LOSS[:400] + np.where(STEPS[:400] > 390, np.exp(STEPS[:400] - 390), 0)
    found = diverging(STEPS[:400], rising, 400.0, np.nan)
    assert found is not None and found.first == 391 and found.end == 400


@pytest.mark.parametrize("start", [300, 400, 480])
@pytest.mark.parametrize("fold", [2, 16])
def test_it_may_have_gone_on_for_long(start, fold):
    loss = LOSS.copy()
    loss[start:] *= np.exp(np.arange(500 - start) / fold)
    found = diverging(STEPS, loss, None)
    assert found is not None and start - 1 <= found.first <= start + 0.6 * fold + 5


def test_a_long_even_rise_must_exceed_all_before():
    rise = np.maximum(STEPS - 400, 0) / 100
    found = diverging(STEPS, LOSS + 5 * rise, None)
    assert found is not None and 400 <= found.first <= 430
    assert diverging(STEPS, LOSS + 0.5 * rise, None) is None  # as a test loss that overfits


@pytest.mark.parametrize("fold", [2, 8, 16])
@pytest.mark.parametrize("lasts", [40, 100, 150, 300])
def test_a_rise_may_last_for_any_share_of_the_run(fold, lasts):
    begin = 500 - lasts
    loss = LOSS * np.exp(np.maximum(STEPS - begin, 0) / fold)
    found = diverging(STEPS, loss, None)
    assert found is not None and found.p < 0.02
    assert begin <= found.first <= begin + 2 * fold and found.end == 499


def test_a_straight_rise_to_the_end_diverges_but_no_trend():
    found = diverging(STEPS, LOSS + np.maximum(STEPS - 390, 0) / 20, None)  # 5.5 in 110 steps
    assert found is not None and 390 <= found.first <= 415
    assert diverging(STEPS, (STEPS / 500) ** 2 + NOISE, None) is None
    assert diverging(STEPS, np.exp(STEPS / 50 + NOISE), None) is None  # as steady as ever


def test_few_values_that_are_missing_at_the_end_are_no_certain_divergence():
    assert diverging(STEPS[:1], LOSS[:1], 1.0) is None
    one = diverging(STEPS[:400], LOSS[:400], 400.0)
    assert one is not None and one.p == 0.01
    three = diverging(STEPS[:400], LOSS[:400], 400.0, missing=(3, 0))
    assert three is not None and three.p == pytest.approx(6 / (403 * 402 * 401))
    assert unfilled(8, 1, 1) == pytest.approx(2 / 10)  # 2 of 10 are missing, one of them the last


@pytest.mark.parametrize("seed", range(6))
def test_noise_after_a_constant_start_does_not_diverge(seed):
    noise = np.random.default_rng(seed).standard_normal(500)
    assert diverging(STEPS, np.where(STEPS < 200, 0.0, noise), None) is None
    assert diverging(STEPS, np.where(STEPS < 200, 0.0, np.cumsum(noise)), None) is None
