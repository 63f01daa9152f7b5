"""The training step that a file records beside its weights, for names that do not tell it.

>>> step_in({"global_step": 200, "epoch": 3, "optimizer": {"state": {0: {"step": 7}}}})
('global_step', 200)
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tandv.checkpoints.file_names import LARGEST
from tandv.checkpoints.readers.opening import opened
from tandv.checkpoints.warnings import UnreadableCheckpoint
from tandv.checkpoints.weights import Entry

# The first of these that a file has is its step.
KEYS = (
    "global_step", "global_steps", "step", "steps", "iteration", "iter", "iters", "iter_num", "step_num",
    "current_step", "num_steps", "num_updates", "training_step", "train_step", "num_timesteps", "epoch",
)  # fmt: skip
_BELOW = ("trainer", "trainer_state", "train_state", "training_state", "state", "meta", "metadata", "info", "progress")
_TRAINER_STATE = "trainer_state.json"  # of Hugging Face


def recorded_steps(paths: Sequence[Path]) -> tuple[str, list[int | float]] | None:
    """Return the key and the step that all checkpoints record; None unless all do, under one key, and they differ.

    Args:
        paths: files and folders of checkpoints.
    """
    found = [_recorded(path) for path in paths]
    steps = [one[1] for one in found if one is not None]
    keys = {one[0] for one in found if one is not None}
    if len(steps) < len(paths) or len(keys) != 1 or len(set(steps)) < len(steps):
        return None
    return keys.pop(), steps


def step_in(extras: Mapping[str, Any]) -> tuple[str, int | float] | None:
    """Return the key and the step among what stands beside the weights, or None.

    Args:
        extras: what a checkpoint holds beside its weights, by key.
    """
    for place in (extras, *(extras[key] for key in _BELOW if isinstance(extras.get(key), Mapping))):
        for key in KEYS:
            if (step := _number(place.get(key))) is not None:
                return key, step
    return None


def _recorded(path: Path) -> tuple[str, int | float] | None:
    try:
        if path.is_dir():
            return step_in(json.loads((path / _TRAINER_STATE).read_text(encoding="utf-8")))
        with opened(path) as checkpoint:
            return step_in(checkpoint.extras)
    except (UnreadableCheckpoint, OSError, ValueError, AttributeError):  # measuring it says what is wrong
        return None


def _number(value: Any) -> int | float | None:
    if isinstance(value, Entry) and value.shape in ((), (1,)):
        value = value.read().reshape(()).item()
    elif isinstance(value, np.generic | np.ndarray) and value.shape == ():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST:
        return None
    return int(value) if float(value).is_integer() else value
