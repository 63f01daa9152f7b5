"""The parts of a traced program: equations that contain marks, and runs of those that do not."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax.core
from jax.extend import core

from tandv.track.jax._replicas import programs_in
from tandv.track.jax._tag import Mark, mark_p, mark_tangent_p


class Plain(NamedTuple):
    """A run of equations without marks."""

    program: core.ClosedJaxpr
    inputs: list[Any]
    outputs: list[Any]


def parts(jaxpr: core.Jaxpr) -> list[Any]:
    """Split a program into equations that contain marks and the longest runs of those that do not."""
    groups: list[Any] = []
    for equation in jaxpr.eqns:
        if _is_marked(equation):
            groups.append(equation)
        elif groups and isinstance(groups[-1], list):
            groups[-1].append(equation)
        else:
            groups.append([equation])
    needed = {v for v in jaxpr.outvars if not isinstance(v, core.Literal)}
    found: list[Any] = []
    for group in reversed(groups):
        if isinstance(group, list):
            made = {v for equation in group for v in equation.outvars}
            outputs = [v for equation in group for v in equation.outvars if v in needed]
            inputs = list(
                dict.fromkeys(
                    v
                    for equation in group
                    for v in equation.invars
                    if not isinstance(v, core.Literal) and v not in made
                )
            )
            found.append(Plain(program_of(group, inputs, outputs, jaxpr), inputs, outputs))
            needed.update(inputs)
        else:
            found.append(group)
            needed.update(v for v in group.invars if not isinstance(v, core.Literal))
    return found[::-1]


def _is_marked(equation: Any) -> bool:
    return equation.primitive in (mark_p, mark_tangent_p) or any(map(holds_marks, programs_in(equation.params)))


_holding: WeakKeyDictionary[core.Jaxpr, bool] = WeakKeyDictionary()


def holds_marks(program: core.Jaxpr) -> bool:
    """Tell whether a program contains marks, at any depth."""
    if program not in _holding:
        _holding[program] = any(map(_is_marked, program.eqns))
    return _holding[program]


def marks_in(equation: core.JaxprEqn) -> Iterator[Mark]:
    """Yield the marks within an equation, at any depth."""
    if equation.primitive is mark_p:
        yield equation.params["mark"]
    for program in programs_in(equation.params):
        for inner in program.eqns:
            yield from marks_in(inner)


def program_of(equations: list[Any], inputs: Sequence[Any], outputs: Sequence[Any], like: core.Jaxpr) -> Any:
    """Return some equations of a program as a program of their own, each of its inputs once."""
    inputs = list(dict.fromkeys(v for v in inputs if not isinstance(v, core.Literal)))
    effects = frozenset().union(*(equation.effects for equation in equations))
    about = like.debug_info._replace(arg_names=None, result_paths=None)
    return core.ClosedJaxpr(core.Jaxpr([], inputs, list(outputs), equations, effects, about), [])


def evaluated(program: core.ClosedJaxpr, inputs: Sequence[Any]) -> list[Any]:
    """Evaluate a program without marks.

    Not by `core.jaxpr_as_fun`: JAX turns debug_nans off meanwhile, and leaves this thread's check off for good.
    """
    return jax.core.eval_jaxpr(program.jaxpr, program.consts, *inputs)


def computed(operation: core.JaxprEqn, program: core.Jaxpr, operands: Sequence[Any]) -> list[Any]:
    """Return what an operation of a program gives.

    >>> import jax.numpy as jnp
    >>> program = jax.make_jaxpr(jnp.sin)(jnp.zeros(2)).jaxpr
    >>> [x.tolist() for x in computed(program.eqns[0], program, [jnp.zeros(2)])]
    [[0.0, 0.0]]

    Args:
        operation: the operation.
        program: the program that it is part of.
        operands: arrays, one for each of `operation.invars`.
    """
    given = {v: x for v, x in zip(operation.invars, operands, strict=True) if not isinstance(v, core.Literal)}
    return evaluated(program_of([operation], list(given), operation.outvars, program), list(given.values()))
