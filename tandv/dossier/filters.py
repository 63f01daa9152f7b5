"""The filters of the first convolution of images, at the checkpoints of a run."""

from collections.abc import Sequence

import numpy as np

from tandv.checkpoints import Checkpoint, UnreadableCheckpoint
from tandv.checkpoints.readers.opening import opened
from tandv.checkpoints.weights import Weight, trained

_MOST = 4  # checkpoints
# The axes of outputs, inputs, height and width in each layout of a convolution of images.
_AXES = {"outputs first": (0, 1, 2, 3), "inputs first": (1, 0, 2, 3), "outputs last": (3, 2, 0, 1)}


def first_filters(checkpoints: Sequence[Checkpoint], missing: list[str]) -> dict[int | float, dict[str, np.ndarray]]:
    """Return {step: {layer: weights [output, input, height, width]}} of the first convolution of images.

    Of many checkpoints four are read, evenly spaced, the first and the last among them. Empty without one.

    Args:
        checkpoints: of a run, ascending.
        missing: sentences on what is not there, to which a checkpoint that cannot be read is added.
    """
    count = min(_MOST, len(checkpoints))
    chosen = [checkpoints[round(at)] for at in np.linspace(0, len(checkpoints) - 1, count)] if count else []
    found: dict[int | float, dict[str, np.ndarray]] = {}
    for one in chosen:
        try:
            with opened(one.path) as file:
                first = next(filter(_is_of_images, trained(file.entries, file.updated)[0]), None)
                if first is None:
                    return {}
                weights = np.asarray(first.entry.read(), np.float32)
        except UnreadableCheckpoint as error:
            missing.append(f"no filters of step {one.step:,}: the checkpoint cannot be read: {error}")
            continue
        found[one.step] = {first.name: weights.transpose(_AXES[first.layout])}
    return found


def _is_of_images(weight: Weight) -> bool:
    shape, axes = weight.entry.shape, _AXES.get(weight.layout)
    return len(shape) == 4 and axes is not None and min(shape[axis] for axis in axes[2:]) > 1
