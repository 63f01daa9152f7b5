"""Measure matrices: one pass for the moments, one Gram matrix for the singular values.

Everything accumulates in float64 from the stored values, in blocks, so that a matrix is never copied as a whole.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tandv.checkpoints.matrices import Kind, Piece

NAN = math.nan
_BLOCK = 1 << 17  # values converted at a time: 1 MiB as float64, which stays in a processor's cache
_GRAM_LIMIT = 1e-14  # ratio of eigenvalues below which a Gram matrix is too imprecise (a condition of 1e7, squared)

# glibc returns freed arrays of this size to the system at once, so that each new one costs page faults, until a larger
# array has been freed once: this saves a fifth of the time of small checkpoints.
np.empty(31 << 20, np.uint8)

Span = tuple[float, float]


class Thresholds(NamedTuple):
    """What counts as dead, as sparse and as zero, and how many bins the entropy has.

    >>> Thresholds(dead=1e-8).sparse
    0.001

    Args:
        dead: magnitude below which a weight is dead.
        sparse: magnitude below which a weight counts for `sparsity`.
        bins: the number of bins of the entropy.
        rank_eps: times σ₁ and the longer side, the singular value below which a direction does not count for the rank;
            by default the rounding of float32, or of float64 for weights stored so.
    """

    dead: float = 1e-6
    sparse: float = 1e-3
    bins: int = 100
    rank_eps: float | None = None


class Spectrum(NamedTuple):
    """Functions of the singular values σ of a matrix."""

    largest: float = NAN
    smallest: float = NAN
    rank: float = NAN
    effective_rank: float = NAN
    squares: float = NAN  # Σ(σ/σ₁)²
    fourth_powers: float = NAN  # Σ(σ/σ₁)⁴


class Moments(NamedTuple):
    """Number of values, extremes, mean, and Σ(w − mean)ᵏ; NaN unless all are finite."""

    size: int
    low: float = NAN
    high: float = NAN
    mean: float = NAN
    power2: float = NAN
    power3: float = NAN
    power4: float = NAN

    @property
    def is_finite(self) -> bool:
        return not math.isnan(self.mean)

    @property
    def squares(self) -> float:
        """Σw²."""
        return self.power2 + self.size * self.mean * self.mean

    @property
    def fourth_powers(self) -> float:
        """Σw⁴."""
        mean, square = self.mean, self.mean * self.mean
        return self.power4 + 4 * mean * self.power3 + 6 * square * self.power2 + self.size * square * square


class MatrixMeasurement(NamedTuple):
    """The measurement of a matrix or vector; everything is NaN unless all its values are finite."""

    name: str
    kind: Kind
    rows: int  # outputs
    columns: int  # inputs; a vector has all its values in one row
    moments: Moments
    magnitude: float = NAN  # Σ abs(w)
    largest_row: float = NAN  # the largest Σ abs(w) of a row
    dead: float = NAN  # how many abs(w) are below the threshold
    sparse: float = NAN
    dead_rows: float = NAN
    counts: np.ndarray | None = None  # values per bin; None if not counted, or not finite
    spectrum: Spectrum = Spectrum()

    @property
    def is_matrix(self) -> bool:
        return self.kind != "vector"

    @property
    def size(self) -> int:
        return self.moments.size


def measure(
    piece: Piece, thresholds: Thresholds, *, span: Span | None = None, spectra: bool = True, device: str = "cpu"
) -> MatrixMeasurement:
    """Measure a matrix or vector.

    Args:
        piece: the matrix or vector.
        thresholds: what counts as dead, sparse and zero.
        span: the range of the bins; without it no bins are counted.
        spectra: whether singular values are needed.
        device: where the Gram matrix is computed.
    """
    values = piece.values
    rows, columns = values.shape
    spectra = spectra and piece.kind != "vector"
    along = 0 if rows >= columns else 1
    gram: np.ndarray | None = None
    row_sums, row_tops = np.zeros(rows), np.zeros(rows)
    counts = None if span is None else np.zeros(thresholds.bins, np.int64)
    dead = sparse = 0
    whole: Moments | None = None
    for at, block in blocks(values, along):
        moments = _moments(block)
        if not moments.is_finite:
            return MatrixMeasurement(piece.name, piece.kind, rows, columns, Moments(values.size))
        whole = moments if whole is None else _join(whole, moments)
        if spectra and device == "cpu":
            products = block.T @ block if along == 0 else block @ block.T
            gram = products if gram is None else np.add(gram, products, out=gram)
        if counts is not None and span is not None:
            counts += _bin_counts(block, span, thresholds.bins)
        size = np.abs(block)  # not in place: a float64 block is a view of the weights
        mine = at if along == 0 else slice(None)
        row_sums[mine] += size @ np.ones(size.shape[1])
        below = int(np.count_nonzero(size < thresholds.dead))
        dead += below
        sparse += int(np.count_nonzero(size < thresholds.sparse))
        # without dead weights there are no dead rows
        row_tops[mine] = np.maximum(row_tops[mine], size.max(1)) if below else np.inf
    assert whole is not None  # `trained` leaves out empty tensors
    spectrum = Spectrum()
    if spectra:
        if gram is not None:
            eigenvalues = np.linalg.eigvalsh(gram)
        else:
            from tandv.checkpoints.on_device import eigenvalues_on

            eigenvalues = eigenvalues_on(device, values, along)
        del gram
        spectrum = _spectrum(eigenvalues, values, along, thresholds)
    return MatrixMeasurement(
        piece.name,
        piece.kind,
        rows,
        columns,
        whole,
        magnitude=float(row_sums.sum()),
        largest_row=float(row_sums.max()),
        dead=dead,
        sparse=sparse,
        dead_rows=int(np.count_nonzero(row_tops < thresholds.dead)),
        counts=counts,
        spectrum=spectrum,
    )


def pooled(parts: Sequence[MatrixMeasurement]) -> MatrixMeasurement:
    """Join measurements as if all their values had been measured together as one vector; exact."""
    size = sum(part.size for part in parts)
    if not parts or not all(part.moments.is_finite for part in parts):
        return MatrixMeasurement("", "vector", 1, size, Moments(size))
    moments = parts[0].moments
    for part in parts[1:]:
        moments = _join(moments, part.moments)
    counted = [part.counts for part in parts if part.counts is not None]
    return MatrixMeasurement(
        "",
        "vector",
        1,
        size,
        moments,
        magnitude=math.fsum(part.magnitude for part in parts),
        dead=sum(part.dead for part in parts),
        sparse=sum(part.sparse for part in parts),
        counts=np.sum(counted, axis=0) if len(counted) == len(parts) else None,
    )


def extent(array: np.ndarray) -> Span | None:
    """Return the smallest and largest value, or None if one is not finite."""
    if array.dtype.kind != "f":  # NumPy compares numbers of ml_dtypes one by one
        array = array.astype(np.float32)
    low, high = float(array.min()), float(array.max())
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def blocks(values: np.ndarray, along: int, most: int = _BLOCK) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield a matrix in float64 block by block along its longer side, each with its slice."""
    length, other = values.shape[along], values.shape[1 - along]
    # not too thin: each block updates the whole Gram matrix
    step = max(most // other, min(other, 512), 1)
    for start in range(0, length, step):
        at = slice(start, min(start + step, length))
        yield at, np.ascontiguousarray(values[at] if along == 0 else values[:, at], dtype=np.float64)


def _moments(block: np.ndarray) -> Moments:
    line = block.reshape(-1)
    size, low, high = line.size, float(line.min()), float(line.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        return Moments(size)
    if low == high:  # exact: a rounded mean would leave a variance
        return Moments(size, low, high, low, 0.0, 0.0, 0.0)
    mean = float(line.sum()) / size
    deviation = line - mean
    squares = deviation * deviation
    return Moments(size, low, high, mean, float(squares.sum()), float(squares @ deviation), float(squares @ squares))


def _join(a: Moments, b: Moments) -> Moments:
    """Join central moments: Pébay, Formulas for robust, one-pass parallel computation, 2008, equations 3.1."""
    size = a.size + b.size
    low, high = min(a.low, b.low), max(a.high, b.high)
    if low == high:
        return Moments(size, low, high, low, 0.0, 0.0, 0.0)
    delta = b.mean - a.mean
    part, both = delta / size, a.size * b.size
    return Moments(
        size,
        low,
        high,
        a.mean + part * b.size,
        a.power2 + b.power2 + delta * part * both,
        a.power3
        + b.power3
        + delta * part * part * both * (a.size - b.size)
        + 3 * part * (a.size * b.power2 - b.size * a.power2),
        a.power4
        + b.power4
        + delta * part * part * part * both * (a.size * a.size - both + b.size * b.size)
        + 6 * part * part * (a.size * a.size * b.power2 + b.size * b.size * a.power2)
        + 4 * part * (a.size * b.power3 - b.size * a.power3),
    )


def _bin_counts(block: np.ndarray, span: Span, bins: int) -> np.ndarray:
    low, high = span
    if not high > low:
        return np.bincount([0], [block.size], bins).astype(np.int64)
    bin_of = ((block.reshape(-1) - low) * (bins / (high - low))).astype(np.intp)
    np.minimum(bin_of, bins - 1, out=bin_of)  # the last bin holds its upper edge
    return np.bincount(bin_of, minlength=bins)


def _spectrum(eigenvalues: np.ndarray, values: np.ndarray, along: int, thresholds: Thresholds) -> Spectrum:
    top = float(eigenvalues[-1])
    if eigenvalues[0] > _GRAM_LIMIT * top and 1e-250 < top < 1e250:
        sigma = np.sqrt(eigenvalues)
    else:
        sigma = _singular_values(values, along)
    smallest, largest = float(sigma[0]), float(sigma[-1])
    if largest == 0:  # a zero matrix
        return Spectrum(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    eps = thresholds.rank_eps
    if eps is None:
        eps = float(np.finfo(np.float64 if values.dtype == np.float64 else np.float32).eps)
    relative = sigma / largest
    some = relative if smallest > 0 else relative[relative > 0]
    total = float(some.sum())
    squares = relative * relative
    return Spectrum(
        largest,
        smallest,
        float(np.count_nonzero(relative > max(values.shape) * eps)),
        total * math.exp(-float(some @ np.log(some)) / total),  # exp of −Σ p log p with p = σ/Σσ
        float(squares.sum()),
        float(squares @ squares),
    )


def _singular_values(values: np.ndarray, along: int) -> np.ndarray:
    """Return singular values, ascending, in full precision; of tall matrices from their triangular factor."""
    triangle: Any = None
    for _, block in blocks(values, along):
        tall = block if along == 0 else block.T
        if triangle is None and len(tall) == values.shape[along]:
            return np.linalg.svd(tall, compute_uv=False)[::-1]
        triangle = np.linalg.qr(tall if triangle is None else np.vstack([triangle, tall]), mode="r")
    return np.linalg.svd(triangle, compute_uv=False)[::-1]
