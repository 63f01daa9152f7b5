"""Experts in the log (`track(experts=True)`): a row for each expert of a mixture, and one for its router.

A framework measures vectors with a value for each token, as tensors of their own, so that they merge over calls,
micro-batches and ranks as all others do. Where rows are made, what was chosen and dropped becomes columns:
`expert_load` of an expert, `router_entropy` and `dropped_share` of a router.
"""

import numpy as np

from tandv import tensor_types
from tandv.tensor_types import EXPERTS, ROUTER
from tandv.track.common.columns import only_rows, rows_of_types
from tandv.track.common.measurements import Block, Quantity

# Tensor types of what has no rows in the log: `chosen` is 1 for a token that the router sends to the expert, else 0;
# `dropped` is 1 for a choice of the router that no expert has computed, else 0.
CHOSEN, DROPPED = f"{EXPERTS}.chosen", f"{ROUTER}.dropped"


def expert_name(layer: str, number: int, expert: int | None) -> str:
    """Return the name of an expert in the log, or of the router where `expert` is None.

    >>> expert_name("layers.0.mlp", 0, 3), expert_name("layers.0.mlp", 1, None)
    ('layers.0.mlp.expert.3', 'layers.0.mlp@1.router')

    Args:
        layer: the name of the module that has the experts.
        number: which router of one call of this module it is.
        expert: the number of the expert, from 0.
    """
    whole = f"{layer}@{number}" if number else layer
    return f"{whole}.router" if expert is None else f"{whole}.expert.{expert}"


def of_experts(layer: Quantity, experts: int, number: int = 0) -> list[Quantity]:
    """Return what is measured of a mixture: probabilities of its experts, their choices, the router's entropy, drops.

    Args:
        layer: a quantity of the module that has the experts, whose place they have.
        experts: how many there are.
        number: which router of one call of the module it is.
    """

    def quantity(kind: str, at: int, expert: int | None) -> Quantity:
        name = expert_name(layer.name, number, expert)
        order = (tensor_types.order(kind), *layer.order[1:], number, experts if expert is None else expert, at)
        return layer._replace(name=name, tensor_type=kind, order=order)

    each = [quantity(kind, at, expert) for at, kind in enumerate((EXPERTS, CHOSEN)) for expert in range(experts)]
    return [*each, quantity(ROUTER, 0, None), quantity(DROPPED, 1, None)]


def with_experts(block: Block) -> Block:
    """Return the rows of a step, in which what was measured of an expert, and of a router, is one row.

    Args:
        block: the rows, one of each vector.
    """
    at = rows_of_types(block, (EXPERTS, ROUTER))
    if not at:
        return block
    scalars = dict(block.scalars)
    for name in ("expert_load", "router_entropy", "dropped_share"):
        scalars[name] = np.full(len(block.quantities), np.nan, scalars["mean"].dtype)
    for (kind, *which), row in at.items():
        if kind == EXPERTS:
            scalars["expert_load"][row] = scalars["mean"][at[CHOSEN, *which]]
        elif kind == ROUTER:
            dropped = at.get((DROPPED, *which))
            scalars["router_entropy"][row] = scalars["mean"][row]
            scalars["dropped_share"][row] = np.nan if dropped is None else scalars["mean"][dropped]
    kept = [one.tensor_type not in (CHOSEN, DROPPED) for one in block.quantities]
    return only_rows(block._replace(scalars=scalars), kept)
