"""Find out which axis of each output is the batch, by running the model on one sample more."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from tandv.probes.inspection import Call, Layers, get_intermediate_outputs

Axes = dict[str, int | None]


def size(batch: Any) -> int | None:
    """Return how many samples a batch has: the length of its first array."""
    return next(iter(shape[:1])) if (shape := _shape_of_first(batch)) else None


def batch_axes(
    model: Any, batch: Any, outputs: Mapping[str, np.ndarray], layers: Layers | None, call: Call | None
) -> tuple[Axes | None, str]:
    """Return the axis of each output that grows with the batch, None for outputs that do not, and why it is not known.

    A length alone cannot tell: the embedding of 8 positions looks like the 8 samples of a batch. The last sample is
    repeated in all arrays that have the batch's length, or, if the model refuses that, in the first of them alone.
    """
    count = size(batch)
    if count is None:
        return None, "the batch holds no array whose first axis is its samples"
    reason = ""
    for only_first in (False, True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                more = get_intermediate_outputs(model, _with_one_more(batch, count, only_first), layers, call=call)
        except Exception as error:
            text = str(error).strip().partition("\n")[0]
            reason = reason or f"the model does not run on one sample more ({type(error).__name__}: {text:.80})"
            continue
        return {name: _grown(array.shape, more[name].shape) for name, array in outputs.items() if name in more}, ""
    return None, reason


def _grown(before: tuple[int, ...], after: tuple[int, ...]) -> int | None:
    """Return the first axis that is one longer."""
    if len(before) != len(after):
        return None
    return next((at for at, (old, new) in enumerate(zip(before, after, strict=True)) if new == old + 1), None)


def _with_one_more(batch: Any, count: int, only_first: bool) -> Any:
    """Return the batch with the last sample of its arrays twice."""
    done = False

    def grown(part: Any) -> Any:
        nonlocal done
        if isinstance(part, Mapping):
            return {name: grown(value) for name, value in part.items()}
        if isinstance(part, tuple | list):
            return type(part)(map(grown, part)) if type(part) in (tuple, list) else part
        if tuple(getattr(part, "shape", ()))[:1] != (count,) or (only_first and done):
            return part
        done = True
        return part[np.append(np.arange(count), count - 1)]

    return grown(batch)


def _shape_of_first(batch: Any) -> tuple[int, ...] | None:
    if isinstance(batch, Mapping):
        batch = list(batch.values())
    if isinstance(batch, tuple | list):
        return next((shape for one in batch if (shape := _shape_of_first(one))), None)
    return tuple(getattr(batch, "shape", ()))
