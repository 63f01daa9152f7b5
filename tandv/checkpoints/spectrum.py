"""Singular values of a matrix: all of them, only the largest, or only the sum of their fourth powers.

All come from the smaller of the two Gram matrices WᵀW and WWᵀ in float64; where that is too imprecise for the smallest
singular values, from the matrix itself.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tandv.checkpoints import tails
from tandv.checkpoints.estimates import NOTHING, Estimates

NAN = math.nan
_BLOCK = 1 << 17  # values converted at a time: 1 MiB as float64, which stays in a processor's cache
_GRAM_LIMIT = 1e-14  # ratio of eigenvalues below which a Gram matrix is too imprecise (a condition of 1e7, squared)


class Spectrum(NamedTuple):
    """Functions of the singular values σ of a matrix; NaN where they were not asked for."""

    largest: float = NAN
    smallest: float = NAN
    rank: float = NAN
    effective_rank: float = NAN
    fourth_powers: float = NAN  # Σ(σ/unit)⁴, in the unit of the matrix's moments
    alpha: float = NAN
    spikes: float = NAN
    estimates: Estimates = Estimates()
    published_rank: float = NAN  # exp(−Σ p log(p + 1e-10)), which differs from the effective rank by at most n·1e-10


def blocks(
    values: np.ndarray, along: int, most: int = _BLOCK, unit: float = 1.0, least: int = 512
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield a matrix in float64, divided by a unit, block by block along its longer side, each with its slice.

    >>> [block.shape for _, block in blocks(np.ones((5, 2)), 0, most=1)]
    [(2, 2), (2, 2), (1, 2)]

    Args:
        values: the matrix.
        along: the axis that is cut.
        most: how many values a block has at most.
        unit: what values are divided by.
        least: how many rows a block has at least, or as many as the matrix has columns: each block updates the whole
            Gram matrix.
    """
    length, other = values.shape[along], values.shape[1 - along]
    step = max(most // other, min(other, least), 1)
    for start in range(0, length, step):
        at = slice(start, min(start + step, length))
        block = np.ascontiguousarray(values[at] if along == 0 else values[:, at], dtype=np.float64)
        yield at, block if unit == 1 else block / unit


def spectrum_of(
    eigenvalues: np.ndarray, values: np.ndarray, along: int, unit: float, rank_eps: float | None
) -> Spectrum:
    """Return all functions of the singular values.

    Args:
        eigenvalues: those of the Gram matrix of `values / unit`, ascending.
        values: the matrix.
        along: its longer axis.
        unit: what it was divided by.
        rank_eps: see `Thresholds`.
    """
    top = float(eigenvalues[-1])
    if eigenvalues[0] > _GRAM_LIMIT * top and top > 0:
        sigma = np.sqrt(eigenvalues)
    else:
        sigma = _singular_values(values, along, unit)
    smallest, largest = float(sigma[0]), float(sigma[-1])
    if largest == 0:  # a zero matrix
        return Spectrum(0.0, 0.0, 0.0, 0.0, 0.0, NAN, 0.0, NOTHING, 0.0)
    relative = sigma / largest
    longer = max(values.shape)
    lowest = _rounding(values, longer, relative) if rank_eps is None else longer * rank_eps
    some = relative if smallest > 0 else relative[relative > 0]
    total = float(some.sum())
    p = some / total
    squares = sigma * sigma
    counted = relative > lowest
    effective_rank = total * math.exp(-float(some @ np.log(some)) / total)  # exp of −Σ p log p with p = σ/Σσ
    fourth_powers = float(squares @ squares)
    return Spectrum(
        largest * unit,
        smallest * unit,
        float(np.count_nonzero(counted)),
        effective_rank,
        fourth_powers,
        tails.power_law(squares[counted]),
        tails.spikes(np.where(counted, squares, 0), longer),
        Estimates(effective_rank, fourth_powers, 0.0),
        math.exp(-float(p @ np.log(p + 1e-10))),
    )


def _rounding(values: np.ndarray, longer: int, relative: np.ndarray) -> float:
    """Return the largest singular value, over σ₁, that rounding can have put where there was none.

    That is the rounding of the decomposition, in float64, or that of the weights when they were computed: rounding to
    float32 moves no singular value by more than eps · ‖W‖ (Weyl).
    """
    stored = np.finfo(np.float64 if values.dtype == np.float64 else np.float32).eps
    return max(longer * float(np.finfo(np.float64).eps), float(stored) * float(np.linalg.norm(relative)))


def _singular_values(values: np.ndarray, along: int, unit: float) -> np.ndarray:
    """Return singular values, ascending, in full precision; of tall matrices from their triangular factor."""
    triangle: Any = None
    for _, block in blocks(values, along, unit=unit):
        tall = block if along == 0 else block.T
        if triangle is None and len(tall) == values.shape[along]:
            return np.linalg.svd(tall, compute_uv=False)[::-1]
        triangle = np.linalg.qr(tall if triangle is None else np.vstack([triangle, tall]), mode="r")
    return np.linalg.svd(triangle, compute_uv=False)[::-1]
