"""Attention heads in the log (`track(attention=True)`): one row for each head, of the largest logit of each query.

A framework measures four vectors of each head, with a value for each query, as tensors of their own. So they merge over
calls, micro-batches and ranks as all others do. Where rows are made, those of the last three become columns of the
first: `largest_logit`, `attention_entropy` and `first_token_share`.
"""

import re
from typing import Any, NamedTuple

import numpy as np

from tandv.tensor_types import ATTENTION
from tandv.track.common.columns import only_rows, rows_of_types
from tandv.track.common.measurements import Block, Quantity

# Tensor types of what is measured of a head, by the name of the vector; only the first has rows in the log.
TYPES = {
    "largest": ATTENTION,
    "positive": f"{ATTENTION}.positive",
    "entropy": f"{ATTENTION}.entropy",
    "first": f"{ATTENTION}.first_token",
}
MASKED = -9000.0  # logits up to this are of masked keys: masks add -10,000, -1e9, or a format's lowest number


class Vectors(NamedTuple):
    """What is measured of the heads of a layer, each as [head, query], over all examples.

    Args:
        largest: the largest logit of each query; NaN for one that sees no key.
        positive: that, or 0 where it is negative: its largest value tells the sign of the largest logit.
        entropy: of the probabilities of its keys, in nats; NaN for one that sees no key.
        first: the probability of the first key; NaN for a query that sees no key, and nothing but that.
    """

    largest: Any
    positive: Any
    entropy: Any
    first: Any


def head_name(layer: str, number: int, head: int) -> str:
    """Return the name of a head in the log.

    >>> head_name("layers.0.attention", 0, 3), head_name("GPT", 2, 3)
    ('layers.0.attention.head.3', 'GPT@2.head.3')

    Args:
        layer: the name of the module that attends.
        number: which attention of one call of this module it is.
        head: the number of the head, from 0.
    """
    return f"{layer}@{number}.head.{head}" if number else f"{layer}.head.{head}"


def layer_of(quantity: Quantity) -> str:
    """Return the name of the layer that a quantity belongs to: of a head the module that attends, else its own.

    >>> layer_of(Quantity((), "layers.0.attention@1.head.3", "", ATTENTION))
    'layers.0.attention'

    Args:
        quantity: of any tensor.
    """
    if not quantity.tensor_type.startswith(ATTENTION):
        return quantity.name
    return re.sub(r"(@\d+)?\.head\.\d+$", "", quantity.name)


def of_heads(layer: Quantity, heads: int, number: int = 0) -> list[Quantity]:
    """Return what is measured of the heads of a layer: all of one vector after the other, in the order of `Vectors`.

    Args:
        layer: a quantity of the layer, whose name and place the heads have.
        heads: how many there are.
        number: which attention of one call of the layer it is.
    """
    return [
        layer._replace(
            name=head_name(layer.name, number, head), tensor_type=kind, order=(*layer.order, number, head, at)
        )
        for at, kind in enumerate(TYPES.values())
        for head in range(heads)
    ]


def with_heads(block: Block) -> Block:
    """Return the rows of a step, in which what was measured of a head is one row.

    Args:
        block: the rows, one of each vector.
    """
    at = rows_of_types(block, (ATTENTION,))
    if not at:
        return block
    heads = [key[1:] for key in at if key[0] == ATTENTION]
    rows = {name: np.array([at[kind, *head] for head in heads], np.intp) for name, kind in TYPES.items()}
    here = rows["largest"]
    scalars = {name: values.copy() for name, values in block.scalars.items()}
    unseeing = scalars["nans"][rows["first"]]
    for name in ("numel", "nans"):
        scalars[name][here] -= unseeing
    finite = scalars["numel"] - scalars["nans"] - scalars["infs"]
    above = scalars["max_abs"][rows["positive"]]
    below = np.where(scalars["zeros"][here] > 0, 0.0, -scalars["min_abs"][here])
    columns = {
        "largest_logit": np.where(above > 0, above, below),
        "attention_entropy": scalars["mean"][rows["entropy"]],
        "first_token_share": scalars["mean"][rows["first"]],
    }
    for name, values in columns.items():
        scalars[name] = np.full(len(block.quantities), np.nan, scalars["mean"].dtype)
        scalars[name][here] = np.where(finite[here] > 0, values, np.nan)
    kept = [one.tensor_type == ATTENTION or not one.tensor_type.startswith(ATTENTION) for one in block.quantities]
    return only_rows(block._replace(scalars=scalars), kept)
