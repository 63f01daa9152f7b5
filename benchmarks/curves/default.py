"""What is asked of the default detector: all events of a case, and the p-value of a curve."""

from typing import get_args

import numpy as np
import pandas as pd

from benchmarks.curves.case import Case
from tandv.analysis.transitions import Transition, transitions
from tandv.analysis.transitions.detection import p_value
from tandv.analysis.transitions.transition import Kind


def events(case: Case) -> list[Transition]:
    return transitions(case.curve, lr=case.lr, kinds=get_args(Kind))


def p_of(curve: pd.Series) -> float:
    return p_value(curve)


def warm_up() -> None:
    """Let whatever is compiled be compiled, so that times are of the search."""
    rng = np.random.default_rng(0)
    for values in (rng.standard_normal(1000), np.r_[np.zeros(500), np.ones(500)] + 0.1 * rng.standard_normal(1000)):
        p_of(pd.Series(values, name="loss"))
