"""Which values are the same on several devices, in a shard_map whose types do not say (`check_vma=False`).

A value computed from replicated ones only is replicated, and so is a sum over a mesh axis along that axis.
A value that is not known counts as different on every device. Gradients are as each device has them: JAX divides
those of a replicated result among its copies.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from jax.core import Tracer
from jax.extend import core

Axes = frozenset[str]

_SAME_AFTER = {"psum", "psum2", "psum_invariant", "pmax", "pmin", "all_gather", "all_gather_invariant"}
_DIFFER_AFTER = {
    "axis_index",
    "ppermute",
    "pshuffle",
    "all_to_all",
    "ragged_all_to_all",
    "reduce_scatter",
    "psum_scatter",
}


class Replicas:
    """The mesh axes along which each value of one shard_map differs."""

    def __init__(self, axes: Sequence[str]):
        self._all = frozenset(axes)
        self._known: dict[int, tuple[Any, Axes]] = {}  # the value is referenced, so that its id is not reused

    def differs(self, value: Any) -> Axes:
        """Return the axes along which a value may differ."""
        if not isinstance(value, Tracer):
            return frozenset()
        return self._known[id(value)][1] if id(value) in self._known else self._all

    def note(self, values: Sequence[Any], axes: Sequence[Axes]) -> None:
        """Set the axes along which some values differ."""
        for value, those in zip(values, axes, strict=True):
            self._known[id(value)] = value, those

    def made_of(self, values: Sequence[Any], programs: Iterable[core.Jaxpr]) -> Axes:
        """Return the axes along which results of some programs on values may differ."""
        return self._all if any(map(_can_differ, programs)) else frozenset().union(*map(self.differs, values))

    def follow(self, program: core.Jaxpr, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Set the axes of a program's outputs, from those of its inputs."""
        known = dict(zip(program.invars, map(self.differs, inputs), strict=True))
        for equation in program.eqns:
            made_of = [known.get(v, self._all) for v in equation.invars if not isinstance(v, core.Literal)]
            differs = self._after(equation, frozenset().union(*made_of))
            known |= dict.fromkeys(equation.outvars, differs)
        outvars = [v for v in program.outvars if not isinstance(v, core.Literal)]
        self.note(outputs, [known.get(v, self._all) for v in outvars])

    def _after(self, equation: Any, differs: Axes) -> Axes:
        name = equation.primitive.name
        if name in _SAME_AFTER:
            named = equation.params.get("axes", equation.params.get("axis_name", ()))
            whole = equation.params.get("axis_index_groups") is None
            return differs - frozenset(named if isinstance(named, tuple) else (named,)) if whole else self._all
        return self._all if name in _DIFFER_AFTER or any(map(_can_differ, programs_in(equation.params))) else differs


def _can_differ(program: core.Jaxpr) -> bool:
    return any(
        equation.primitive.name in _DIFFER_AFTER or any(map(_can_differ, programs_in(equation.params)))
        for equation in program.eqns
    )


def programs_in(parameters: dict[str, Any]) -> Iterator[core.Jaxpr]:
    """Yield the programs that an equation runs."""
    for value in parameters.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if isinstance(one, core.ClosedJaxpr):
                yield one.jaxpr
            elif isinstance(one, core.Jaxpr):
                yield one
