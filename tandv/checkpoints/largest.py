"""The largest singular value alone, without a decomposition: Lanczos' method, with a bound on its error.

A random vector is multiplied by WᵀW again and again; the space of all products holds the direction that W stretches
most, the sooner the further its singular value stands out. That is the work of some dozen passes over the matrix,
where a decomposition is that of thousands.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

ERROR = 1e-6  # relative, of the singular value
_STEPS = 240  # after which a decomposition is not much more work
_CACHED = 1 << 18  # values multiplied at a time: the second product of a part finds it in the processor's cache
_CONVERTED = 1 << 17  # values converted to float64 at a time
_SAFE = 1e12  # magnitudes whose squares float32 holds, sums included

Apply = Callable[[np.ndarray], np.ndarray]


def largest_singular_value(values: np.ndarray, unit: float, peak: float) -> float | None:
    """Return the largest singular value to a relative error of 1e-6, or None where that is not reached in time.

    Of a symmetric matrix, an eigenvalue is no further from a Rayleigh quotient than the norm of the residual (Parlett,
    The Symmetric Eigenvalue Problem, 1998, chapter 4). That the eigenvalue is the largest follows from the random
    start alone, as always without a decomposition. The value returned is the float64 norm of W·v, so never too large.

    >>> largest_singular_value(np.diag([3.0, 4.0]), 1.0, 4.0)
    4.0

    Args:
        values: the matrix.
        unit: what values are divided by.
        peak: the largest magnitude of a value, which decides about the precision of the products.
    """
    single = values.dtype != np.float64 and 1 / _SAFE < peak < _SAFE
    work = np.asarray(values, np.float32 if single else np.float64)
    if unit != 1:
        work = work / unit
    vector = leading_vector(lambda v: _gram_times(work, v), min(values.shape), work.dtype)
    if vector is None:
        return None
    vector = vector.astype(np.float64)
    return _norm_of_image(work, vector / np.linalg.norm(vector)) * unit


def leading_vector(apply: Apply, size: int, dtype: np.dtype | type = np.float64) -> np.ndarray | None:
    """Return the vector of the largest eigenvalue of a positive semi-definite matrix, or None; see above.

    >>> vector = leading_vector(lambda v: np.array([1.0, 5.0, 2.0]) * v, 3)
    >>> np.abs(vector).round(6).tolist()
    [0.0, 1.0, 0.0]

    Args:
        apply: multiplies the matrix by a vector.
        size: the number of rows of the matrix.
        dtype: in which products are computed.
    """
    most = min(_STEPS, size)
    basis = np.empty((most, size), dtype)
    vector = np.random.default_rng(0).standard_normal(size)
    vector = (vector / np.linalg.norm(vector)).astype(dtype)
    projected = np.zeros((most, most))  # the matrix in that basis, which is tridiagonal
    for step in range(most):
        basis[step] = vector
        known = basis[: step + 1]
        product = apply(vector)
        projected[step, step] = float(vector @ product)
        for _ in range(2):  # once leaves a part of the size of the rounding, times what was removed
            product = product - known.T @ (known @ product)
        length = float(np.linalg.norm(product))
        if step % 4 == 3 or step < 3 or length <= ERROR * projected[0, 0] or step == most - 1:
            values, vectors = np.linalg.eigh(projected[: step + 1, : step + 1])
            if length * abs(vectors[-1, -1]) <= ERROR * values[-1]:  # the norm of the residual
                return vectors[:, -1].astype(dtype) @ known
        if step + 1 < most:
            projected[step, step + 1] = projected[step + 1, step] = length
            vector = (product / length).astype(dtype)
    return None


def _gram_times(values: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Multiply a vector by the smaller Gram matrix; of tall matrices part by part, so that each is read once."""
    if values.shape[0] < values.shape[1]:
        return values @ (vector @ values)
    total = np.zeros_like(vector)
    for part in _parts(values, _CACHED):
        total += (part @ vector) @ part
    return total


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
