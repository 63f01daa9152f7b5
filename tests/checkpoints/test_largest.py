"""σ₁ alone, against a full decomposition."""

import numpy as np
import pytest

from tandv.checkpoints.largest import ERROR, largest_singular_value, leading_vector

RANDOM = np.random.default_rng(0)


def of_spectrum(sigma, rows, columns):
    left = np.linalg.qr(RANDOM.standard_normal((rows, len(sigma))))[0]
    right = np.linalg.qr(RANDOM.standard_normal((columns, len(sigma))))[0]
    return (left * sigma) @ right.T


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "sigma",
    [
        np.linspace(0.1, 1, 150),
        np.array([*np.linspace(0.1, 1, 150), 30.0]),  # one stands out
        np.array([*np.linspace(0.1, 1, 150), 2.0, 2.0, 2.0]),  # three do alike
        np.ones(160),
        np.geomspace(1, 1e-6, 160),
        np.array([5.0]),
    ],
    ids=["even", "one", "three", "orthogonal", "geometric", "rank 1"],
)
@pytest.mark.parametrize("shape", [(300, 160), (160, 300), (160, 160)])
def test_it_is_the_largest_of_all(sigma, shape, dtype):
    w = of_spectrum(sigma, *shape).astype(dtype)
    found = largest_singular_value(w, 1.0, float(np.abs(w).max()))
    assert found == pytest.approx(np.linalg.norm(w.astype(np.float64), 2), rel=ERROR)


def test_noise_whose_largest_are_close_together_is_found_from_below():
    w = RANDOM.standard_normal((700, 600)).astype(np.float32)
    truth, found = np.linalg.norm(w.astype(np.float64), 2), largest_singular_value(w, 1.0, 5.0)
    assert found == pytest.approx(truth, rel=ERROR)
    assert found <= truth * (1 + 1e-13)


def test_what_does_not_converge_is_none_and_never_a_guess():
    crowded = 1 - np.linspace(0, 1, 4000) ** 2  # the denser, the nearer to the largest
    assert leading_vector(lambda v: crowded * v, 4000) is None


@pytest.mark.parametrize("peak", [1e30, 1e-30])
def test_sizes_whose_squares_float32_does_not_hold_are_computed_in_float64(peak):
    w = (peak * RANDOM.standard_normal((60, 50))).astype(np.float32)
    assert largest_singular_value(w, 1.0, float(np.abs(w).max())) == pytest.approx(
        np.linalg.norm(w.astype(np.float64), 2), rel=ERROR
    )


def test_float64_of_extreme_size_is_divided_by_its_unit():
    w = 2.0**700 * np.diag([3.0, 1.0])
    assert largest_singular_value(w, 2.0**700, 3 * 2.0**700) == pytest.approx(3 * 2.0**700, rel=1e-12)
