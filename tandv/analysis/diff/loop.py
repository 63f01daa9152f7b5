"""What two loops gave to `tracker.step`: the numbers that differ before the tensors do, such as a learning rate."""

import numpy as np

from tandv.curves.of_run import run_curves
from tandv.log.door import AnyLog
from tandv.messages import some

_ALIKE = 1e-4  # of a number: a smaller difference is what losses differ by for rounding


def loop_words(a: AnyLog, b: AnyLog, step: int) -> list[str]:
    """Return what is said of numbers of the loop that both runs have and that differ before a step.

    Args:
        a: a log, or the place of one.
        b: another one.
        step: the first step at which tensors differ.
    """
    here, there = run_curves(a), run_curves(b)
    if here is None or there is None:
        return []
    steps = np.intersect1d(here.index, there.index)
    steps = steps[steps < step]
    found: list[tuple[float, str]] = []
    for name in here.columns.intersection(there.columns):
        values = [curves[name].reindex(steps).to_numpy(np.float64) for curves in (here, there)]
        apart = ~np.isclose(values[0], values[1], rtol=_ALIKE, atol=0) & ~np.isnan(values[0]) & ~np.isnan(values[1])
        if apart.any():
            at = int(apart.argmax())
            found.append((float(steps[at]), f"{name} ({values[0][at]:.4g} in A, {values[1][at]:.4g} in B)"))
    if not found:
        return []
    first = min(at for at, _ in found)
    words = some([what for at, what in found if at == first], 3)
    return [f"of what the loops gave to tracker.step(), the first that differs is {words}, at step {first:,.0f}"]
