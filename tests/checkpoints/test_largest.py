"""σ₁ alone, against a full decomposition."""

import numpy as np
import pytest

from tandv.checkpoints.largest import ERROR, leading_space, norm_in, prepared

RANDOM = np.random.default_rng(0)


def largest(w: np.ndarray, unit: float = 1.0) -> float | None:
    work = prepared(w, unit, float(np.abs(w).max()))
    space = leading_space(work)
    return None if space is None else unit * norm_in(work, space)


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
    assert largest(w) == pytest.approx(np.linalg.norm(w.astype(np.float64), 2), rel=ERROR)


def test_noise_whose_largest_are_close_together_is_found_from_below():
    w = RANDOM.standard_normal((700, 600)).astype(np.float32)
    truth, found = np.linalg.norm(w.astype(np.float64), 2), largest(w)
    assert found == pytest.approx(truth, rel=ERROR)
    assert found <= truth * (1 + 1e-13)


def test_what_does_not_converge_is_none_and_never_a_guess(monkeypatch):
    monkeypatch.setattr("tandv.checkpoints.largest._STEPS", 60)
    crowded = np.diag(1 - np.linspace(0, 1, 2000) ** 2)  # the denser, the nearer to the largest
    assert leading_space(crowded) is None


def test_more_vectors_are_known_after_more_products():
    w = np.diag(np.arange(1.0, 301))
    few, many = leading_space(w), leading_space(w, least=100)
    known = [int((space.residuals < 1e-6 * space.eigenvalues).sum()) for space in (few, many)]
    assert known[0] < known[1]
    assert many.eigenvalues[::-1][: known[1]] == pytest.approx(np.arange(300, 300 - known[1], -1.0) ** 2, rel=1e-9)


@pytest.mark.parametrize("peak", [1e30, 1e-30])
def test_sizes_whose_squares_float32_does_not_hold_are_computed_in_float64(peak):
    w = (peak * RANDOM.standard_normal((60, 50))).astype(np.float32)
    assert largest(w) == pytest.approx(np.linalg.norm(w.astype(np.float64), 2), rel=ERROR)


def test_float64_of_extreme_size_is_divided_by_its_unit():
    w = 2.0**700 * np.diag([3.0, 1.0])
    assert largest(w, 2.0**700) == pytest.approx(3 * 2.0**700, rel=1e-12)
