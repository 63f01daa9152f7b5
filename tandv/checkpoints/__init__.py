"""Checkpoint files to curves: find, order and load them safely, and measure their weights over training.

>>> from tandv.checkpoints import evaluate
>>> evaluate("checkpoints", ["spectral", "effective_rank"]).index.tolist()
[0, 500, 1000]
"""

from tandv.checkpoints.choosing import SeveralGroups
from tandv.checkpoints.discovery import Checkpoint, NoCheckpoints
from tandv.checkpoints.engines import EngineFailed
from tandv.checkpoints.evaluation import evaluate
from tandv.checkpoints.inspection import FileInspection, Inspection, dry_run
from tandv.checkpoints.measurement import Thresholds
from tandv.checkpoints.metrics import ALIASES, METRICS
from tandv.checkpoints.on_ray import on_ray
from tandv.checkpoints.readers.opening import weights
from tandv.checkpoints.selection import find
from tandv.checkpoints.warnings import (
    BeyondFloat,
    BrokenCheckpoint,
    CheckpointWarning,
    Combined,
    Estimated,
    Guessed,
    LeftOut,
    MetricFailed,
    NonFiniteWeights,
    NotKept,
    RankDeficient,
    RefusedCheckpoint,
    ShapesChanged,
    StepsInferred,
    UnreadableCheckpoint,
)
from tandv.messages import UnknownName

UnknownMetric = UnknownName  # the name that it had here

__all__ = [
    "ALIASES",
    "METRICS",
    "BeyondFloat",
    "BrokenCheckpoint",
    "Checkpoint",
    "CheckpointWarning",
    "Combined",
    "EngineFailed",
    "Estimated",
    "FileInspection",
    "Guessed",
    "Inspection",
    "LeftOut",
    "MetricFailed",
    "NoCheckpoints",
    "NonFiniteWeights",
    "NotKept",
    "RankDeficient",
    "RefusedCheckpoint",
    "SeveralGroups",
    "ShapesChanged",
    "StepsInferred",
    "Thresholds",
    "UnknownMetric",
    "UnknownName",
    "UnreadableCheckpoint",
    "dry_run",
    "evaluate",
    "find",
    "on_ray",
    "weights",
]
