"""Layers that move at planted transitions, and losses that fall, beside the rates that chance gives."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from tandv.analysis.coordination import coordination, loss_falls


class Jump(NamedTuple):
    quantity: str
    start: int
    step: int
    end: int
    before: float
    after: float


def layers(moving: int, still: int, at: float = 600, noise: float = 0.01, seed: int = 0) -> pd.DataFrame:
    """Curves of layers of which the first few move by 1 around a step, with a slow common drift."""
    steps = np.arange(0, 1001, 10)
    rng = np.random.default_rng(seed)
    drift = steps / 1000 * 0.2
    jump = 1 / (1 + np.exp(-(steps - at) / 10))
    curves = {f"l{i}": drift + (i < moving) * jump + noise * rng.normal(size=len(steps)) for i in range(moving + still)}
    return pd.DataFrame(curves, index=pd.Index(steps, name="step"))


def test_layers_that_move_at_a_transition_are_counted_beside_their_base_rate():
    found = coordination(layers(6, 4), Jump("loss", 570, 600, 630, 1, 0))
    assert found.moved == ("l0", "l1", "l2", "l3", "l4", "l5")
    assert found.share == 0.6
    assert found.base_rate < 0.02
    assert found.lift > 30


def test_at_a_quiet_time_the_share_is_the_base_rate():
    found = coordination(layers(0, 200), Jump("loss", 570, 600, 630, 1, 0))
    assert found.share <= 0.02
    assert found.base_rate <= 0.02


def test_the_base_rate_counts_movement_at_other_times():
    steps = np.arange(0, 1001, 10)
    stairs = pd.DataFrame({"l": np.floor(steps / 100)}, index=steps)  # jumps to 100, 200, ..., 1000
    found = coordination(stairs, Jump("loss", 490, 495, 500, 4, 5))
    assert found.moved == ("l",)
    # 100 places between neighbours, 10 of them jumps; the transition itself is not counted
    assert found.base_rate == pytest.approx(9 / 99)
    assert found.lift == pytest.approx(11)


def test_a_steady_drift_and_rounding_are_no_movement():
    steps = np.arange(0, 1001, 10)
    flat = np.full(len(steps), 3.0)
    flat[50:] += 1e-8
    curves = pd.DataFrame({"drift": steps / 10.0, "flat": flat}, index=steps)
    found = coordination(curves, Jump("loss", 490, 495, 500, 1, 0))
    assert (found.moved, found.share, found.base_rate) == ((), 0, 0)
    assert math.isnan(found.lift)


def test_layers_without_values_there_are_named_and_not_counted():
    curves = layers(2, 1)
    curves["late"] = curves["l0"].where(curves.index > 800)
    found = coordination(curves, Jump("loss", 570, 600, 630, 1, 0))
    assert found.unknown == ("late",)
    assert found.share == pytest.approx(2 / 3)


def test_falls_at_critical_steps_stand_beside_falls_at_any():
    loss = [5, 4, 5, 4, 5, 3, 2, 1, 1, 1]  # judged 1..8; next < last at 3? 5 -> 5 no; see below
    # (before, after) at 1..8: 5-5, 4-4, 5-5, 4-3*, 5-2*, 3-1*, 2-1*, 1-1
    found = loss_falls({"loss": loss}, [4, 5, 8])
    assert found.share == pytest.approx(2 / 3)
    assert found.base_rate == 0.5
    assert found.lift == pytest.approx(4 / 3)
    assert found.p_value == pytest.approx(0.5)  # 3 of 8 drawn, 4 fall: P(2 or 3) = (6·4 + 4·1)/56
    assert found.steps == (4, 5, 8)


def test_steps_that_cannot_be_judged_are_left_out_and_named():
    found = loss_falls({"step": [0, 10, 20, 30], "loss": [4, 3, 2, 1]}, [0, 11, 30, 500, 12])
    assert found.steps == (12,)  # 11 and 12 are both taken at 10, and count once
    assert found.left_out == (0, 30, 500)
    nothing = loss_falls({"loss": [4, 3, 2]}, [])
    assert (nothing.steps, nothing.base_rate) == ((), 1)
    assert math.isnan(nothing.share)


def test_a_loss_that_stands_still_does_not_fall():
    assert loss_falls({"loss": [0.1] * 30}, range(30), window=3).base_rate == 0


def test_a_wider_window_sees_through_the_noise():
    rng = np.random.default_rng(0)
    loss = pd.Series(np.where(np.arange(400) < 200, 1.0, 0.5) + rng.normal(size=400) * 0.3)
    narrow, wide = (loss_falls(loss, [200], window=w) for w in (1, 20))
    assert wide.share == 1
    assert narrow.base_rate == pytest.approx(0.5, abs=0.1)


def test_random_steps_have_no_lift():
    rng = np.random.default_rng(1)
    loss = pd.Series(np.cumsum(rng.normal(size=2000) - 0.05))
    small = [loss_falls(loss, rng.choice(np.arange(1, 1999), 40, replace=False)).p_value < 0.05 for _ in range(200)]
    assert sum(small) <= binom.ppf(0.999, 200, 0.05)
    assert sum(small) >= 1


def test_one_curve_at_a_time():
    with pytest.raises(ValueError, match="not 2 curves and a window of 0"):
        loss_falls({"a": [1], "b": [1]}, [0], window=0)
