import numpy as np
import pytest

from tandv.analysis.transitions.pace import averages, differences, widths, windows


def test_differences_are_of_the_means_after_and_before():
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    # between 2 and 3: (8 + 16) / 2 - (2 + 4) / 2; at the ends the first and last value are repeated
    assert differences(values, np.array([2]))[0].tolist() == [3 - 1, 6 - 1.5, 12 - 3, 16 - 6]
    assert averages(values, np.array([2]))[0].tolist() == [2.0, 3.75, 7.5, 11.0]


def test_widths_are_a_factor_of_the_root_of_two_apart():
    assert widths(8).tolist() == [1]
    assert widths(100).tolist() == [1, 2, 4, 5, 8, 11, 16]


def test_the_pace_of_a_line_is_its_slope_however_the_steps_are_spaced():
    steps = np.cumsum(np.random.default_rng(0).integers(1, 50, 200)).astype(float)
    assert windows(steps, 3 * steps + 7).pace == pytest.approx(3.0)


@pytest.mark.parametrize("name", ["exponential", "power law", "two exponentials"])
def test_the_pace_of_a_decay_only_falls_at_every_width(name):
    steps = np.cumsum(np.random.default_rng(0).choice([1, 3, 60], 400)).astype(float)
    x = steps / steps[-1]
    decay = {
        "exponential": np.exp(-5 * x),
        "power law": (1 + 100 * x) ** -0.5,
        "two exponentials": np.exp(-3 * x) + np.exp(-60 * x),
    }[name]
    assert (np.diff(-windows(steps, decay).pace, axis=1) < 1e-12).all()


def test_white_noise_is_so_much_louder_at_the_ends():
    n, count = 60, 4000
    noise = np.random.default_rng(0).standard_normal((count, n))
    steps = np.arange(float(n))
    rise = np.array([windows(steps, row).rise for row in noise])
    bank = windows(steps, noise[0])
    assert rise.std(axis=0) == pytest.approx(np.sqrt(2 / bank.widths)[:, None] * bank.ends, rel=0.08)
