import numpy as np
import pytest

from tandv.analysis.transitions.memory import inflation


def test_neighbours_that_are_alike_make_means_less_certain():
    # each piece, less its mean, is -1/2 -1/2 1/2 1/2: neighbours have 1/4 of the squares; two means of eight values
    # took 1/4 of it, 0.1 may be chance: correlation 0.4
    pieces = np.array([0.0, 0, 1, 1, 5, 5, 6, 6])
    assert inflation(pieces, 3, 4) == pytest.approx(np.sqrt(1.4 / 0.6))


def test_white_noise_and_trends_that_are_exact_are_not_inflated():
    noise = np.random.default_rng(0).standard_normal(60)
    assert inflation(noise, 29, 30) == pytest.approx(1.0, abs=0.15)
    assert inflation(np.repeat([1.0, 3.0], 20), 19, 20) == 1.0
    assert inflation(np.array([1.0, 2, 3]), 0, 1) == 1.0  # pieces of fewer than 4 values tell nothing
