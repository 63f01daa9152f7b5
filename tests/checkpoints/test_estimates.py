"""Estimates of sums over singular values, against a decomposition and against the error that they state."""

import math

import numpy as np
import pytest

from tandv.checkpoints.estimates import KNOWN_BY, VECTORS, estimates
from tandv.checkpoints.largest import leading_space, prepared

RANDOM = np.random.default_rng(0)
N = 400


def orthonormal(columns: int) -> np.ndarray:
    return np.linalg.qr(RANDOM.standard_normal((N, columns)))[0]


MATRICES = {
    "noise": RANDOM.standard_normal((N, N)),
    "wide noise": RANDOM.standard_normal((N, 3 * N)),
    "tall noise": RANDOM.standard_normal((3 * N, N)),
    "power law": (orthonormal(N) * np.arange(1, N + 1) ** -0.7) @ orthonormal(N).T,
    "low rank": RANDOM.standard_normal((N, 20)) @ RANDOM.standard_normal((20, N)),
    "orthogonal": orthonormal(N),
    "spikes": RANDOM.standard_normal((N, N)) + 300 * orthonormal(5) @ orthonormal(5).T,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MATRICES)
def test_they_are_as_near_as_their_error_says(name, dtype):
    w = MATRICES[name].astype(dtype)
    sigma = np.linalg.svd(w.astype(np.float64), compute_uv=False)
    p = sigma[sigma > 1e-6 * sigma[0]] / sigma.sum()
    work = prepared(w, 1.0, float(np.abs(w).max()))
    found = estimates(work, leading_space(work, KNOWN_BY))
    allowed = 4 * found.error + 0.01
    assert found.effective_rank == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=allowed)
    assert found.fourth_powers == pytest.approx((sigma**4).sum(), rel=allowed)
    assert found.error < 0.12  # of 400 singular values and four vectors
    if name in ("low rank", "orthogonal"):  # nothing is left to chance
        assert found.error < 2e-3


def test_the_stated_error_is_that_of_other_random_vectors(monkeypatch):
    made, found = np.random.default_rng, []
    for seed in range(40):
        monkeypatch.setattr(np.random, "default_rng", lambda _, seed=seed: made(seed))
        found.append(estimates(MATRICES["noise"], None))
    spread = np.std([one.fourth_powers for one in found]) / np.mean([one.fourth_powers for one in found])
    stated = math.sqrt(np.mean([one.error**2 for one in found]))
    assert stated == pytest.approx(spread, rel=0.35)
    assert VECTORS == 4


def test_without_a_leading_space_they_are_estimates_all_the_same():
    w = np.diag(np.arange(1.0, 51))
    p = np.arange(1, 51) / np.arange(1, 51).sum()
    found = estimates(w, None)
    assert found.effective_rank == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=4 * found.error + 0.01)


def test_what_lacks_one_direction_has_the_same_estimates():
    # which is why there are none of rank and condition
    lacking = np.array([*np.linspace(1, 10, N - 1), 0])
    found = []
    for sigma in (lacking, lacking + (lacking == 0) * 1e-3):
        work = prepared(np.diag(sigma), 1.0, 10.0)
        found.append(estimates(work, leading_space(work, KNOWN_BY)))
    assert found[0].effective_rank == pytest.approx(found[1].effective_rank, rel=1e-3)
