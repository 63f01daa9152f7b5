"""Published names for functions of tandv: thin classes over curves, arrays and plots.

They compute and draw nothing themselves; each names the function to call instead.
"""

from tandv.compat.attention import AttentionEvolutionPlotter
from tandv.compat.dynamics import DelayedGeneralizationPlotter, Phenomenon
from tandv.compat.measurements import MeasurementTools
from tandv.compat.moments import (
    AnalysisResult,
    BeforeAfterComparison,
    CheckpointManager,
    Phase2Infrastructure,
)
from tandv.compat.transitions import PhaseTransitionAnalyzer

__all__ = [
    "AnalysisResult",
    "AttentionEvolutionPlotter",
    "BeforeAfterComparison",
    "CheckpointManager",
    "DelayedGeneralizationPlotter",
    "MeasurementTools",
    "Phase2Infrastructure",
    "Phenomenon",
    "PhaseTransitionAnalyzer",
]
