"""What is asked of the default detector: the events of a case, and the p-value of a curve."""

import numpy as np
import pandas as pd

from benchmarks.curves.case import Case
from tandv.analysis.transitions import DETECTORS, Transition


def events(case: Case) -> list[Transition]:
    return DETECTORS["transitions"](case.curve)


def p_of(curve: pd.Series) -> float:
    """Return the p-value of a curve: the least of what was found in it, 1 where nothing was."""
    return float(min((t.evidence.p for t in DETECTORS["transitions"](curve)), default=1.0))


def warm_up() -> None:
    """Let whatever is compiled be compiled, so that times are of the search."""
    rng = np.random.default_rng(0)
    for values in (rng.standard_normal(1000), np.r_[np.zeros(500), np.ones(500)] + 0.1 * rng.standard_normal(1000)):
        p_of(pd.Series(values, name="loss"))
