"""Models of one class in one program, whose rows hold all of them: said where their parameters are different inputs."""

import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from jax.extend import core

from tandv.messages import some
from tandv.tensor_types import ACTIVATION
from tandv.track.jax._naming import text
from tandv.track.jax._parts import holds_marks
from tandv.track.jax._replicas import programs_in
from tandv.track.jax._tag import Mark, mark_p

Shapes = frozenset[tuple[int, ...]]
Origins = int  # the inputs of a program that a value is computed from, as bits


class ModelCalls(NamedTuple):
    """The calls of a model in a program."""

    shapes: Shapes  # of the model's parameters
    inputs: list[tuple[int, ...]]  # of each set of parameters, the numbers of the inputs; some may be samples


def are_apart(one: Collection[Any], other: Collection[Any], shape_of: Callable[[Any], Any], shapes: Shapes) -> bool:
    """Tell whether two calls are on parameters of their own.

    Inputs that both have are samples with the shape of a parameter, if they are not all of the parameters.

    Args:
        one, other: what the inputs are known by, of each call.
        shape_of: returns the shape of one of these.
        shapes: of the model's parameters.
    """
    both = set(one) & set(other)
    return {shape_of(x) for x in both} < shapes and all(
        {shape_of(x) for x in call if x not in both} >= shapes for call in (one, other)
    )


def calls_of(program: core.ClosedJaxpr, roots: Mapping[str, Shapes]) -> dict[str, ModelCalls]:
    """Return the parameters of each call of a model in a program, by the model's name.

    That an input is a parameter is told by its shape. Calls on parameters that are computed from those of another
    call, as those after an update, are on these.

    Args:
        program: the traced program, whose inputs are its arguments and then its constants.
        roots: the shapes of the parameters of each model that was called, by its name.
    """
    calls: dict[str, ModelCalls] = {}
    if not any(roots.values()):
        return calls
    inputs = [*program.jaxpr.invars, *program.jaxpr.constvars]
    shapes = [tuple(getattr(v.aval, "shape", ())) for v in inputs]

    def note(mark: Mark, origins: Origins) -> None:
        name = re.sub(r"\[.*$", "", text(mark.name))
        if mark.tensor_type == ACTIVATION and roots.get(name):
            parameters = tuple(i for i, shape in enumerate(shapes) if shape in roots[name] and origins >> i & 1)
            known = calls.setdefault(name, ModelCalls(roots[name], [])).inputs
            if {shapes[i] for i in parameters} >= roots[name] and parameters not in known:
                known.append(parameters)

    _follow(program.jaxpr, [1 << i for i in range(len(inputs))], note)
    return calls


def say_shared(program: core.ClosedJaxpr, calls: Mapping[str, ModelCalls], say: Callable[[str, str], None]) -> None:
    """Say which models a program calls on several sets of parameters, each of which is an input of it.

    Args:
        program: the traced program.
        calls: what `calls_of` returned for it.
        say: is given a sentence, and what it is about.
    """
    names = list(getattr(getattr(program.jaxpr, "debug_info", None), "arg_names", None) or ())
    inputs = [*program.jaxpr.invars, *program.jaxpr.constvars]

    def shape_of(i: int) -> tuple[int, ...]:
        return tuple(inputs[i].aval.shape)

    for name, found in calls.items():
        pairs = itertools.combinations(sorted(found.inputs), 2)
        apart = next((pair for pair in pairs if are_apart(*pair, shape_of, found.shapes)), None)
        if apart is not None:
            both = set(apart[0]) & set(apart[1])
            places = [_place([names[i] for i in each if i < len(names) and i not in both]) for each in apart]
            say(*of_several(name, some(places) if all(places) else ""))


def of_several(name: str, places: str) -> tuple[str, str]:
    """Return what is said of a model that is called on several sets of parameters, and what that is about.

    Args:
        name: of the model.
        places: where it is called, or what on; "" where that is not known.
    """
    of = f" ({places})" if places else ""
    return (
        f"{name} is called on several sets of parameters in one step{of}: its rows, and those of its layers, "
        "hold the outputs and gradients of all of them together. To tell them apart put them into one model, "
        "give one of them a class of its own, or intercept its call alone within tracker.phase(...)",
        f"parameters of {name}",
    )


def _place(names: Sequence[str]) -> str:
    """Return what the names of some arguments have in common.

    >>> _place(["student['params']['a']['bias']", "student['params']['b']['bias']"])
    "student['params']"
    """
    alike = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    common = "".join(letters[0] for letters in alike)
    return common if len(names) == 1 else re.sub(r"[\[.][^\]]*$", "", common)


def _follow(program: core.Jaxpr, inputs: Sequence[Origins], note: Callable[[Mark, Origins], None]) -> list[Origins]:
    """Return from what the results of a program are computed, and note the marks in it."""
    known: dict[Any, Origins] = dict(zip([*program.invars, *program.constvars], inputs, strict=False))

    def read(v: Any) -> Origins:
        return 0 if isinstance(v, core.Literal) else known.get(v, 0)

    for equation in program.eqns:
        operands = [read(v) for v in equation.invars]
        if equation.primitive is mark_p:
            note(equation.params["mark"], operands[0])
        known.update(zip(equation.outvars, _results(equation, operands, note), strict=False))
    return [read(v) for v in program.outvars]


def _results(equation: Any, operands: list[Origins], note: Callable[[Mark, Origins], None]) -> list[Origins]:
    all_of_them = 0
    for one in operands:
        all_of_them |= one
    results = [0] * len(equation.outvars)
    for program, given in _runs(equation, operands):
        inside = _follow(program, given if given is not None else [all_of_them] * len(program.invars), note)
        if given is None or len(inside) != len(results):
            return [all_of_them] * len(results)
        results = [one | other for one, other in zip(results, inside, strict=True)]
    return results if any(results) else [all_of_them] * len(results)


def _runs(equation: Any, operands: list[Origins]) -> list[tuple[core.Jaxpr, list[Origins] | None]]:
    """Return the programs with marks that an equation runs, and their inputs, None where these are not known.

    Of a loop that is the first round.
    """
    programs, name = list(programs_in(equation.params)), equation.primitive.name
    if not any(map(holds_marks, programs)):
        return []
    if name == "while" and {"cond_nconsts", "body_nconsts", "body_jaxpr"} <= equation.params.keys():
        first, second = equation.params["cond_nconsts"], equation.params["body_nconsts"]
        return [(equation.params["body_jaxpr"].jaxpr, [*operands[first : first + second], *operands[first + second :]])]
    given = operands[1:] if name == "cond" else operands
    return [(program, given if len(program.invars) == len(given) else None) for program in programs]
