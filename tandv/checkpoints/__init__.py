"""Checkpoint files to curves: find, order and load them safely, and measure their weights over training.

>>> from tandv.checkpoints import evaluate
>>> evaluate("checkpoints", ["spectral", "effective_rank"]).index.tolist()
[0, 500, 1000]
"""

from tandv.checkpoints.discovery import Checkpoint, NoCheckpoints, find
from tandv.checkpoints.engines import EngineFailed
from tandv.checkpoints.evaluation import evaluate
from tandv.checkpoints.measurement import Thresholds
from tandv.checkpoints.metrics import ALIASES, METRICS
from tandv.checkpoints.on_ray import on_ray
from tandv.checkpoints.readers.opening import weights
from tandv.checkpoints.warnings import (
    BrokenCheckpoint,
    CheckpointWarning,
    LeftOut,
    MetricFailed,
    NonFiniteWeights,
    NotKept,
    RankDeficient,
    RefusedCheckpoint,
    ShapesChanged,
    UnreadableCheckpoint,
)
from tandv.messages import UnknownName

UnknownMetric = UnknownName  # the name that it had here

__all__ = [
    "ALIASES",
    "METRICS",
    "BrokenCheckpoint",
    "Checkpoint",
    "CheckpointWarning",
    "EngineFailed",
    "LeftOut",
    "MetricFailed",
    "NoCheckpoints",
    "NonFiniteWeights",
    "NotKept",
    "RankDeficient",
    "RefusedCheckpoint",
    "ShapesChanged",
    "Thresholds",
    "UnknownMetric",
    "UnknownName",
    "UnreadableCheckpoint",
    "evaluate",
    "find",
    "on_ray",
    "weights",
]
