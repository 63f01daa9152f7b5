"""Gradients of the step before, packed in the memory of the host, and the kernel that compares them."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from tandv import measure
from tandv.measure.insight.definitions import COUNTED_IN_UPDATES, LANES, SAMPLE, Layout, counted_in_gradients, limit
from tandv.measure.insight.definitions import summed_in_updates as summed

KINDS = ("float32", "bfloat16", "float16")  # by their number in the kernel


class Memory(NamedTuple):
    """A contiguous array, and the object that owns its memory."""

    kind: int
    address: int
    size: int
    owner: Any


class Moving(NamedTuple):
    """A weight before and after a step, and its optimiser state; `limit` is for the mean of squares."""

    before: Memory
    after: Memory
    momentum: Memory | None
    squares: Memory | None
    limit: float


class Compared(NamedTuple):
    """Gradients of some tensors compared with those before; arrays may still be on a device."""

    tensors: list[int]
    known: Any  # [n] whether there was a gradient before
    paired: Any  # [n] whether the weights were known both times
    counts: Any  # [n, names]
    cosines: Any  # [n]


class HostKept:
    """What is kept of some tensors until the next step: 1/8 byte of each parameter for each plane."""

    def __init__(self, sizes: Sequence[int], thresholds: Sequence[float]):
        self.layout = Layout(sizes)
        self._limits = np.array([limit(one) for one in thresholds], np.float32).view(np.uint32)
        self.planes = np.zeros((2 + len(thresholds), int(self.layout.blocks.sum()), LANES // 32), np.uint32)
        self._sketches = np.zeros((len(sizes), LANES), np.float32)
        self._gradients = np.zeros((len(sizes), SAMPLE), np.float32)
        self._weights = np.zeros((len(sizes), SAMPLE), np.float32)
        self._known = np.zeros(len(sizes), bool)  # whether there was a gradient before
        self._sampled = np.zeros(len(sizes), bool)  # whether its weights were known, too

    def bits(self, tensor: int, plane: int, lanes: np.ndarray) -> np.ndarray:
        """Return some bits of a plane: 0 has a sign, 1 is negative, 2 is zero at the first threshold, and so on."""
        block, lane = lanes // LANES + self.layout.first[tensor], lanes % LANES
        words = self.planes[plane, block, lane % (LANES // 32)]
        return (words >> (lane // (LANES // 32)).astype(np.uint32)) & 1

    @property
    def nbytes(self) -> int:
        """Bytes that are kept from step to step."""
        return sum(kept.nbytes for kept in (self.planes, self._sketches, self._gradients, self._weights))

    def compare(
        self, tensors: Sequence[int], gradients: Sequence[Memory], weights: Sequence[Memory | None], threads: int = 1
    ) -> Compared:
        """Compare gradients with those before, which they replace; some weights may not be known."""
        jobs = np.array(
            [
                (g.address, g.kind, g.size, w.address if w else 0, w.kind if w else 0, t, self.layout.first[t])
                for t, g, w in zip(tensors, gradients, weights, strict=True)
            ],
            np.int64,
        )
        counts = np.zeros((len(jobs), len(counted_in_gradients(len(self._limits)))), np.int64)
        cosines = np.zeros(len(jobs))
        compiled, _ = _compiled()
        kept = self.planes, self._sketches, self._gradients, self._weights

        def some(mine: slice) -> None:
            compiled(jobs[mine], self._limits, *kept, counts[mine], cosines[mine])

        _in_threads(some, jobs[:, 2], threads)
        of, sampled = np.array(tensors), np.array([w is not None for w in weights])
        known, paired = self._known[of], self._sampled[of] & sampled
        self._known[of], self._sampled[of] = True, sampled
        return Compared(list(tensors), known, paired, counts, cosines)

    def moved(
        self, tensors: Sequence[int], moving: Sequence[Moving], threads: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return counts (`COUNTED_IN_UPDATES`) and sums (`summed_in_updates`) of the updates of weights."""
        none = Memory(0, 0, 0, None)
        jobs = np.array(
            [
                [
                    *(
                        number
                        for one in (m.before, m.after, m.momentum or none, m.squares or none)
                        for number in one[1::-1]
                    ),
                    *(m.before.size, self.layout.first[t]),
                ]
                for t, m in zip(tensors, moving, strict=True)
            ],
            np.int64,
        )
        limits = np.array([limit(m.limit) for m in moving], np.float32).view(np.uint32)
        counts = np.zeros((len(jobs), len(COUNTED_IN_UPDATES)), np.int64)
        sums = np.zeros((len(jobs), len(summed(len(self._limits)))))
        _, compiled = _compiled()

        def some(mine: slice) -> None:
            compiled(jobs[mine], limits[mine], self.planes, counts[mine], sums[mine])

        _in_threads(some, jobs[:, 8], threads)
        return counts, sums


def available() -> bool:
    """Tell whether numba is installed; if not, array operations are used."""
    try:
        _compiled()
    except ImportError:
        return False
    return True


def _compiled() -> tuple[Any, Any]:
    """Return the programs for gradients and for updates."""
    from tandv.measure.insight import _gradients, _updates

    return _gradients.of_gradients, _updates.of_updates


def _in_threads(some: Callable[[slice], None], sizes: np.ndarray, threads: int) -> None:
    """Run all jobs, on several cores in ranges of about equal work."""
    if threads < 2 or sizes.sum() < 1 << 20:
        some(slice(None))
        return
    ends = np.searchsorted(np.cumsum(sizes), np.linspace(0, sizes.sum(), threads + 1)[1:])
    edges = [0, *(np.minimum(ends[:-1] + 1, len(sizes))).tolist(), len(sizes)]
    runs = [slice(a, b) for a, b in pairwise(edges) if b > a]
    waiting = [measure.pool(threads).submit(some, run) for run in runs[1:]]
    some(runs[0])
    for done in waiting:
        done.result()
