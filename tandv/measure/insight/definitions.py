"""Changes of gradients and weights from step to step, by coordinate: what is kept, and what is counted.

A tensor fills blocks of 2,048 lanes, its last one padded with zeros. Kept of a step are bit planes (has the
gradient a sign, is it negative, is it zero at each threshold), a sketch of the gradient, which estimates the angle to
the next one, and gradient and weight of a sample of coordinates.

Here it is written for arrays of any library (NumPy, PyTorch, JAX) with a few primitives; `_numba` does the same in one
pass over the bytes.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

LANES = 2048  # of a block, and numbers of a sketch: the angle is exact up to this size, beyond within 1/√2048
SAMPLE = 1024  # coordinates whose gradient and weight are kept as they are

_OF_ALL = ("flips", "signed", "curved_up", "curved_down", "minima", "maxima")
_OF_ZEROS = ("zeros", "were_zeros", "retained", "signed_retained", "flips_retained")  # at each threshold


def counted_in_gradients(thresholds: int) -> tuple[str, ...]:
    """Return the names of the counts that gradients give, in their order."""
    return (*_OF_ALL, *(f"{name}/{k}" for k in range(thresholds) for name in _OF_ZEROS))


def summed_in_updates(thresholds: int) -> tuple[str, ...]:
    """Return the names of the numbers that updates give; besides them are counted `COUNTED_IN_UPDATES`."""
    return ("change", "weight", "moved", *(f"moved/{k}" for k in range(thresholds)))


COUNTED_IN_UPDATES = ("rounded_away", "epsilon_regime")


class Layout:
    """The blocks of tensors of given sizes, one after the other."""

    def __init__(self, sizes: Sequence[int]):
        self.sizes = np.array(sizes, np.int64)
        self.blocks = np.maximum(-(-self.sizes // LANES), 1)  # of each tensor
        self.first = np.cumsum(self.blocks) - self.blocks
        self.padding = self.blocks * LANES - self.sizes
        self.sampled = np.minimum(self.sizes, SAMPLE)

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def owner(self) -> np.ndarray:
        """The tensor of each block."""
        return np.repeat(np.arange(len(self)), self.blocks)

    @property
    def within(self) -> np.ndarray:
        """The place of each block in its tensor."""
        return np.arange(self.blocks.sum()) - self.first[self.owner]

    def places(self) -> np.ndarray:
        """Return [tensors, SAMPLE]: the lanes of all blocks that are sampled; a small tensor has all its own."""
        number = np.arange(SAMPLE, dtype=np.int64)
        low, high = (self.sizes[:, None] * edge // SAMPLE for edge in (number, number + 1))
        spread = low + (mixed(number) * (high - low) >> 32)
        return self.first[:, None] * LANES + np.where(self.sizes[:, None] > SAMPLE, spread, number)


def mixed(number: Any, word: Callable[[Any], Any] = lambda bits: bits & 0xFFFFFFFF) -> Any:
    """Return 32 bits that look random for each number, the same for a number everywhere (Mueller's hash).

    Numbers are int64, cut to 32 bits by `word`; numbers that have no more (uint32) need not be.
    """
    bits = word(number)
    for _ in range(2):
        bits = word(((bits >> 16) ^ bits) * 0x45D9F3B)
    return (bits >> 16) ^ bits


def sign_words(within: Any, numbers: Any, word: Any = None) -> Any:
    """Return 64 words for each block of a tensor; bit i of word j is set where the sign of lane 64 i + j is -1.

    `within` are the places of blocks in their tensor, `numbers` 0 to 63.
    """
    of = within[:, None] * 64 + numbers
    return mixed(of) if word is None else mixed(of, word)


def limit(threshold: float) -> np.float32:
    """Return the largest float32 that is not above a threshold: at most it, or at most the threshold, is the same."""
    nearest = np.float32(threshold)
    return np.nextafter(nearest, np.float32(0)) if float(nearest) > threshold else nearest


class Primitives(NamedTuple):
    """Operations that differ between array libraries."""

    xp: Any  # where, sqrt, amax, stack
    cast: Callable[[Any, str], Any]  # to a dtype by name
    total: Callable[[Any], Any]  # [blocks, ...] to [tensors, ...]: sums over the blocks of a tensor
    most: Callable[[Any], Any]  # likewise the largest
    each: Callable[[Any], Any]  # [tensors] to [blocks]: the value of a block's tensor
    signs: Callable[[], Any]  # [blocks, LANES] of +1 and -1, which only the place in the tensor decides: `sign_words`
    places: Any  # [tensors, SAMPLE]: lanes of all blocks


class Kept(NamedTuple):
    """What is kept of a step until the next."""

    planes: Any  # bytes [2 + thresholds, blocks, LANES // 8]: lane 256 i + j is bit i of byte j
    sketch: Any  # [tensors, LANES]
    gradients: Any  # [tensors, SAMPLE]
    weights: Any


def of_gradients(
    do: Primitives, x: Any, weights: Any, kept: Kept, limits: Sequence[float]
) -> tuple[Kept, list[Any], Any]:
    """Compare gradients [blocks, LANES], taken at `weights` [tensors, SAMPLE], with those that were kept.

    Returns what to keep, the counts of `counted_in_gradients` ([tensors] each), and the cosine to the gradient before.
    """
    xp = do.xp
    size = abs(x)
    has_sign, negative = _packed(do, size > 0), _packed(do, x < 0)
    zeros = [_packed(do, size <= limit) for limit in limits]
    before = kept.planes
    both = has_sign & before[0]
    flips = (negative ^ before[1]) & both

    def count(bits: Any) -> Any:
        return do.total(do.cast(_ones(bits), "int32").sum(-1))

    sketch = do.total(x * do.signs())
    gradients = x.reshape(-1)[do.places]
    there = kept.gradients
    changed, moved = gradients - there, weights - kept.weights
    up = ((changed > 0) & (moved > 0)) | ((changed < 0) & (moved < 0))
    down = ((changed > 0) & (moved < 0)) | ((changed < 0) & (moved > 0))
    turned = ((gradients > 0) & (there < 0)) | ((gradients < 0) & (there > 0))
    counts = [count(flips), count(both)]
    counts += [do.cast(found, "int32").sum(-1) for found in (up, down, up & turned, down & turned)]
    for k, zero in enumerate(zeros):
        retained = zero & before[2 + k]
        counts += [count(zero), count(before[2 + k]), count(retained)]
        counts += [count(retained & both), count(retained & flips)]
    one, other = (_unit(xp, vector) for vector in (sketch, kept.sketch))
    planes = xp.stack([has_sign, negative, *zeros])
    return Kept(planes, sketch, gradients, weights), counts, (one * other).sum(-1)


def of_updates(
    do: Primitives, before: Any, after: Any, planes: Any, asked: Any | None, squares: Any | None, limits: Any
) -> tuple[Any, Any, list[Any]]:
    """Measure what a step has done to weights [blocks, LANES], by the planes of its gradients.

    `asked` is the optimiser's momentum if it has one, `squares` Adam's mean of squares, to be compared with
    `limits` [tensors]. Returns counts of coordinates that stayed though an update was asked for, counts of those
    within `limits` (padding included), and `summed_in_updates`.
    """
    xp = do.xp
    change = after - before
    wanted = _unpacked(do, planes[0]) if asked is None else asked != 0
    rounded = do.total(do.cast((change == 0) & wanted, "int32").sum(-1))
    if squares is None:
        small = rounded * 0 - 1
    else:
        small = do.total(do.cast(squares <= do.each(limits)[:, None], "int32").sum(-1))
    scale = do.most(xp.amax(abs(change), -1))
    safe = xp.where(scale > 0, scale, xp.ones_like(scale))
    steps = abs(change) / do.each(safe)[:, None]
    numbers = [safe * xp.sqrt(do.total((steps * steps).sum(-1))), _norm(do, before), safe * do.total(steps.sum(-1))]
    for zero in planes[2:]:
        inside = xp.where(_unpacked(do, zero), steps, xp.zeros_like(steps))
        numbers.append(safe * do.total(inside.sum(-1)))
    return rounded, small, numbers


def unpacked(planes: np.ndarray) -> np.ndarray:
    """Return bit planes as bools [..., blocks, LANES], whether kept as bytes or as words of 32 bits."""
    width = planes.dtype.itemsize * 8
    bits = planes[..., None, :] >> np.arange(width, dtype=planes.dtype)[:, None]
    return (bits & 1).astype(bool).reshape(*planes.shape[:-1], LANES)


def _packed(do: Primitives, found: Any) -> Any:
    bits = do.cast(found, "uint8").reshape(found.shape[0], 8, -1)
    out = bits[:, 0]
    for i in range(1, 8):
        out = out | (bits[:, i] << i)
    return out


def _unpacked(do: Primitives, plane: Any) -> Any:
    bits = [(plane >> i) & 1 for i in range(8)]
    return do.xp.stack(bits, 1).reshape(plane.shape[0], -1) != 0


def _ones(bits: Any) -> Any:
    """Return how many bits of each byte are set."""
    bits = bits - ((bits >> 1) & 0x55)
    bits = (bits & 0x33) + ((bits >> 2) & 0x33)
    return (bits + (bits >> 4)) & 0x0F


def _norm(do: Primitives, values: Any) -> Any:
    xp = do.xp
    size = abs(values)
    scale = do.most(xp.amax(size, -1))
    safe = xp.where(scale > 0, scale, xp.ones_like(scale))
    shares = size / do.each(safe)[:, None]
    return safe * xp.sqrt(do.total((shares * shares).sum(-1)))


def _unit(xp: Any, vectors: Any) -> Any:
    """Return vectors of length 1; of a vector of zeros NaNs."""
    scale = xp.amax(abs(vectors), -1)[:, None]
    vectors = vectors / scale
    return vectors / xp.sqrt((vectors * vectors).sum(-1))[:, None]
