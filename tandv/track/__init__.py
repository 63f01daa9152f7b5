"""Trackers, which record a model during training: for PyTorch, for JAX, and what they share."""

from tandv.track.by_framework import track
from tandv.track.common.on_finding import FindingStop
from tandv.track.common.save_rule import SaveRule
from tandv.track.common.triggers import crossing_of, jumps_of

__all__ = ["FindingStop", "SaveRule", "crossing_of", "jumps_of", "track"]
