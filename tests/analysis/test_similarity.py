"""Likeness against formulas written out and against scipy."""

import itertools
import math

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from tandv.analysis.similarity import chance_cka, cka_curves, linear_cka, svcca


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def rotation(n: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(draw(n, n, seed=seed))[0]


def mixed(n: int, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two representations that share some of what they say."""
    x, y = draw(n, p), draw(n, q, seed=1)
    y[:, : min(p, q)] += x[:, : min(p, q)]
    return x, y


@pytest.mark.parametrize(("n", "p", "q"), [(30, 4, 7), (8, 20, 5), (10, 40, 30)])
def test_cka_is_the_normalised_hsic_of_gram_matrices(n, p, q):
    x, y = mixed(n, p, q)
    h = np.eye(n) - 1 / n
    k, m = x @ x.T, y @ y.T
    expected = np.trace(k @ h @ m @ h) / math.sqrt(np.trace(k @ h @ k @ h) * np.trace(m @ h @ m @ h))
    assert linear_cka(x, y) == pytest.approx(expected)


def test_debiased_cka_is_the_u_statistic_over_all_quadruples():
    x, y = mixed(6, 3, 4)

    def hsic(k, m):
        terms = [k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q]) for i, j, q, r in itertools.permutations(range(6), 4)]
        return np.mean(terms)

    k, m = x @ x.T, y @ y.T
    assert linear_cka(x, y, debiased=True) == pytest.approx(hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m)))
    with pytest.raises(ValueError, match="at least four samples, not 3"):
        linear_cka(x[:3], y[:3], debiased=True)


def test_cka_does_not_see_rotation_scale_and_shift():
    x = draw(20, 5)
    assert linear_cka(x, 7 * x @ rotation(5) + 3) == pytest.approx(1)
    assert linear_cka(x.reshape(20, 5, 1), x) == pytest.approx(1)
    assert linear_cka(x, x * [9, 1, 1, 1, 1]) < 0.9


@pytest.mark.parametrize("power", [-1040, -300, 300, 1020])  # squares or fourth powers leave the range of float64
def test_huge_and_tiny_values_are_as_alike_as_others(power):
    x, y = (np.round(4 * array) for array in mixed(10, 3, 4))  # whole numbers: no bit is lost when they are scaled
    far = np.ldexp(x, power)
    assert linear_cka(far, y) == linear_cka(x, y)
    assert linear_cka(far, far, debiased=True) == pytest.approx(1)
    assert chance_cka(far, y) == chance_cka(x, y)
    assert svcca(far, y).mean == pytest.approx(svcca(x, y).mean)


def test_independent_representations_have_their_chance_level():
    x, y = draw(12, 30), draw(12, 30, seed=1)
    rng = np.random.default_rng(2)
    shuffled = [linear_cka(x, rng.permutation(y)) for _ in range(2000)]
    assert chance_cka(x, y) == pytest.approx(np.mean(shuffled), abs=0.005)
    assert chance_cka(x, y) > 0.5  # few samples, many features: alike by chance
    assert abs(np.mean([linear_cka(draw(12, 30, seed=s), y, debiased=True) for s in range(2, 202)])) < 0.02


def test_a_constant_representation_is_like_nothing():
    assert math.isnan(linear_cka(np.full((5, 2), 0.1), draw(5, 2)))
    assert math.isnan(chance_cka(np.full((5, 2), 0.1), draw(5, 2)))
    assert math.isnan(svcca(np.full((5, 2), 0.1), draw(5, 2)).mean)


def test_samples_must_be_the_same():
    with pytest.raises(ValueError, match="hold 5 and 6 samples; give both the same inputs"):
        linear_cka(draw(5, 2), draw(6, 2))
    with pytest.raises(ValueError, match=r"shape \(1, 4\); give \[sample, feature\]"):
        linear_cka(draw(1, 4), draw(1, 4))


def test_svcca_is_the_mean_cosine_of_the_principal_angles():
    x, y = mixed(50, 4, 6)
    expected = np.cos(subspace_angles(x - x.mean(0), y - y.mean(0)))
    found = svcca(x, y, variance=1)
    assert found.mean == pytest.approx(expected.mean())
    assert found.directions == (4, 6)


def test_svcca_keeps_the_directions_that_hold_the_variance():
    x = draw(40, 3)
    x -= x.mean(0)
    x = np.linalg.qr(x)[0] * np.sqrt([90, 9, 1])  # shares 0.9, 0.09, 0.01
    assert [svcca(x, x, variance=v).directions[0] for v in (0.5, 0.9, 0.91, 0.99, 1)] == [1, 1, 2, 2, 3]
    twice = np.c_[x, x]  # rank 3, however wide
    assert svcca(twice, x, variance=1).directions == (3, 3)
    with pytest.raises(ValueError, match="allowed is a share above 0 and at most 1"):
        svcca(x, x, variance=99)


@pytest.mark.parametrize(("n", "p", "q"), [(41, 1, 1), (41, 1, 12), (60, 2, 3), (101, 20, 30), (101, 60, 70)])
def test_the_chance_level_of_svcca_is_that_of_independent_draws(n, p, q):
    means = [svcca(draw(n, p, seed=2 * s), draw(n, q, seed=2 * s + 1), variance=1).mean for s in range(60)]
    chance = svcca(draw(n, p), draw(n, q, seed=1), variance=1).chance
    assert chance == pytest.approx(np.mean(means), abs=3 * np.std(means) / math.sqrt(60) + 0.015)


def test_svcca_says_nothing_when_directions_fill_the_samples():
    found = svcca(draw(10, 20), draw(10, 20, seed=1), variance=1)
    assert found.mean == pytest.approx(1)
    assert found.chance == 1


def test_cka_over_training_looks_back_one_and_to_the_end():
    a, b, c = draw(20, 3), draw(20, 3, seed=1), draw(20, 3, seed=2)
    curves = cka_curves({20: {"fc": c, "out": a}, 0: {"fc": a}, 10: {"fc": b, "out": a}})
    assert curves.index.tolist() == [0, 10, 20]
    np.testing.assert_allclose(curves["fc/cka_to_previous"], [np.nan, linear_cka(a, b), linear_cka(b, c)])
    np.testing.assert_allclose(curves["fc/cka_to_final"], [linear_cka(a, c), linear_cka(b, c), 1])
    np.testing.assert_allclose(curves["out/cka_to_previous"], [np.nan, np.nan, 1])
    np.testing.assert_allclose(curves["out/cka_to_final"], [np.nan, 1, 1])
