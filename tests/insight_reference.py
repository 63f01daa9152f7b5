"""The oracle of insight: every column from whole float64 copies of gradients and weights, one coordinate at a time."""

import math

import numpy as np


def insight(gradients, before, after, asked=None, thresholds=(1e-7, 1e-5)):
    """Return the columns of each step from lists of a tensor's gradients, and of its weights around each update.

    `asked` are what the optimiser was about to apply (its momentum); the gradients if there is none.
    """
    g, w, then, wanted = (
        [np.asarray(x, np.float64).reshape(-1) for x in xs] for xs in (gradients, before, after, asked or gradients)
    )
    return [_step(g, w, then, wanted, t, thresholds) for t in range(len(g))]


def _step(gradients, before, after, asked, t, thresholds):
    g, change = gradients[t], after[t] - before[t]
    out = {
        "gradient_norm": math.sqrt((g[np.isfinite(g)] ** 2).sum()),
        "update_norm": math.sqrt((change**2).sum()),
        "update_to_weight": math.sqrt((change**2).sum()) / math.sqrt((before[t] ** 2).sum()),
        "update_mean_abs": np.abs(change).mean(),
        "rounded_away": ((change == 0) & (asked[t] != 0)).mean(),
    }
    for threshold in thresholds:
        zero = np.abs(g) <= threshold
        out[f"zeros_{threshold:g}"] = zero.sum()
        out[f"update_mean_abs_{threshold:g}"] = np.abs(change[zero]).mean() if zero.any() else math.nan
    if t == 0:
        return out
    old = gradients[t - 1]
    signed = np.sign(g) * np.sign(old) != 0
    flips = np.sign(g) * np.sign(old) == -1
    secant = np.sign(g - old) * np.sign(before[t] - before[t - 1])
    out |= {
        "sign_flips": flips[signed].mean() if signed.any() else math.nan,
        "signed": signed.mean(),
        "gradient_angle": math.degrees(math.acos(np.clip(g @ old / math.sqrt((g @ g) * (old @ old)), -1, 1))),
        "curved_up": (secant == 1).mean(),
        "curved_down": (secant == -1).mean(),
        "minima": ((secant == 1) & flips).mean(),
        "maxima": ((secant == -1) & flips).mean(),
    }
    for threshold in thresholds:
        was, zero = np.abs(old) <= threshold, np.abs(g) <= threshold
        out[f"zeros_retained_{threshold:g}"] = (was & zero).sum()
        out[f"zeros_released_{threshold:g}"] = (was & ~zero).sum()
        out[f"zeros_released_share_{threshold:g}"] = (~zero[was]).mean() if was.any() else math.nan
        out[f"sign_flips_retained_{threshold:g}"] = (
            flips[was & zero & signed].mean() if (was & zero & signed).any() else math.nan
        )
    return out
