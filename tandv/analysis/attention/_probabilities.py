"""What is accepted as attention: rows of probabilities; of others, what is wrong with them and how to mend it."""

import numpy as np
from numpy.typing import ArrayLike

from tandv.analysis.attention.sinks import without_sink
from tandv.arrays import as_array

# A row of bfloat16 probabilities is off by up to 0.4 % in its sum; dropout or a missing softmax by far more.
TOLERANCE = 0.01


def probabilities(
    attention: ArrayLike, causal: bool = False, visible: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows as float64 and the mask of visible keys, or raise naming every problem."""
    rows = as_array(attention).astype(np.float64)
    if rows.ndim < 2:
        raise ValueError(f"attention has shape {rows.shape}; give [..., query, key], one row for each query")
    queries, keys = rows.shape[-2:]
    seen = np.broadcast_to(True, rows.shape)  # a view, to save memory
    if causal:  # with cached keys the last query attends to all keys
        seen = np.broadcast_to(np.tri(queries, keys, keys - queries, dtype=bool), rows.shape)
    if visible is not None:
        seen = seen & as_array(visible).astype(bool)
    # a probe gives zeros where a query attends to no key, as that of padding does
    empty = ~rows.any(-1, keepdims=True)
    seen = seen & ~empty if empty.any() else seen
    masked = causal or visible is not None
    counted = np.where(seen, rows, 0) if masked else rows
    total, checked = counted.sum(-1), seen.any(-1)
    wrong = checked & ~(np.abs(total - 1) <= TOLERANCE)
    negative = (counted < 0).any(-1)
    hidden = checked & (np.where(seen, 0, rows).sum(-1) > TOLERANCE) if masked else np.zeros_like(wrong)
    problems = []
    if negative.any():
        problems.append(
            f"{negative.sum()} rows hold negative values, so these look like scores before the softmax; "
            "use scipy.special.softmax(attention, axis=-1)"
        )
    elif (
        wrong := wrong & ~(hidden & (np.abs(rows.sum(-1) - 1) <= TOLERANCE))
    ).any():  # unless the mask explains the sum
        problems.append(_sums(rows, total, wrong))
    if hidden.any():
        problems.append(
            f"{hidden.sum()} rows attend to keys that {'causal=True' if causal else 'the mask'} hides, the first at "
            f"{_first_index(hidden)}; {'give causal=False' if causal else 'mend the mask'}, or mask before the softmax"
        )
    if problems:
        raise ValueError("attention rows are not probabilities:\n  " + "\n  ".join(problems))
    return counted, seen


def _sums(rows: np.ndarray, total: np.ndarray, wrong: np.ndarray) -> str:
    first = tuple(np.argwhere(wrong)[0])
    message = f"{wrong.sum()} of {wrong.size} rows do not sum to 1, the first at {_first_index(wrong)} "
    message += f"(sum {total[first]:.4g}); "
    if np.isnan(total[wrong]).any():
        return (
            message + "NaN comes from rows in which every key is masked: say so with visible=, or leave those rows out"
        )
    if np.allclose(rows.sum(-2), 1, atol=TOLERANCE):
        return message + "the columns do: use numpy.swapaxes(attention, -1, -2)"
    return message + (
        "if they are scores, use scipy.special.softmax(attention, axis=-1); if dropout was applied, probe in "
        "eval mode; if they are weights of another kind, divide each row by its sum"
    )


def _first_index(where: np.ndarray) -> str:
    return "[" + ", ".join(map(str, np.argwhere(where)[0])) + "]"


def with_heads(attention: ArrayLike) -> np.ndarray:
    """Return attention as an array that has an axis of heads, or raise."""
    heads = as_array(attention)
    if heads.ndim < 3:
        raise ValueError(f"attention has shape {heads.shape}; give [..., head, query, key] (one head: attention[None])")
    return heads


def whole_sequences(attention: ArrayLike) -> np.ndarray:
    """Return attention from every position of a sequence to every position, or raise naming every problem.

    What goes to a sink is left out: rows sum to less than 1 then.
    """
    heads = with_heads(attention)
    if without_sink(heads).sink is not None:
        return probabilities(heads)[0][..., :-1]
    if heads.shape[-1] != heads.shape[-2]:
        raise ValueError(
            f"attention has {heads.shape[-2]} queries for {heads.shape[-1]} keys; pattern scores compare positions, "
            "so give the whole sequence (as many queries as keys)"
        )
    return probabilities(heads)[0]


def per_head(values: np.ndarray) -> np.ndarray:
    """Average [..., head, query] over all axes but that of heads, leaving out NaN."""
    return mean_of(sums_per_head(values))


def sums_per_head(values: np.ndarray) -> np.ndarray:
    """Return [2, head]: the sum of [..., head, query] over all other axes, leaving out NaN, and of how many.

    Those of several batches add up.
    """
    heads = np.moveaxis(values, -2, 0).reshape(values.shape[-2], -1)
    known = ~np.isnan(heads)
    return np.stack([np.where(known, heads, 0).sum(1), known.sum(1).astype(np.float64)])


def mean_of(sums: np.ndarray) -> np.ndarray:
    """Return the means of what `sums_per_head` returned: [head], NaN where there was nothing."""
    with np.errstate(invalid="ignore"):
        return sums[0] / sums[1]
