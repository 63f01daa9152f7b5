"""How every curve changed from one moment to another."""

import numpy as np
import pandas as pd

from tandv.analysis.moments.moment import CriticalMoment
from tandv.curves import Curves, as_curves


def compare_moments(curves: Curves, before: CriticalMoment | float, after: CriticalMoment | float) -> pd.DataFrame:
    """Return how every curve changed from one moment to another: one row per quantity.

    Columns: `before`, `after`, `change`, `relative_change` (over abs(before); NaN from 0). A value that is missing at
    that step is NaN.

    >>> compare_moments({"loss": [2.0, 1.5, 0.5]}, 0, 2).loc["loss", "relative_change"].item()
    -0.75

    Args:
        curves: the curves of a run.
        before: the earlier moment, or step.
        after: the later one.

    Raises ValueError if a step is not in the curves.
    """
    table = as_curves(curves)
    steps = [m.step if isinstance(m, CriticalMoment) else m for m in (before, after)]
    if absent := [step for step in steps if step not in table.index]:
        recorded = table.index.to_numpy()
        near = [recorded[np.abs(recorded - step).argmin()].item() for step in absent]
        listed = ", ".join(f"{step:,} (nearest: {n:,})" for step, n in zip(absent, near, strict=True))
        raise ValueError(f"the curves have no row for step {listed}; choose steps that were recorded")
    out = pd.DataFrame({"before": table.loc[steps[0]], "after": table.loc[steps[1]]})
    out["change"] = out["after"] - out["before"]
    out["relative_change"] = out["change"] / out["before"].abs().where(out["before"] != 0)
    return out.rename_axis("quantity")
