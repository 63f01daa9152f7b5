"""How far each layer's weights go from one checkpoint to another, beside what they do at other times."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from tandv.analysis.representations import weight_change
from tandv.checkpoints import Checkpoint
from tandv.checkpoints.readers.opening import opened
from tandv.checkpoints.weights import trained

_PAIRS = 6  # other pairs of checkpoints that the usual change is the median of


def changes_between(one: Checkpoint, other: Checkpoint) -> tuple[pd.DataFrame, list[str]]:
    """Return a row for each layer that both checkpoints have, as `compare_representations` does, and what is wrong.

    Two tensors are read at a time. Columns: `l2`, `relative`, `max`, `mean`, `cosine_similarity`, `numel`.
    """
    rows, problems = {}, []
    with opened(one.path) as before, opened(other.path) as after:
        old, new = ({weight.name: weight.entry for weight in trained(at.entries)[0]} for at in (before, after))
        for name in dict.fromkeys([*old, *new]):
            if name not in old or name not in new:
                problems.append(f"{name} is at step {(one if name in old else other).step:,} only")
            elif old[name].shape != new[name].shape:
                problems.append(f"{name} has shape {old[name].shape} before and {new[name].shape} after")
            else:
                change = weight_change(old[name].read(), new[name].read())
                rows[name] = change._asdict() | {"numel": math.prod(old[name].shape)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("layer"), problems


def usual_changes(checkpoints: Sequence[Checkpoint], first: int, last: int) -> tuple[pd.Series | None, list[str]]:
    """Return how far each layer usually goes over as many steps as from `first` to `last`, and over which pairs.

    It is the median of `relative` over pairs of checkpoints that lie about as far apart (half to twice) and do not
    touch that time: what a change at a transition has to be compared with. None if there is no such pair.
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
        chosen = [chosen[round(place)] for place in np.linspace(0, len(chosen) - 1, _PAIRS)]
    if not chosen:
        return None, []
    tables = [changes_between(checkpoints[i], checkpoints[j])[0]["relative"] for i, j in chosen]
    told = [f"{checkpoints[i].step:,} to {checkpoints[j].step:,}" for i, j in chosen]
    return pd.concat(tables, axis=1).median(axis=1), told
