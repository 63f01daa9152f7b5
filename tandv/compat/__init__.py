"""Names under which others have asked for what tandv does: thin classes over curves, arrays and plots.

Nothing here computes or draws on its own; each name says which function does it, and new code calls that.
"""

from tandv.compat.attention import AttentionEvolutionPlotter
from tandv.compat.dynamics import DelayedGeneralizationPlotter
from tandv.compat.moments import (
    AnalysisResult,
    BeforeAfterComparison,
    CheckpointManager,
    MeasurementTools,
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
    "PhaseTransitionAnalyzer",
]
