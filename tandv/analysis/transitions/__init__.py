"""Transitions of a curve: where it changes faster than before and after, its stages, how certain and how steep.

>>> import numpy as np, pandas as pd
>>> loss = pd.Series(np.where(np.arange(200) < 120, 2.0, 0.5), name="loss")
>>> [change] = find_transitions(loss)
>>> change.quantity, change.step, change.before, change.after
('loss', 120, 2.0, 0.5)
"""

from tandv.analysis.transitions.detection import (
    DETECTORS,
    Axis,
    Detector,
    Evidence,
    Transition,
    change_points,
    discoveries,
    find_transitions,
    jumps,
    p_value,
    relative_jumps,
    threshold_crossings,
    transitions,
)

__all__ = [
    "DETECTORS",
    "Axis",
    "Detector",
    "Evidence",
    "Transition",
    "change_points",
    "discoveries",
    "find_transitions",
    "jumps",
    "p_value",
    "relative_jumps",
    "threshold_crossings",
    "transitions",
]
