"""What changes together at a transition: the share of layers that move, and whether the loss falls there.

>>> found = loss_falls({"loss": [5, 4, 3, 2, 1]}, critical_steps=[1, 2])
>>> found.share, found.base_rate
(1.0, 1.0)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tandv.curves import Curves, as_curves

if TYPE_CHECKING:
    from tandv.analysis.moments import TransitionLike

__all__ = ["Coordination", "LossFalls", "coordination", "loss_falls"]


class Coordination(NamedTuple):
    """The share of layers that move at a transition, beside the share that does at any other time.

    `lift` is share over base rate: 1 if nothing is special about this time; inf if layers move at no other,
    NaN if they move at none. `moved` names the layers, `unknown` those with too few values to tell.
    """

    share: float
    base_rate: float
    lift: float
    moved: tuple[str, ...]
    unknown: tuple[str, ...]


def coordination(
    layers: Curves, transition: TransitionLike, *, contrast: float = 2.0, least_noise: float = 4.0
) -> Coordination:
    """Say what share of layers moves at a transition, more than at other times; a curve for each layer.

    A layer moves if its curve changes over the transition by at least `contrast` times what it changes over
    as many points just before and just after, and by `least_noise` times its own noise (robust, from second
    differences). The base rate asks the same at every other place of the run, which the transition does not touch.
    """
    moved, unknown, known, hits, places = [], [], 0, 0, 0
    table = as_curves(layers).sort_index()
    for name in table.columns:
        curve = table[name].dropna()
        steps = curve.index.to_numpy()
        first = int(np.searchsorted(steps, transition.start, "right")) - 1
        last = int(np.searchsorted(steps, transition.end, "left"))
        last = first + 1 if last == first else last
        if first < 0 or last >= len(steps) or len(steps) < 5:
            unknown.append(str(name))
            continue
        moves = _moves(curve.to_numpy(), last - first, contrast, least_noise)
        known += 1
        if moves[first]:
            moved.append(str(name))
        start = np.arange(len(moves))
        elsewhere = moves[(start + (last - first) <= first) | (start >= last)]
        hits, places = hits + int(elsewhere.sum()), places + len(elsewhere)
    share = len(moved) / known if known else math.nan
    base_rate = hits / places if places else math.nan
    return Coordination(share, base_rate, _lift(share, base_rate), tuple(moved), tuple(unknown))


def _moves(values: np.ndarray, width: int, contrast: float, least_noise: float) -> np.ndarray:
    """Return for every place whether the change over the next `width` points stands out."""
    change = np.abs(values[width:] - values[:-width])
    beside = np.zeros_like(change)
    if len(change) > width:  # at the ends of the run there is one neighbour alone
        beside[width:] = change[:-width]
        beside[:-width] = np.maximum(beside[:-width], change[width:])
    bends = np.diff(values, 2)
    noise = 1.4826 * float(np.median(np.abs(bends - np.median(bends)))) / math.sqrt(6)  # of white noise
    # Rounding is no movement: float32 curves that stand still jitter by 1e-7 of their value.
    floor = np.maximum(
        least_noise * math.sqrt(2) * noise, 1e-6 * np.maximum(np.abs(values[width:]), np.abs(values[:-width]))
    )
    return (change > floor) & (change >= contrast * beside)


def _lift(share: float, base_rate: float) -> float:
    if math.isnan(share) or math.isnan(base_rate) or not (share or base_rate):
        return math.nan
    return share / base_rate if base_rate else math.inf


class LossFalls(NamedTuple):
    """How often the loss falls at critical steps, beside how often it falls at any step.

    `lift` is share over base rate. `p_value` is the chance that as many steps drawn at random would show at
    least as many falls (hypergeometric); `steps` were judged, `left_out` have no loss on both sides.
    """

    share: float
    base_rate: float
    lift: float
    p_value: float
    steps: tuple[int, ...]
    left_out: tuple[int, ...]


def loss_falls(loss: Curves, critical_steps: Iterable[int], *, window: int = 1) -> LossFalls:
    """Say whether the loss falls at critical steps more often than it does anyway.

    It falls at a step if the mean of the `window` recorded values after it is below that of the `window` before
    it. A step between recorded ones is taken at the nearest. In a run whose loss falls most of the time, a
    high share alone means nothing.

    >>> found = loss_falls({"loss": [5, 4, 3, 2, 1]}, critical_steps=[1, 2])
    >>> found.share, found.base_rate, found.lift, found.p_value
    (1.0, 1.0, 1.0, 1.0)
    """
    from scipy.stats import hypergeom  # half a second, for one number

    table = as_curves(loss).sort_index()
    if len(table.columns) != 1 or window < 1:
        raise ValueError(
            f"give one curve and a window of at least 1, not {len(table.columns)} curves and a window of {window}"
        )
    curve = table.iloc[:, 0].dropna()
    values, recorded = curve.to_numpy(), curve.index.to_numpy()
    judged = np.arange(window, len(values) - window)
    falls = np.zeros(len(values), bool)
    if len(judged):
        means = np.lib.stride_tricks.sliding_window_view(values, window).mean(-1)
        falls[judged] = means[judged + 1] < means[judged - window]
    at, left_out = {}, []
    for step in sorted(set(critical_steps)):
        place = int(np.abs(recorded - step).argmin()) if len(recorded) else -1
        if window <= place < len(values) - window and recorded[0] <= step <= recorded[-1]:
            at[place] = step
        else:
            left_out.append(step)
    base_rate = float(falls[judged].mean()) if len(judged) else math.nan
    if not at:
        return LossFalls(math.nan, base_rate, math.nan, math.nan, (), tuple(left_out))
    count = int(falls[list(at)].sum())
    share = count / len(at)
    p_value = float(hypergeom.sf(count - 1, len(judged), int(falls[judged].sum()), len(at)))
    return LossFalls(share, base_rate, _lift(share, base_rate), p_value, tuple(at.values()), tuple(left_out))
