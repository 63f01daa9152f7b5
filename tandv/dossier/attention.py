"""Attention patterns of a model on a batch at the checkpoints of a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tandv.checkpoints import Checkpoint, UnreadableCheckpoint
from tandv.checkpoints.readers.opening import opened
from tandv.probes import attention_patterns
from tandv.probes.inspection import with_weights

_MOST = 20  # checkpoints


def patterns_at(
    model: Any, batch: Any, checkpoints: Sequence[Checkpoint], missing: list[str]
) -> dict[int, dict[str, np.ndarray]]:
    """Return the attention patterns {step: {layer: probabilities [example, head, query, key]}} at checkpoints.

    Of many checkpoints 20 are read, evenly spaced, the first and the last among them. The model stays as it is.

    Args:
        model: a PyTorch module whose weights the checkpoints are.
        batch: its input: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        checkpoints: of the run, ascending.
        missing: sentences on what is not there, to which is added what cannot be run.
    """
    count = min(_MOST, len(checkpoints))
    chosen = [checkpoints[round(at)] for at in np.linspace(0, len(checkpoints) - 1, count)] if count else []
    found: dict[int, dict[str, np.ndarray]] = {}
    for one in chosen:
        try:
            found[int(one.step)] = attention_patterns(model, batch, call=with_weights(model, _state(one.path)))
        except (UnreadableCheckpoint, ValueError, TypeError) as error:
            missing.append(f"no attention patterns: the checkpoint of step {one.step:,} cannot be run: {error}")
            break
    return found


def _state(path: Path) -> dict[str, np.ndarray]:
    with opened(path) as file:
        return {name: entry.read() for name, entry in file.entries.items()}
