"""Recognise a softmax in a program, however it is written: exponentials over their sum.

`exp(x - max) / sum(...)`, a product with the reciprocal of the sum, `exp(x - logsumexp(x))`, and sums to which
something is added (attention sinks, softmax-off-by-one) are all found, in `jax.nn.softmax` as in code of one's own.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

Part = Literal["exponential", "sum", "reciprocal", "log of sum", "log of probability", "probability"]
_SAME = {"broadcast_in_dim", "reshape", "transpose", "squeeze", "convert_element_type", "stop_gradient", "copy",
         "abs", "reduce_precision", "select_n", "slice", "optimization_barrier"}  # fmt: skip


class Role(NamedTuple):
    """The part that a value has in a softmax.

    Args:
        part: the part.
        number: of the exponential with which it begins.
        added: whether something was added to the sum of exponentials.
    """

    part: Part
    number: int
    added: bool = False


def role_of(name: str, roles: Sequence[Role | None], new: int) -> Role | None:
    """Return the part in a softmax that the result of an operation has; `new` numbers an exponential that begins one.

    >>> one = role_of("exp", [None], 7)
    >>> role_of("div", [one, role_of("reduce_sum", [one], 8)], 9)
    Role(part='probability', number=7, added=False)

    Args:
        name: the operation.
        roles: the part of each operand, None for none.
        new: the number of an exponential that begins a softmax.
    """
    known = [role for role in roles if role is not None]
    first = known[0] if known else None
    parts = tuple(role.part if role is not None else "" for role in roles)
    if name in ("exp", "exp2"):
        log = first is not None and first.part == "log of probability"
        return first._replace(part="probability") if log and first is not None else Role("exponential", new)
    if first is None:
        return None
    if name == "div" and parts == ("exponential", "sum") and roles[1] is not None:
        return roles[1]._replace(part="probability") if first.number == roles[1].number else None
    if name == "div" and parts == ("", "sum"):
        return first._replace(part="reciprocal")
    if name == "integer_pow" and first.part == "sum":
        return first._replace(part="reciprocal")
    if name == "mul" and set(parts) == {"exponential", "reciprocal"} and len({role.number for role in known}) == 1:
        added = any(role.added for role in known)
        return Role("probability", first.number, added)
    if name == "reduce_sum" and first.part == "exponential":
        return first._replace(part="sum")
    if name in ("add", "max", "add_any") and first.part == "sum":
        return first._replace(added=first.added or name != "max")
    if name == "log" and first.part == "sum":
        return first._replace(part="log of sum")
    if name == "add" and first.part == "log of sum":
        return first
    if name == "sub" and parts[1:] == ("log of sum",):
        return roles[1]._replace(part="log of probability") if roles[1] is not None else None
    if name == "mul" and first.part == "exponential" and len(known) == 1:  # a mask of ones and zeros
        return first
    return first if name in _SAME and first.part != "probability" else None
