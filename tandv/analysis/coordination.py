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
    from tandv.analysis.moments.moment import TransitionLike

__all__ = ["Coordination", "LossFalls", "coordination", "loss_falls"]


class Coordination(NamedTuple):
    """The share of layers that move at a transition, compared with other times.

    >>> Coordination(share=0.6, base_rate=0.1, lift=6.0, moved=("fc1",), unknown=()).lift
    6.0

    Args:
        share: the share of layers that move at the transition, 0 to 1.
        base_rate: the share that move at any other time.
        lift: share over base rate: 1 if nothing is special about this time, inf if layers move at no other, NaN if they
            never move.
        moved: the names of the layers that move.
        unknown: the layers with too few values.
    """

    share: float
    base_rate: float
    lift: float
    moved: tuple[str, ...]
    unknown: tuple[str, ...]


def coordination(
    layers: Curves, transition: TransitionLike, *, contrast: float = 2.0, least_noise: float = 4.0
) -> Coordination:
    """Return what share of layers moves at a transition, compared with other times.

    A layer moves if its curve changes over the transition much more than over as many points just before and just
    after, and much more than its noise (robust, from second differences). The base rate is taken over all other places
    of the run.

    >>> from tandv.analysis.transitions import Evidence, Transition
    >>> layers = {"fc1": [0.0] * 20 + [1.0] * 20, "fc2": [1.0] * 40}
    >>> coordination(layers, Transition("loss", 19, 19, 20, 2.0, 0.5, Evidence())).moved
    ('fc1',)

    Args:
        layers: a curve for each layer.
        transition: when.
        contrast: how many times the change just before and after a layer's change must be at least.
        least_noise: how many standard deviations of its noise it must be at least.
    """
    moved, unknown, known, hits, positions = [], [], 0, 0, 0
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
        moves = moving(curve.to_numpy(), last - first, contrast, least_noise)
        known += 1
        if moves[first]:
            moved.append(str(name))
        start = np.arange(len(moves))
        elsewhere = moves[(start + (last - first) <= first) | (start >= last)]
        hits, positions = hits + int(elsewhere.sum()), positions + len(elsewhere)
    share = len(moved) / known if known else math.nan
    base_rate = hits / positions if positions else math.nan
    return Coordination(share, base_rate, _lift(share, base_rate), tuple(moved), tuple(unknown))


def moving(values: np.ndarray, width: int, contrast: float = 2.0, least_noise: float = 4.0) -> np.ndarray:
    """Return for every point whether the change over the next `width` points stands out, [points - width].

    >>> moving(np.array([0.0] * 5 + [1.0] * 5), 1).tolist().index(True)
    4

    Args:
        values: the values of a curve, [points].
        width: how many points further the change is taken.
        contrast: how many times the change just before and after it must be at least.
        least_noise: how many standard deviations of the noise it must be at least.
    """
    change = np.abs(values[width:] - values[:-width])
    adjacent = np.zeros_like(change)
    if len(change) > width:  # at the ends of the run there is only one neighbour
        adjacent[width:] = change[:-width]
        adjacent[:-width] = np.maximum(adjacent[:-width], change[width:])
    bends = np.diff(values, 2)
    noise = 1.4826 * float(np.median(np.abs(bends - np.median(bends)))) / math.sqrt(6)  # of white noise
    # Rounding does not count: a constant float32 curve jitters by 1e-7 of its value.
    floor = np.maximum(
        least_noise * math.sqrt(2) * noise, 1e-6 * np.maximum(np.abs(values[width:]), np.abs(values[:-width]))
    )
    return (change > floor) & (change >= contrast * adjacent)


def _lift(share: float, base_rate: float) -> float:
    if math.isnan(share) or math.isnan(base_rate) or not (share or base_rate):
        return math.nan
    return share / base_rate if base_rate else math.inf


class LossFalls(NamedTuple):
    """How often the loss falls at critical steps, compared with all steps.

    >>> loss_falls({"loss": [5, 4, 3, 2, 1]}, critical_steps=[1, 2]).steps
    (1, 2)

    Args:
        share: the share of critical steps at which the loss falls, 0 to 1.
        base_rate: the share of all steps at which it does.
        lift: share over base rate.
        p_value: the probability that as many steps drawn at random have at least as many falls (hypergeometric).
        steps: the critical steps that count.
        left_out: those without a loss on both sides.
    """

    share: float
    base_rate: float
    lift: float
    p_value: float
    steps: tuple[float, ...]
    left_out: tuple[float, ...]


def loss_falls(loss: Curves, critical_steps: Iterable[float], *, window: int = 1) -> LossFalls:
    """Return whether the loss falls at critical steps more often than at other steps.

    It falls at a step if its mean after it is below its mean before it. In a run whose loss falls most of the time, a
    high share alone means nothing.

    >>> found = loss_falls({"loss": [5, 4, 3, 2, 1]}, critical_steps=[1, 2])
    >>> found.share, found.base_rate, found.lift, found.p_value
    (1.0, 1.0, 1.0, 1.0)

    Args:
        loss: one curve.
        critical_steps: the steps to test; a step that is not recorded is replaced by the nearest one.
        window: how many recorded values each mean is taken over.

    Raises ValueError if there is not exactly one curve, or if `window` is less than 1.
    """
    from scipy.stats import hypergeom  # importing it takes half a second

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
        position = int(np.abs(recorded - step).argmin()) if len(recorded) else -1
        if window <= position < len(values) - window and recorded[0] <= step <= recorded[-1]:
            at[position] = step
        else:
            left_out.append(step)
    base_rate = float(falls[judged].mean()) if len(judged) else math.nan
    if not at:
        return LossFalls(math.nan, base_rate, math.nan, math.nan, (), tuple(left_out))
    count = int(falls[list(at)].sum())
    share = count / len(at)
    p_value = float(hypergeom.sf(count - 1, len(judged), int(falls[judged].sum()), len(at)))
    return LossFalls(share, base_rate, _lift(share, base_rate), p_value, tuple(at.values()), tuple(left_out))
