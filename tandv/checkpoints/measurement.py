"""Measure matrices: one pass for the moments, and of the singular values no more than is asked for.

Everything accumulates in float64 from the stored values, in blocks, so that a matrix is never copied as a whole.
"""

import math
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import numpy as np

from tandv.checkpoints.estimates import KNOWN_BY, NOTHING, Estimates, estimates
from tandv.checkpoints.largest import leading_space, norm_in, prepared, squares_of_gram
from tandv.checkpoints.matrices import Kind, Piece
from tandv.checkpoints.moments import NAN, Moments, join, moments_of, unit_of
from tandv.checkpoints.spectrum import Spectrum, blocks, spectrum_of

# Of the singular values: σ₁, Σσ⁴, estimates of sums over them, or all that is known of them.
Part = Literal["largest", "traces", "estimates", "all"]

_SMALL = 512  # shorter side up to which all singular values take no longer than the largest alone

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
            by default what rounding alone can put there: eps of float32 (of float64 for weights stored so) times ‖W‖.
    """

    dead: float = 1e-6
    sparse: float = 1e-3
    bins: int = 100
    rank_eps: float | None = None


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
    piece: Piece,
    thresholds: Thresholds,
    *,
    span: Span | None = None,
    singular: Collection[Part] = ("all",),
    device: str = "cpu",
) -> MatrixMeasurement:
    """Measure a matrix or vector.

    Args:
        piece: the matrix or vector.
        thresholds: what counts as dead, sparse and zero.
        span: the range of the bins; without it no bins are counted.
        singular: what has to be known of the singular values.
        device: where the Gram matrix is computed.
    """
    values = piece.values
    rows, columns = values.shape
    wanted = _least_work(singular if piece.kind != "vector" else (), min(rows, columns), device)
    needs_gram = "all" in wanted and device == "cpu"
    # a Gram matrix needs thick blocks of the longer side; without one, thin blocks of whole rows stay in the cache
    along = 0 if rows >= columns or (rows > 1 and not needs_gram) else 1
    unit = unit_of(values)
    dead_below, sparse_below = thresholds.dead / unit, thresholds.sparse / unit
    gram: np.ndarray | None = None
    row_sums, row_tops = np.zeros(rows), np.zeros(rows)
    counts = None if span is None else np.zeros(thresholds.bins, np.int64)
    dead = sparse = 0
    whole: Moments | None = None
    for at, block in blocks(values, along, unit=unit, least=512 if needs_gram else 1):
        moments = moments_of(block, unit)
        if not moments.is_finite:
            return MatrixMeasurement(piece.name, piece.kind, rows, columns, Moments(values.size))
        whole = moments if whole is None else join(whole, moments)
        if needs_gram:
            gram = _added(gram, block, along)
        if counts is not None and span is not None:
            counts += _bin_counts(block, (span[0] / unit, span[1] / unit), thresholds.bins)
        size = np.abs(block)  # not in place: a float64 block is a view of the weights
        mine = at if along == 0 else slice(None)
        row_sums[mine] += size @ np.ones(size.shape[1])
        below = int(np.count_nonzero(size < dead_below))
        dead += below
        sparse += int(np.count_nonzero(size < sparse_below))
        # without dead weights there are no dead rows
        row_tops[mine] = np.maximum(row_tops[mine], size.max(1)) if below else np.inf
    assert whole is not None  # `trained` leaves out empty tensors
    return MatrixMeasurement(
        piece.name,
        piece.kind,
        rows,
        columns,
        whole,
        magnitude=float(row_sums.sum()) * unit,
        largest_row=float(row_sums.max()) * unit,
        dead=dead,
        sparse=sparse,
        dead_rows=int(np.count_nonzero(row_tops < dead_below)),
        counts=counts,
        spectrum=_spectrum(values, whole, gram, wanted, thresholds, device) if wanted else Spectrum(),
    )


def _least_work(singular: Collection[Part], shorter: int, device: str) -> set[Part]:
    wanted = set(singular)
    if wanted and ("all" in wanted or shorter <= _SMALL or device != "cpu"):
        return {"all"}
    return wanted


def _spectrum(
    values: np.ndarray,
    moments: Moments,
    gram: np.ndarray | None,
    wanted: Collection[Part],
    thresholds: Thresholds,
    device: str,
) -> Spectrum:
    along = 0 if values.shape[0] >= values.shape[1] else 1
    if "all" not in wanted:
        found = _some_of(values, moments, wanted)
        if found is not None:
            return found
    if device != "cpu":
        from tandv.checkpoints.on_device import eigenvalues_on

        eigenvalues = eigenvalues_on(device, values, along, moments.unit)
    else:
        eigenvalues = np.linalg.eigvalsh(gram if gram is not None else _gram(values, along, moments.unit))
    return spectrum_of(eigenvalues, values, along, moments.unit, thresholds.rank_eps)


def _some_of(values: np.ndarray, moments: Moments, wanted: Collection[Part]) -> Spectrum | None:
    """Return what is wanted of the singular values without a decomposition, None if that is not possible."""
    peak = max(abs(moments.low), abs(moments.high))
    if peak == 0:
        return Spectrum(largest=0.0, fourth_powers=0.0, estimates=NOTHING)
    work = prepared(values, moments.unit, peak)
    traces = squares_of_gram(work) if "traces" in wanted else NAN
    if not {"largest", "estimates"} & set(wanted):
        return Spectrum(fourth_powers=traces)
    space = leading_space(work, KNOWN_BY if "estimates" in wanted else 1)
    if space is None:
        return None
    guessed = estimates(work, space) if "estimates" in wanted else Estimates()
    return Spectrum(largest=norm_in(work, space) * moments.unit, fourth_powers=traces, estimates=guessed)


def _gram(values: np.ndarray, along: int, unit: float) -> np.ndarray:
    gram = None
    for _, block in blocks(values, along, unit=unit):
        gram = _added(gram, block, along)
    assert gram is not None
    return gram


def _added(gram: np.ndarray | None, block: np.ndarray, along: int) -> np.ndarray:
    """Return a Gram matrix with that of another block added, in place if there is one."""
    products = block.T @ block if along == 0 else block @ block.T
    return products if gram is None else np.add(gram, products, out=gram)


def pooled(parts: Sequence[MatrixMeasurement]) -> MatrixMeasurement:
    """Join measurements as if all their values had been measured together as one vector; exact."""
    size = sum(part.size for part in parts)
    if not parts or not all(part.moments.is_finite for part in parts):
        return MatrixMeasurement("", "vector", 1, size, Moments(size))
    moments = parts[0].moments
    for part in parts[1:]:
        moments = join(moments, part.moments)
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


def _bin_counts(block: np.ndarray, span: Span, bins: int) -> np.ndarray:
    low, high = span
    if not high > low:
        return np.bincount([0], [block.size], bins).astype(np.int64)
    bin_of = ((block.reshape(-1) - low) * (bins / (high - low))).astype(np.intp)
    np.minimum(bin_of, bins - 1, out=bin_of)  # the last bin holds its upper edge
    return np.bincount(bin_of, minlength=bins)
