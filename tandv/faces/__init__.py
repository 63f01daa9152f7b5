"""Names under which others have asked for what tandv does: thin classes over curves, arrays and plots.

Nothing here computes or draws on its own; each name says which function does it, and new code calls that.
"""

from tandv.faces.dynamics import DelayedGeneralizationPlotter
from tandv.faces.moments import (
    AnalysisResult,
    BeforeAfterComparison,
    CheckpointManager,
    MeasurementTools,
    Phase2Infrastructure,
)
from tandv.faces.transitions import PhaseTransitionAnalyzer
from tandv.probes import AttentionEvolutionPlotter

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
