"""What runs as it is, unmeasured, where it cannot be measured, while all around it is; and what is said of it."""

from typing import Any

import jax
from jax.extend import core

from tandv.track.jax._collect import EquationContext, Found
from tandv.track.jax._control_flow import RULES
from tandv.track.jax._naming import text
from tandv.track.jax._parts import computed, holds_marks, marks_in
from tandv.track.jax._replicas import programs_in
from tandv.track.jax._tag import SCALE

_LOOPS = ("scan", "while")
_NAMED = 5  # modules in a message


def run_marked(equation: core.JaxprEqn, program: core.Jaxpr, inputs: list[Any], place: EquationContext) -> Found:
    """Run an equation of a program that contains marks, as it is where what it runs cannot be measured."""
    name, scales = equation.primitive.name, list(place.scales)
    try:
        if place.without_loops is not None and name in _LOOPS:
            raise place.without_loops
        if name not in RULES:
            raise NotImplementedError("tandv does not know it")
        return RULES[name](equation.params, inputs, place)
    except Exception as error:  # such as the parameters of another version of JAX
        marks = list(marks_in(equation))
        # Effects that were traced until then would happen twice; without their scale other rows would be wrong.
        if equation.effects or any(mark.tensor_type == SCALE for mark in marks):
            raise
        place.scales[:] = scales
        names = sorted({text(mark.name).partition("[")[0] or "the model" for mark in marks})
        some = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        place.say(
            f"outputs inside JAX's {name!r} are not recorded, which are those of {some}; what is around it is. In "
            f"measuring them, jax {jax.__version__} gave {type(error).__name__}: {_first_line(error)}"
        )
    return Found(computed(equation, program, inputs), [], [])


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]


def loops_in(program: core.Jaxpr) -> bool:
    """Tell whether loops of a program, at any depth, contain marks."""
    return any(
        equation.primitive.name in _LOOPS or loops_in(inner)
        for equation in program.eqns
        for inner in programs_in(equation.params)
        if holds_marks(inner)
    )
