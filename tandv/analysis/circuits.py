"""Circuits of heads, from the weights alone: how much a head reads of what an earlier head writes (Elhage et al. 2021).

In "A Mathematical Framework for Transformer Circuits" a head reads the residual stream as queries, keys and values, and
writes into it. Its product of matrices QK = W_Q W_Kᵀ makes scores, OV = W_V W_O what is moved.

>>> heads = {"0": HeadWeights(*np.random.default_rng(0).normal(size=(4, 2, 8, 3)))}
>>> heads["0"].output.shape  # [head, feature of the head, width]
(2, 8, 3)
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from tandv.arrays import as_array

KINDS = ("q", "k", "v")


class HeadWeights(NamedTuple):
    """The weights of the heads of a layer, for rows of the residual stream: `x @ query[head]`.

    >>> HeadWeights(*[np.zeros((2, 8, 4))] * 3, np.zeros((2, 4, 8))).query.shape
    (2, 8, 4)

    Args:
        query: [head, width, feature].
        key: [head, width, feature].
        value: [head, width, feature].
        output: [head, feature, width].
    """

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    output: np.ndarray


def composition_scores(layers: Mapping[str, HeadWeights]) -> pd.DataFrame:
    """Return how much each head reads of what each head of an earlier layer writes, by its queries, keys and values.

    With R = QK for queries, QKᵀ for keys and OV for values of the later head, the score is ‖OV R‖ / (‖OV‖ ‖R‖) in
    Frobenius norms (Elhage et al. 2021): 1 if what one writes along its main direction is all that the other reads.
    `chance` is the root of the mean square over all rotations of one head against the other, 1 / √width. The scale of
    a norm between them, biases and rotary positions are left out.

    >>> e = np.eye(4)
    >>> first = HeadWeights(e[None, :, :1], e[None, :, :1], e[None, :, :1], e[None, 1:2])  # it moves feature 0 to 1
    >>> second = HeadWeights(e[None, :, 2:3], e[None, :, 1:2], e[None, :, 3:], e[None, :1])  # its keys read feature 1
    >>> composition_scores({"0": first, "1": second}).iloc[0].to_dict()
    {'q': 0.0, 'k': 1.0, 'v': 0.0, 'chance': 0.5}

    Args:
        layers: {layer: weights of its heads}, first layer first, as `head_weights` returns them.

    Returns a table indexed by from_layer, from_head, to_layer, to_head. Raises ValueError for fewer than two layers, or
    layers of different widths.
    """
    names = list(layers)
    widths = {layers[name].query.shape[1] for name in names}
    if len(names) < 2 or len(widths) > 1:
        raise ValueError(
            f"there are {len(names)} layers, of the widths {sorted(widths)}; give two or more layers of one residual "
            "stream"
        )
    chance = 1 / np.sqrt(widths.pop())
    exact = {name: HeadWeights(*(as_array(part).astype(np.float64) for part in layers[name])) for name in names}
    rows, index = [], []
    for at, later in enumerate(names):
        for earlier in names[:at]:
            scores = _between(exact[earlier], exact[later])
            for one, other in np.ndindex(*scores.shape[1:]):
                index.append((earlier, one, later, other))
                rows.append([*scores[:, one, other], chance])
    places = pd.MultiIndex.from_tuples(index, names=["from_layer", "from_head", "to_layer", "to_head"])
    return pd.DataFrame(rows, index=places, columns=[*KINDS, "chance"])


def _between(earlier: HeadWeights, later: HeadWeights) -> np.ndarray:
    """Return [kind, earlier head, later head]; all norms are of products of heads' small matrices."""
    writes = _gram(earlier.value)
    written = _norm(writes, _gram(np.swapaxes(earlier.output, 1, 2)))
    reads = {  # what is read by, and what that is multiplied by
        "q": (later.query, later.key),
        "k": (later.key, later.query),
        "v": (later.value, np.swapaxes(later.output, 1, 2)),
    }
    found = []
    for reading, rest in reads.values():
        core = np.einsum("aiw,bwj->abij", earlier.output, reading)  # ‖V C Rᵀ‖² = tr(Cᵀ VᵀV C RᵀR)
        square = np.einsum("abij,aik,abkl,blj->ab", core, writes, core, _gram(rest), optimize=True)
        size = written[:, None] * _norm(_gram(reading), _gram(rest))[None]
        found.append(np.sqrt(np.maximum(square, 0)) / np.where(size > 0, size, np.nan))
    return np.stack(found)


def _gram(matrices: np.ndarray) -> np.ndarray:
    return np.einsum("hwi,hwj->hij", matrices, matrices)


def _norm(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the Frobenius norms of products A Bᵀ from the Gram matrices of A and B."""
    return np.sqrt(np.maximum(np.einsum("hij,hij->h", left, right), 0))
