"""Sums over all singular values without finding them: stochastic Lanczos quadrature, with its standard error.

The mean of zᵀf(WᵀW)z over vectors z of random signs is the sum of f over all eigenvalues, and Lanczos' method gives
each term as a Gaussian quadrature (Ubaru, Chen & Saad, Fast estimation of tr(f(A)) via stochastic Lanczos quadrature,
2017). The work is that of some dozen passes over the matrix.
"""

import math
from typing import NamedTuple

import numpy as np

from tandv.checkpoints.largest import LeadingSpace, gram_times

NAN = math.nan
VECTORS, STEPS = 4, 16  # random vectors, and products with each
KNOWN_BY = 48  # products by which leading vectors are known well enough
_ROUNDING = {"f": 1e-6, "d": 1e-14}  # of eigenvalues, beside the largest
_KNOWN = 1e-3  # relative residual of an eigenvalue that counts as known


class Estimates(NamedTuple):
    """The effective rank and Σσ⁴ of a matrix divided by its unit, and the larger relative standard error of the two."""

    effective_rank: float = NAN
    fourth_powers: float = NAN
    error: float = NAN


NOTHING = Estimates(0.0, 0.0, 0.0)  # of a matrix of zeros


def estimates(work: np.ndarray, space: LeadingSpace | None) -> Estimates:
    """Return estimates of sums over the singular values of a matrix.

    What the leading space knows is summed exactly; the random vectors are without it (Meyer et al., Hutch++, 2021). The
    error is the standard one over the random vectors, by the jackknife; beside it the quadrature overlooks a part of
    the singular values near zero.

    >>> found = estimates(np.diag(np.arange(1.0, 31)), None)
    >>> [round(x / y, 1) for x, y in zip(found[:2], (25.2, sum(i**4 for i in range(31))))]
    [1.0, 1.0]

    Args:
        work: the matrix, see `prepared`.
        space: the space of its leading vectors, from another start than the random vectors here.
    """
    size = min(work.shape)
    starts = np.random.default_rng(1).integers(0, 2, (VECTORS, size)) * 2.0 - 1
    known, directions = _known(space, size)
    starts -= (starts @ directions.T) @ directions
    top = float(known.max(initial=0.0))
    rules = zip(_rules(work, starts, directions, top), (starts**2).sum(1), strict=True)
    sums = np.array([share * (_terms(nodes) @ weights) for (nodes, weights), share in rules]) + _terms(known).sum(1)
    whole, without = _functions(sums.mean(0)), _functions((sums.sum(0) - sums) / (VECTORS - 1))
    variances = (VECTORS - 1) * ((without / whole[:, None] - 1) ** 2).mean(-1)
    return Estimates(float(whole[0]), float(whole[1]), float(np.sqrt(variances.max())))


def _functions(sums: np.ndarray) -> np.ndarray:
    """Return the effective rank and Σσ⁴ from sums, which are the last axis."""
    first, logs, fourth = np.moveaxis(sums, -1, 0)
    return np.stack([first * np.exp(-logs / first), fourth])


def _terms(eigenvalues: np.ndarray) -> np.ndarray:
    """Return σ, σ log σ and σ⁴ of each eigenvalue σ², [3, eigenvalues]."""
    sigma = np.sqrt(np.maximum(eigenvalues, 0))
    return np.stack([sigma, sigma * np.log(np.where(sigma > 0, sigma, 1)), sigma**4])


def _known(space: LeadingSpace | None, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues that are known, and their vectors, [known, size]."""
    if space is None:
        return np.empty(0), np.empty((0, size))
    known = space.residuals <= _KNOWN * space.eigenvalues
    return space.eigenvalues[known], space.coordinates[:, known].T @ space.basis


def _rules(
    work: np.ndarray, starts: np.ndarray, without: np.ndarray, top: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return nodes and weights of the quadrature for each start, all multiplied by the matrix together.

    `without` are directions that the starts do not have, [directions, size]; beside `top`, rounding counts as zero.
    """
    count, size = starts.shape
    most = min(STEPS, size)
    basis = np.zeros((count, most, size), work.dtype)
    without = without.astype(work.dtype)
    vectors = (starts / np.linalg.norm(starts, axis=1, keepdims=True)).astype(work.dtype)
    projected = np.zeros((count, most, most))
    for step in range(most):
        basis[:, step] = vectors
        products = gram_times(work, vectors.T).T
        projected[:, step, step] = np.einsum("ij,ij->i", vectors, products)
        products -= (products @ without.T) @ without  # else rounding brings them back
        for _ in range(2):
            inner = np.matmul(basis[:, : step + 1], products[:, :, None])
            products = products - np.matmul(inner.transpose(0, 2, 1), basis[:, : step + 1])[:, 0]
        lengths = np.linalg.norm(products.astype(np.float64), axis=1)
        if step + 1 < most:
            # a space that is exhausted ends its run: all later vectors are zero, and so are their nodes
            over = lengths <= 1e-6 * projected[:, 0, 0]
            lengths[over] = 0
            projected[:, step, step + 1] = projected[:, step + 1, step] = lengths
            vectors = (products / np.where(over, math.inf, lengths)[:, None]).astype(work.dtype)
    nodes, vectors = np.linalg.eigh(projected)
    nodes = np.where(nodes > _ROUNDING[work.dtype.char] * top, nodes, 0)
    return list(zip(nodes, vectors[:, 0] ** 2, strict=True))
