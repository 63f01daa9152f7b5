"""The steps of a training run around its strongest transitions, and the checkpoints nearest to them.

>>> nearest_checkpoint(1200, [1000, 1195, 1400])
1195
"""

from tandv.analysis.coordination import Coordination, LossFalls, coordination, loss_falls
from tandv.analysis.moments.comparison import compare_moments
from tandv.analysis.moments.finder import identify_moments
from tandv.analysis.moments.moment import CriticalMoment, MomentType, TransitionLike
from tandv.analysis.moments.nearest import MissingCheckpoint, nearest_checkpoint
from tandv.analysis.moments.summary import get_experiment_summary
from tandv.analysis.periods import CriticalPeriod, critical_periods

__all__ = [
    "Coordination",
    "CriticalMoment",
    "CriticalPeriod",
    "LossFalls",
    "MissingCheckpoint",
    "MomentType",
    "TransitionLike",
    "compare_moments",
    "coordination",
    "critical_periods",
    "get_experiment_summary",
    "identify_moments",
    "loss_falls",
    "nearest_checkpoint",
]
