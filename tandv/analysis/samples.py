"""Outputs of layers as rows of features: which axis is the batch, which are positions, and which are features.

>>> rows_of_features(np.ones((20, 5, 64))).shape  # a sequence of 5 positions: their mean
(20, 64)
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tandv.arrays import as_array
from tandv.messages import check_choices, some

Positions = Literal["mean", "tokens", "last"]
Features = Literal["auto", "second", "last"]
MOST = 1024  # features of a layer, of which all pairs are compared


def rows_of_features(
    values: ArrayLike, positions: Positions = "mean", *, mask: ArrayLike | None = None, features: Features = "auto"
) -> np.ndarray:
    """Return an output as [row, feature], with its positions averaged, apart as rows of their own, or the last alone.

    >>> words = np.arange(12.0).reshape(2, 3, 2)  # 2 samples of 3 positions of 2 features
    >>> rows_of_features(words, mask=[[True, True, False], [True, False, False]]).tolist()
    [[1.0, 2.0], [6.0, 7.0]]
    >>> rows_of_features(words, "last", mask=[[True, True, False], [True, False, False]]).tolist()
    [[2.0, 3.0], [6.0, 7.0]]

    Args:
        values: [sample, feature]; of a sequence [sample, position, feature]; of images [sample, feature, height,
            width]. A vector has one feature.
        positions: "mean" over the positions of a sample, "tokens" for a row for each position, or "last" for the last
            position of each sample.
        mask: which positions of each sample count, [sample, position], for padded sequences; True counts.
        features: the axis of the features: "second", "last", or "auto" for the last of three axes and the second of
            more.

    Raises ValueError for a mask of another shape, and for samples without any position that counts.
    """
    check_choices(positions=(positions, Positions), features=(features, Features))
    array = as_array(values)
    if array.ndim < 1:
        raise ValueError("a single number is no output of a layer; give [sample, feature]")
    if not array.size:
        raise ValueError(f"an output of shape {array.shape} has no values; give [sample, feature]")
    if array.ndim <= 2:
        return array.reshape(len(array), -1).astype(np.float64)
    if features == "second" or (features == "auto" and array.ndim > 3):
        array = np.moveaxis(array, 1, -1)
    places = array.reshape(len(array), -1, array.shape[-1]).astype(np.float64)
    counts = np.ones(places.shape[:2], bool) if mask is None else as_array(mask).astype(bool)
    if counts.shape != places.shape[:2]:
        raise ValueError(
            f"the mask has the shape {counts.shape}, the output has {places.shape[0]} samples of {places.shape[1]} "
            "positions; give a mask [sample, position]"
        )
    if positions == "tokens":
        return places[counts]
    if not counts.any(1).all():
        raise ValueError(f"the mask leaves no position of {int((~counts.any(1)).sum())} samples; leave these out")
    if positions == "last":
        last = counts.shape[1] - 1 - counts[:, ::-1].argmax(1)
        return places[np.arange(len(places)), last]
    return np.where(counts[..., None], places, 0).sum(1) / counts.sum(1, keepdims=True)


class Rows(NamedTuple):
    """Outputs of layers that have a row for each sample.

    Args:
        layers: {layer: [row, feature]}.
        said: a sentence for each kind of output that was left out, turned, or of which features were chosen.
    """

    layers: dict[str, np.ndarray]
    said: list[str]


def rows_of_layers(
    outputs: Mapping[str, Any],
    batch: int | None,
    positions: Positions = "mean",
    *,
    mask: ArrayLike | None = None,
    most: int = MOST,
    axes: Mapping[str, int | None] | None = None,
) -> Rows:
    """Return the outputs that are of a batch as rows of features, and what was done with the others.

    An output is of the batch if its first axis has the batch's length, or its second, as in recurrent layers whose
    sequence comes first; `axes` says it where it is known. With positions="tokens" only outputs that have the positions
    of most are kept, since their rows must be the same.

    >>> rows = rows_of_layers({"fc": np.ones((6, 4)), "position": np.ones((1, 5, 4))}, 6)
    >>> list(rows.layers), rows.said
    (['fc'], ['left out, since they are not of the batch of 6: position (1, 5, 4)'])

    Args:
        outputs: {layer: array}, as `get_intermediate_outputs` returns them.
        batch: how many samples the batch has; None if that is not known: the first axis of the first output.
        positions: see `rows_of_features`.
        mask: see `rows_of_features`; it is for the outputs that have its positions, others are averaged whole.
        most: the most features of a layer; of more, so many are chosen, evenly spaced.
        axes: {layer: which axis is the batch, None if none is}; None to go by the lengths of the axes.
    """
    outputs = {name: as_array(array) for name, array in outputs.items()}
    known = None if mask is None else as_array(mask).astype(bool)
    count = len(next(iter(outputs.values()))) if batch is None and outputs else batch
    kept: dict[str, np.ndarray] = {}
    omitted: list[str] = []
    turned: list[str] = []
    for name, array in outputs.items():
        axis = _axis(array.shape, count) if axes is None else axes.get(name)
        if axis is None:
            omitted.append(f"{name} {array.shape}")
            continue
        kept[name] = np.moveaxis(array, axis, 0)
        if axis:
            turned.append(name)
    said = [f"left out, since they are not of the batch of {count}: {some(omitted)}"] if omitted else []
    if turned:
        known_axis = (
            "taken for sequences whose second axis is the batch" if axes is None else "with the batch put first"
        )
        said.append(f"{known_axis}: {some(turned)}")
    if positions == "tokens":
        shapes = [places(array) for array in kept.values()]
        usual = max(set(shapes), key=shapes.count, default=())
        if other := [name for name, array in kept.items() if places(array) != usual]:
            said.append(f"left out, since they have other positions than most ({usual}): {some(other)}")
            kept = {name: array for name, array in kept.items() if name not in other}
    rows = {}
    chosen = []
    for name, array in kept.items():
        fits = known is not None and array.ndim > 2 and known.shape == (len(array), int(np.prod(places(array))))
        found = rows_of_features(array, positions, mask=known if fits else None)
        if found.shape[1] > most:
            chosen.append(f"{name} ({found.shape[1]:,})")
            found = found[:, np.linspace(0, found.shape[1] - 1, most).round().astype(int)]
        rows[name] = found
    if chosen:
        said.append(f"of more than {most:,} features so many were chosen, evenly spaced: {some(chosen)}")
    return Rows(rows, said)


def _axis(shape: tuple[int, ...], count: int | None) -> int | None:
    """Return the axis that has the batch's length: the first, or of three the second."""
    if shape[:1] == (count,):
        return 0
    return 1 if len(shape) == 3 and shape[1] == count else None


def places(array: np.ndarray, features: Features = "auto") -> tuple[int, ...]:
    """Return the lengths of the axes of an output that are positions.

    >>> places(np.ones((6, 5, 4))), places(np.ones((6, 3, 8, 8))), places(np.ones((6, 4)))
    ((5,), (8, 8), ())

    Args:
        array: [sample, ...].
        features: see `rows_of_features`.
    """
    last = features == "last" or (features == "auto" and array.ndim == 3)
    return array.shape[1:-1] if last else array.shape[2:]
