"""How a curve was recorded: where it is not finite at its end, values that were only held, and very many of them."""

import warnings

import numpy as np
import pandas as pd

from tandv.analysis.transitions.transition import MOST

_EVALUATIONS = 12  # changes that a curve of held values has
_NEW = 0.9  # of them that bring a value that was not there before, if they are irregular
_LONGEST = 15  # times the usual time, for which one is held
_DENSE = 0.9  # share of the rows at which a curve is known for NaNs at its end to be values that it took


def broken_end(name: str, curve: pd.Series) -> tuple[float | None, float, tuple[int, int]]:
    """Return the step after the last finite value at which a curve is not finite, what it is there, and how many
    values are not finite there and before.

    NaNs count for a curve that was known at nearly every step before; for another they are steps at which it was not
    recorded. Infinities before are left out, and a warning says so.
    """
    order = np.argsort(curve.index.to_numpy(np.float64), kind="stable")
    index, values = curve.index.to_numpy(np.float64)[order], curve.to_numpy(np.float64)[order]
    finite = np.flatnonzero(np.isfinite(values))
    end = int(finite[-1]) + 1 if len(finite) else len(values)
    if infinite := int(np.isinf(values[:end]).sum()):
        warnings.warn(
            f"{name}: {infinite} of {len(values)} values are infinite, the first at step "
            f"{index[np.isinf(values)][0]:g}; they are left out",
            UserWarning,
            stacklevel=2,
        )
    tail = values[end:]
    endless = tail[np.isinf(tail)]
    missing = len(tail), end - len(finite) - (int(finite[0]) if len(finite) else 0)
    if not len(tail) or (not len(endless) and len(finite) < _DENSE * (end - finite[0])):
        return None, np.nan, missing
    return float(index[end]), float(endless[0]) if len(endless) else np.nan, missing


def without_held(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve without the values that were only held until the next evaluation.

    Evaluations are regular, or hardly any value comes back: shares of few examples and rounded values do, and a curve
    that stands still at last is held for once.
    """
    changes = np.flatnonzero(np.diff(values)) + 1
    if len(changes) < _EVALUATIONS:
        return steps, values
    held = np.diff(changes, prepend=0, append=len(values))
    period = int(np.gcd.reduce(held[1:-1]))
    if period < 2 or len(changes) < 0.5 * (len(values) // period):
        often = np.median(held) >= 2 and held.max() <= _LONGEST * np.median(held)
        if not often or len(np.unique(values)) < _NEW * len(changes):
            return steps, values
        at = np.append(0, changes)
        return steps[at], values[at]
    first = int(changes[0]) % period
    at = np.arange(first, len(values), period)
    at = at if first == 0 else np.append(0, at)
    return steps[at], values[at]


def averaged_down(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    each = -(-len(values) // MOST)
    if each == 1:
        return steps, values
    starts = np.arange(0, len(values), each)
    count = np.diff(np.append(starts, len(values)))
    return np.add.reduceat(steps, starts) / count, np.add.reduceat(values, starts) / count
