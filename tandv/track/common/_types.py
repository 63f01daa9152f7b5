"""Where the published package kept its classes; plain `pickle` looks for them here."""

from tandv.curves import TrainingStats
from tandv.log.logframe import LogFrame

__all__ = ["LogFrame", "TrainingStats"]
