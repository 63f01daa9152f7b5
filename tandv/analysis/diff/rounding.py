"""How far two runs of the same computation may be apart by rounding alone.

Sums are taken in another order by other numbers of threads, other frameworks, compiled graphs and other hardware, so
the same computation rarely gives the same bits. The floors are about eight times the largest gap that this gave: 1
against 2 threads, PyTorch against flax, eager against compiled, on a small GPT and a convolutional network in float32.
"""

from collections.abc import Mapping

import numpy as np

from tandv.analysis.diff.aligned import LARGEST, SIZES, Aligned
from tandv.log.store.layers import Tensor
from tandv.tensor_types import (
    ACTIVATION,
    GRADIENT,
    INPUT,
    OPTIMISER_STATE,
    WEIGHT,
    WEIGHT_GRADIENT,
    WEIGHT_UPDATE,
)

# Of the first step, as a share of the tensor's size. Of an input nothing is rounded.
FLOORS = {
    INPUT: 5e-7, WEIGHT: 5e-7, ACTIVATION: 4e-6, GRADIENT: 4e-6, WEIGHT_GRADIENT: 1e-5, OPTIMISER_STATE: 3e-5,
    WEIGHT_UPDATE: 1e-4,
}  # fmt: skip
LATER = 2e-5  # at least, from the second step on, since rounding comes back through the weights; times the step
_FEW, _NEAR = 3, 30  # values that rounding moves to or from zero: 3, and 30 times the floor of all
_ZERO = 1e-5  # the gradient of a bias beside that of its layer's output, below which it is rounding of zero


def floors(both: Aligned, epsilons: Mapping[Tensor, float], first: int = 0) -> np.ndarray:
    """Return the share of its size by which rounding may move a tensor, [tensors, steps].

    It grows with the steps since rounding can have begun, recorded or not: each starts from what the one before has
    left. While the runs were equal to the last bit there was nothing to grow from.

    Args:
        both: two logs beside each other.
        epsilons: of each tensor the distance from 1 to the next number in the finer of its two formats.
        first: the position of the first step at which any bit differs.
    """
    kinds = [kind.partition(".")[0] for kind, _ in both.tensors]
    base = np.array([FLOORS.get(kind, max(FLOORS.values())) for kind in kinds])
    coarse = np.array([epsilons.get(one, 0.0) for one in both.tensors])
    base = np.maximum(base, np.where(coarse > 2.0**-23, coarse / 2, 0.0))
    begun = both.steps[first - 1] + 1 if first else both.steps[0]
    since = np.fmax(both.steps - begun, 0).astype(float)
    return np.maximum(base[:, None], np.where(since > 0, LATER, 0.0)[None]) * (1 + since)[None]


def gaps(both: Aligned) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the largest gap of each tensor at each step, and of which statistic it is.

    Mean, spread, mean magnitude and root mean square are taken as a share of the root mean square; the largest
    magnitude and the means of higher powers as a share of themselves. Where one run has other counts of values, NaN or
    infinity the gap is infinite.

    Returns the gaps and the numbers of the statistics, [tensors, steps] each, and the names of the statistics.
    """
    a, b = both.a, both.b
    names = [name for name in (*SIZES, *LARGEST, "nans", "infs", "numel") if name in a]
    size = np.fmax(a["rm2"], b["rm2"])
    worst = np.zeros(size.shape)
    which = np.full(size.shape, names.index("rm2"))
    for number, name in enumerate(names):
        with np.errstate(divide="ignore", invalid="ignore"):
            if name in ("nans", "infs", "numel"):
                gap = np.where(np.nan_to_num(a[name]) != np.nan_to_num(b[name]), np.inf, 0.0)
            else:
                scale = size if name in SIZES else np.fmax(np.abs(a[name]), np.abs(b[name]))
                gap = np.abs(a[name] - b[name]) / scale
                unknown = np.isnan(a[name]).astype(int) + np.isnan(b[name])
                gap = np.where((a[name] == b[name]) | (unknown == 2), 0.0, np.where(unknown == 1, np.inf, gap))
        higher = gap > worst
        worst, which = np.where(higher, gap, worst), np.where(higher, number, which)
    return np.where(both.logged, worst, np.nan), which, names


def zeros_moved(both: Aligned, floor: np.ndarray) -> np.ndarray:
    """Return by how many times what rounding may move the numbers of zeros of weights differ, [tensors, steps].

    Of other tensors they decide nothing: values that are mathematically zero, such as the gradient of a query that
    attends to one position only, are zero or rounding noise by chance.
    """
    out = np.zeros(floor.shape)
    of = np.array([kind == WEIGHT for kind, _ in both.tensors], bool)
    if {"zeros", "numel"} <= both.a.keys() and of.any():
        a, b = ({name: side[name][of] for name in ("zeros", "numel")} for side in (both.a, both.b))
        numel = np.fmin(a["numel"], b["numel"])
        share = np.abs(a["zeros"] / a["numel"] - b["zeros"] / b["numel"])
        out[of] = np.nan_to_num(share * numel / (_FEW + _NEAR * floor[of] * numel))
    return np.where(both.logged, out, np.nan)


def rounding_of_zero(both: Aligned) -> list[Tensor]:
    """Return the biases whose gradient is mathematically zero, so that what they have is rounding noise of any size.

    The bias of a key before softmax, and one before a norm, change nothing. Adam makes whole updates of such noise.
    """
    at = {one: i for i, one in enumerate(both.tensors)}
    out = []
    for (kind, name), i in at.items():
        module, _, parameter = name.rpartition(".")
        j = at.get((GRADIENT, module))
        if kind != WEIGHT_GRADIENT or parameter != "bias" or j is None:
            continue
        if not {"mean_abs", "numel"} <= both.a.keys():
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            small = [
                of["rm2"][i] < _ZERO * of["mean_abs"][j] * of["numel"][j] / of["numel"][i]
                for of in (both.a, both.b)
            ]  # fmt: skip
        if (small[0] & small[1])[both.logged[i] & both.logged[j]].any():
            out.append((kind, name))
    return out
