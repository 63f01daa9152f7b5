"""What is measured of attention heads in a program: four vectors from the logits, each marked as a tensor."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from tandv.track.common.attention import MASKED, TYPES, Vectors
from tandv.track.jax._tag import Mark, mark_p


class HeadAxes(NamedTuple):
    """The axes of logits.

    Args:
        keys: along which they are softmaxed.
        heads: those that number heads, outermost first; all others are of examples and queries.
    """

    keys: int
    heads: tuple[int, ...]


def of_logits(logits: jax.Array, axes: HeadAxes) -> Vectors:
    """Return what is measured of heads, masks included.

    >>> of_logits(jnp.array([[0.0, 0.0], [3.0, -1e9]]), HeadAxes(1, ())).largest.tolist()
    [[0.0, 3.0]]

    Args:
        logits: of any shape.
        axes: what its axes are.
    """
    rest = [at for at in range(logits.ndim) if at != axes.keys and at not in axes.heads]
    heads = 1
    for at in axes.heads:
        heads *= logits.shape[at]
    rows = jnp.transpose(lax.stop_gradient(logits), (*axes.heads, *rest, axes.keys))
    rows = rows.reshape(heads, -1, logits.shape[axes.keys])
    rows = rows.astype(jnp.promote_types(logits.dtype, jnp.float32))
    largest = rows.max(-1)
    shifted = jnp.maximum(rows - largest[..., None], -1e30)  # finite, so that 0 times it is 0
    weights = jnp.exp(shifted)
    total = weights.sum(-1)
    first = weights[..., 0] / total
    entropy = jnp.log(total) - (weights * shifted).sum(-1) / total
    hidden = largest <= MASKED
    largest, entropy = (jnp.where(hidden, jnp.nan, one) for one in (largest, entropy))
    first = jnp.where(hidden, jnp.nan, jnp.where(jnp.isnan(first), jnp.inf, first))
    return Vectors(largest, jnp.maximum(largest, 0), entropy, first)


def marked_equations(
    logits: Any, path: str | None, axes: HeadAxes, time: int, names: dict[str, str], root: str | None
) -> list[Any]:
    """Return the equations that compute what is measured of the heads of some logits, and mark it.

    Args:
        logits: the variable of the logits.
        path: of the module, as a scope has it; None or "" for the model itself.
        axes: the axes of the logits.
        time: which attention of one call of the module it is.
        names: the class of each module by name.
        root: the class of the model.
    """
    parts = path.split(".") if path else [root or "attention"]
    layers = tuple(int(part[1:]) for part in parts if part.startswith("*"))
    name = [None if part.startswith("*") else part for part in parts]
    kind = names.get(".".join(part for part in name if part is not None), "")
    of_call = [*name[:-1], f"{name[-1]}@{time}"] if time and name[-1] is not None else name

    def marked(x: jax.Array) -> list[jax.Array]:
        vectors = of_logits(x, axes)
        mark = Mark((*of_call, "head", None), kind, "", (*layers, len(vectors.largest)), False, axes=(0,))
        return [
            mark_p.bind(vector, mark=mark._replace(tensor_type=tensor_type))
            for tensor_type, vector in zip(TYPES.values(), vectors, strict=True)
        ]

    program = jax.make_jaxpr(marked)(jax.ShapeDtypeStruct(logits.aval.shape, logits.aval.dtype))
    given = {program.jaxpr.invars[0]: logits}
    return [
        one.replace(invars=[given.get(v, v) if not _is_literal(v) else v for v in one.invars])
        for one in program.jaxpr.eqns
    ]


def _is_literal(variable: Any) -> bool:
    return isinstance(variable, core.Literal)
