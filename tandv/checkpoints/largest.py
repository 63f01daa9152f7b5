"""The largest singular value alone, without a decomposition: Lanczos' method, with a bound on its error.

A random vector is multiplied by WᵀW again and again; the space of all products holds the direction that W stretches
most, the sooner the further its singular value stands out. That is the work of some dozen passes over the matrix,
where a decomposition is that of thousands.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

ERROR = 1e-6  # relative, of the singular value
_STEPS = 240  # after which a decomposition is not much more work
_SETTLED = 8  # steps after which the second eigenvalue is known well enough for the distance to it
_CACHED = 1 << 18  # values multiplied at a time: the second product of a part finds it in the processor's cache
_TURNED = 64  # rows turned at a time
_CONVERTED = 1 << 17  # values converted to float64 at a time
_SAFE = 1e12  # magnitudes whose squares float32 holds, sums included


class LeadingSpace(NamedTuple):
    """The space that Lanczos' method reached from one start, and approximate eigenvalues in it, ascending."""

    eigenvalues: np.ndarray  # [steps]
    residuals: np.ndarray  # [steps], the distance to an eigenvalue is no larger
    coordinates: np.ndarray  # [steps, steps], of each eigenvector in the basis, as columns
    basis: np.ndarray  # [steps, shorter side]


def norm_in(work: np.ndarray, space: LeadingSpace) -> float:
    """Return the largest singular value, as the norm in float64 of W·v with the leading vector v: never too large.

    >>> w = np.diag([3.0, 4.0])
    >>> norm_in(w, leading_space(w))
    4.0

    Args:
        work: the matrix, see `prepared`.
        space: its leading space.
    """
    vector = (space.coordinates[:, -1].astype(space.basis.dtype) @ space.basis).astype(np.float64)
    return _norm_of_image(work, vector / np.linalg.norm(vector))


def leading_space(work: np.ndarray, least: int = 1) -> LeadingSpace | None:
    """Return a space that holds the vector of the largest singular value, or None where that is not reached in time.

    The eigenvalues are those of the smaller Gram matrix. Of a symmetric matrix, an eigenvalue is no further from a
    Rayleigh quotient than the norm of the residual, nor than the square of that norm over the distance to the next
    eigenvalue (Parlett, The Symmetric Eigenvalue Problem, 1998, chapter 4 and theorem 11.7.1). That the eigenvalue is
    the largest, and which is the next one, follows from the random start alone, as always without a decomposition.

    >>> space = leading_space(np.diag([1.0, 5.0, 2.0]))
    >>> float(space.eigenvalues[-1].round(6))
    25.0

    Args:
        work: the matrix, see `prepared`.
        least: how many products there are at least: more vectors are known then.
    """
    size, dtype = min(work.shape), work.dtype
    most = min(_STEPS, size)
    basis = np.empty((most, size), dtype)
    vector = np.random.default_rng(0).standard_normal(size)
    vector = (vector / np.linalg.norm(vector)).astype(dtype)
    projected = np.zeros((most, most))  # the matrix in that basis, which is tridiagonal
    for step in range(most):
        basis[step] = vector
        known = basis[: step + 1]
        product = gram_times(work, vector)
        projected[step, step] = float(vector @ product)
        for _ in range(2):  # once leaves a part of the size of the rounding, times what was removed
            product = product - known.T @ (known @ product)
        length = float(np.linalg.norm(product))
        over = length <= ERROR * projected[0, 0] or step == most - 1  # nothing is left, or no time
        if over or (step + 1 >= least and (step % 4 == 3 or step < 3)):
            eigenvalues, coordinates = np.linalg.eigh(projected[: step + 1, : step + 1])
            residuals = length * np.abs(coordinates[-1])
            if _error(eigenvalues, residuals) <= ERROR * eigenvalues[-1]:
                return LeadingSpace(eigenvalues, residuals, coordinates, known)
        if step + 1 < most:
            projected[step, step + 1] = projected[step + 1, step] = length
            vector = (product / length).astype(dtype)
    return None


def _error(eigenvalues: np.ndarray, residuals: np.ndarray) -> float:
    """Return how far the largest eigenvalue is at most from the largest one that was found."""
    residual = float(residuals[-1])
    if len(eigenvalues) < _SETTLED:
        return residual
    apart = float(eigenvalues[-1] - eigenvalues[-2] - residuals[-2])
    return min(residual, residual**2 / apart) if apart > 0 else residual


def prepared(values: np.ndarray, unit: float, peak: float) -> np.ndarray:
    """Return a matrix as products are computed with it: longer side first, in float32 where that holds their squares.

    >>> prepared(np.ones((2, 3), np.float16), 1.0, 1.0).dtype, prepared(np.ones((2, 3)), 1.0, 1.0).shape
    (dtype('float32'), (3, 2))

    Args:
        values: the matrix.
        unit: what values are divided by.
        peak: the largest magnitude of a value.
    """
    single = values.dtype != np.float64 and 1 / _SAFE < peak < _SAFE
    dtype = np.float32 if single else np.float64
    if values.shape[0] >= values.shape[1]:
        work = np.asarray(values, dtype)
    else:  # rows of a tall matrix are read once for both products with the Gram matrix
        work = np.empty(values.shape[::-1], dtype)
        for at in range(0, len(values), _TURNED):
            work[:, at : at + _TURNED] = values[at : at + _TURNED].T
    return work if unit == 1 else work / unit


def gram_times(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Multiply a vector, or some columns, by the smaller Gram matrix.

    >>> gram_times(np.array([[1.0, 2.0]]), np.array([1.0]))
    array([5.])

    Args:
        values: the matrix.
        columns: [shorter side] or [shorter side, columns].
    """
    if values.shape[0] < values.shape[1]:
        return values @ (values.T @ columns)
    total = np.zeros_like(columns)
    each = columns.reshape(len(columns), -1).T  # one after the other: a product with a few columns is slower than these
    for part in _parts(values, _CACHED):  # each is read once for both products
        total += np.stack([(part @ one) @ part for one in each], 1).reshape(total.shape)
    return total


def squares_of_gram(work: np.ndarray) -> float:
    """Return the sum of the squares of the smaller Gram matrix: that of all σ⁴.

    >>> squares_of_gram(np.diag([1.0, 2.0]))
    17.0

    Args:
        work: the matrix, see `prepared`.
    """
    tall = work if work.shape[0] >= work.shape[1] else work.T
    gram = tall.T @ tall
    return math.fsum(float(row @ row) for part in _parts(gram, _CONVERTED) for row in part.astype(np.float64))


def _norm_of_image(values: np.ndarray, vector: np.ndarray) -> float:
    """Return ‖W·v‖ in float64, or ‖Wᵀ·v‖ if that is the shorter side of a matrix."""
    wide = values.shape[0] < values.shape[1]
    image: np.ndarray = np.zeros(values.shape[1])
    squares = 0.0
    at = 0
    for part in _parts(values, _CONVERTED):
        if wide:
            image += vector[at : at + len(part)] @ part.astype(np.float64)
            at += len(part)
        else:
            one = part.astype(np.float64) @ vector
            squares += float(one @ one)
    return math.sqrt(float(image @ image) if wide else squares)


def _parts(values: np.ndarray, most: int) -> Iterator[np.ndarray]:
    step = max(most // values.shape[1], 1)
    for at in range(0, len(values), step):
        yield values[at : at + step]
