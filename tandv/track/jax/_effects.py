"""Side effects of a program: prints and callbacks must not run twice because it is measured."""

from typing import Any

from jax.extend import core

from tandv.track.jax._replicas import programs_in

# These have no results, or results that are usually not used.
_CALLBACKS = ("debug_callback", "debug_print", "io_callback")


def without_callbacks(program: core.ClosedJaxpr) -> core.ClosedJaxpr | None:
    """Return the program without its callbacks; None where its results depend on effects.

    Callbacks whose results are used, and arrays that change in place, cannot be removed.
    """
    if not program.effects:
        return program
    silent = _silent(program.jaxpr)
    return None if silent is None or silent.effects else core.ClosedJaxpr(silent, program.consts)


def _silent(jaxpr: Any) -> Any:
    needed = {v for v in jaxpr.outvars if not isinstance(v, core.Literal)}
    kept: list[Any] = []
    for equation in reversed(jaxpr.eqns):
        if equation.effects:
            used = needed.intersection(equation.outvars)
            if equation.primitive.name in _CALLBACKS:
                if used:
                    return None
                continue
            if any(True for _ in programs_in(equation.params)):
                parameters = {key: _in_parameter(value) for key, value in equation.params.items()}
                programs = list(programs_in(parameters))
                if any(program is None or program.effects for program in programs):
                    return None
                if len(programs) != len(list(programs_in(equation.params))):
                    return None
                equation = equation.replace(params=parameters, effects=frozenset())
        kept.append(equation)
        needed.update(v for v in equation.invars if not isinstance(v, core.Literal))
    effects = frozenset().union(*(equation.effects for equation in kept))
    return jaxpr.replace(eqns=kept[::-1], effects=effects)


def _in_parameter(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(map(_in_parameter, value)) if not hasattr(value, "_fields") else value
    if isinstance(value, core.ClosedJaxpr):
        inner = _silent(value.jaxpr)
        return core.ClosedJaxpr(inner, value.consts) if inner is not None else None
    if isinstance(value, core.Jaxpr):
        return _silent(value)
    return value
