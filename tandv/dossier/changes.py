"""How far each layer's weights move from one checkpoint to another, and how far they move at other times."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from tandv.analysis.representations import weight_change
from tandv.checkpoints import Checkpoint
from tandv.checkpoints.readers.opening import opened
from tandv.checkpoints.weights import trained

_PAIRS = 6  # how many pairs of checkpoints the median is taken over at most


def changes_between(one: Checkpoint, other: Checkpoint) -> tuple[pd.DataFrame, list[str]]:
    """Return a row for each layer that both checkpoints have, as in `compare_representations`, and a list of problems.

    Two tensors are read at a time. Columns: `l2`, `relative`, `max`, `mean`, `cosine_similarity`, `numel`.

    Args:
        one: the earlier checkpoint.
        other: the later one.
    """
    rows, problems = {}, []
    with opened(one.path) as before, opened(other.path) as after:
        old, new = (
            {weight.name: weight.entry for weight in trained(at.entries, at.updated)[0]} for at in (before, after)
        )
        for name in dict.fromkeys([*old, *new]):
            if name not in old or name not in new:
                problems.append(f"{name} is at step {(one if name in old else other).step:,} only")
            elif old[name].shape != new[name].shape:
                problems.append(f"{name} has shape {old[name].shape} before and {new[name].shape} after")
            else:
                change = weight_change(old[name].read(), new[name].read())
                rows[name] = change._asdict() | {"numel": math.prod(old[name].shape)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("layer"), problems


def usual_changes(checkpoints: Sequence[Checkpoint], first: float, last: float) -> tuple[pd.Series | None, list[str]]:
    """Return how far each layer usually moves over as many steps as from `first` to `last`, and the pairs used.

    It is the median of `relative` over pairs of checkpoints that lie about as far apart (half to twice) and do not
    overlap that interval: the reference for a change at a transition. None if there is no such pair.

    Args:
        checkpoints: all checkpoints of the run, ascending.
        first: the step of the checkpoint before the transition.
        last: the step of the one after it.
    """
    length = last - first
    steps = np.array([one.step for one in checkpoints])
    pairs: dict[tuple[int, int], int] = {}
    for i, start in enumerate(steps):
        j = int(np.abs(steps - (start + length)).argmin())
        apart = steps[j] - start
        if length / 2 <= apart <= 2 * length and j != i and (steps[j] <= first or start >= last):
            pairs[i, j] = int(apart)
    chosen = list(pairs)
    if len(chosen) > _PAIRS:
        chosen = [chosen[round(i)] for i in np.linspace(0, len(chosen) - 1, _PAIRS)]
    if not chosen:
        return None, []
    tables = [changes_between(checkpoints[i], checkpoints[j])[0]["relative"] for i, j in chosen]
    pair_names = [f"{checkpoints[i].step:,} to {checkpoints[j].step:,}" for i, j in chosen]
    return pd.concat(tables, axis=1).median(axis=1), pair_names
