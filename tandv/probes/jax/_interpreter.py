"""Evaluate the program of a model, and see on the way what its modules return and where it attends.

Calls, loops and branches are entered, whichever transform made them, so that nothing is hidden in `jit`, `scan` or
`remat`. Every operation is computed as JAX would outside of `jit`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.extend import core

from tandv.track.jax.axes import Axes, Axis, followed, of_product
from tandv.track.jax.marked import Mark, computed, mark_p, path_in
from tandv.track.jax.operations import CALLS, constants_and_carries
from tandv.track.jax.softmaxes import Role, role_of


class Value(NamedTuple):
    """A value of the program, and what is known of where it comes from.

    Args:
        array: the value.
        of_batch: whether it depends on the batch.
        axes: what each of its axes stands for.
        role: its part in a softmax.
    """

    array: Any
    of_batch: bool = False
    axes: Axes = ()
    role: Role | None = None


class Softmax(NamedTuple):
    """Probabilities that a program computed.

    Args:
        path: of the module that computed them, "" for the model itself.
        array: the probabilities.
        axis: along which they sum to 1.
        axes: what the axes of the scores stand for.
        added: whether something was added to the sum, so that rows sum to less than 1.
    """

    path: str
    array: Any
    axis: int
    axes: Axes
    added: bool


class Seen:
    """What one run has seen: outputs of modules, softmaxes, and which of these averaged other activations."""

    def __init__(self) -> None:
        self.outputs: list[tuple[Mark, tuple[int, ...], Any]] = []  # with the turns of the loops around it
        self.softmaxes: dict[int, Softmax] = {}
        self.averaging: set[int] = set()
        self.path = ""  # of the module that is running
        self.turns: list[tuple[int, int]] = []  # of the loops that are running: (turn, length)
        self._count = 0
        self._summed: dict[int, int] = {}  # the axis along which exponentials were summed
        self._of_scores: dict[int, tuple[int, Any]] = {}  # numbers of exponentials, by the identity of their scores

    def number(self) -> int:
        """Return a number that was not given before."""
        self._count += 1
        return self._count

    def operation(self, equation: Any, operands: Sequence[Value], outputs: list[Any]) -> list[Value]:
        """Return the results of an operation with what is known of them."""
        name, parameters = equation.primitive.name, equation.params
        of_batch = any(one.of_batch for one in operands)
        if name == "dot_general":
            self._note_averages(operands, parameters["dimension_numbers"])
            sides = [(one.array.ndim, one.of_batch) for one in operands]
            axes = of_product(sides[0], sides[1], parameters["dimension_numbers"], self.number())
            return [Value(outputs[0], of_batch, axes)]
        if name == "reduce_sum":
            self._note_sum(operands[0], parameters["axes"])
        new = self._exponential(operands[0].array) if name in ("exp", "exp2") else 0
        role = role_of(name, [one.role for one in operands], new) if len(outputs) == 1 else None
        shapes = [(one.axes, jnp.shape(one.array)) for one in operands]
        found = [Value(x, of_batch, followed(name, shapes, jnp.shape(x), parameters), role) for x in outputs]
        if role is not None and role.part == "probability" and (axis := self._summed.get(role.number)) is not None:
            found = [self._softmax(found[0], axis, role)]
        return found

    def _exponential(self, scores: Any) -> int:
        """Return the number of the exponential of some scores, the same each time that it is computed."""
        number, _ = self._of_scores.setdefault(id(scores), (self.number(), scores))  # kept, so that the id stays its
        return number

    def _softmax(self, value: Value, axis: int, role: Role) -> Value:
        number = self.number()
        path = _numbered(self.path, self.turns)
        self.softmaxes[number] = Softmax(path, value.array, axis, value.axes, role.added)
        axes = list(value.axes)
        axes[axis] = Axis("key", number, axis, True)
        return value._replace(axes=tuple(axes), role=None)

    def _note_sum(self, value: Value, axes: Sequence[int]) -> None:
        if value.role is not None and value.role.part == "exponential" and len(axes) == 1:
            self._summed[value.role.number] = int(axes[0])
        for axis in axes:
            label = value.axes[axis]
            if label is not None and label.side == "key" and value.array.ndim > self.softmaxes[label.number].array.ndim:
                self.averaging.add(label.number)  # with a further axis: probabilities that were multiplied by values

    def _note_averages(self, operands: Sequence[Value], dimensions: Any) -> None:
        """Note softmaxes along whose axis a product of two activations is summed: they average values."""
        if all(one.of_batch for one in operands):
            for one, summed in zip(operands, dimensions[0], strict=True):
                for axis in summed:
                    if (label := one.axes[axis]) is not None and label.side == "key":
                        self.averaging.add(label.number)


def interpret(program: core.ClosedJaxpr, inputs: Sequence[Any]) -> Seen:
    """Run the program of a model on a batch, its inputs, and return what was seen."""
    seen = Seen()
    batch = [Value(x, True, (None,) * jnp.ndim(x)) for x in inputs]
    _run(program, batch, seen)
    return seen


def _run(program: Any, inputs: Sequence[Value], seen: Seen) -> list[Value]:
    jaxpr, constants = (program.jaxpr, program.consts) if hasattr(program, "jaxpr") else (program, ())
    values: dict[Any, Value] = {}
    last = _last_uses(jaxpr)

    def read(variable: Any) -> Value:
        return _plain(variable.val) if isinstance(variable, core.Literal) else values[variable]

    values.update(zip(jaxpr.constvars, map(_plain, constants), strict=True))
    values.update(zip(jaxpr.invars, inputs, strict=True))
    around = seen.path
    for position, equation in enumerate(jaxpr.eqns):
        path = path_in(equation.source_info.name_stack)
        seen.path = around if path is None else path
        found = _equation(equation, jaxpr, [read(v) for v in equation.invars], seen)
        values.update(zip(equation.outvars, found, strict=True))
        for variable in last.get(position, ()):  # else all activations stay until the end
            values.pop(variable, None)
    seen.path = around
    return [read(v) for v in jaxpr.outvars]


def _equation(equation: Any, jaxpr: core.Jaxpr, operands: list[Value], seen: Seen) -> list[Value]:
    name, parameters = equation.primitive.name, equation.params
    if equation.primitive is mark_p:
        _note_output(operands[0], parameters["mark"], seen)
        return operands
    if name in LOOPS:
        return LOOPS[name](parameters, operands, seen)
    inner = next((parameters[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in parameters), None)
    if inner is not None and name in CALLS:
        return _run(inner, operands, seen)
    return seen.operation(equation, operands, computed(equation, jaxpr, [one.array for one in operands]))


def _note_output(value: Value, mark: Mark, seen: Seen) -> None:
    array = value.array
    for to, axis in enumerate(mark.mapped):
        array = jnp.moveaxis(array, axis, to)
    seen.outputs.append((mark, layers_in(seen.turns, mark.layers), array))


def layers_in(turns: Sequence[tuple[int, int]], lengths: Sequence[int]) -> tuple[int, ...]:
    """Return the turns of those loops that number layers, whose lengths are given, outermost first.

    >>> layers_in([(7, 50), (1, 3)], (3,))
    (1,)
    """
    found, rest = [], list(turns)
    for length in reversed(lengths):
        while rest:
            turn, of = rest.pop()
            if of == length:
                found.append(turn)
                break
    return tuple(reversed(found))


def _numbered(path: str, turns: Sequence[tuple[int, int]]) -> str:
    """Return a path with the numbers of the layers that are scanned over."""
    parts = path.split(".")
    numbers = iter(layers_in(turns, [int(part[1:]) for part in parts if part.startswith("*")]))
    return ".".join(str(next(numbers, 0)) if part.startswith("*") else part for part in parts)


def _scan(parameters: dict[str, Any], operands: list[Value], seen: Seen) -> list[Value]:
    first, carried = constants_and_carries(parameters)
    constants, carry, elements = operands[:first], operands[first : first + carried], operands[first + carried :]
    length = parameters["length"]
    order = range(length - 1, -1, -1) if parameters["reverse"] else range(length)
    rows: dict[int, list[Value]] = {}
    for turn in order:
        seen.turns.append((turn, length))
        one = [e._replace(array=e.array[turn], axes=e.axes[1:], role=None) for e in elements]
        found = _run(parameters["jaxpr"], [*constants, *carry, *one], seen)
        seen.turns.pop()
        carry, rows[turn] = found[: len(carry)], found[len(carry) :]
    stacked = []
    for place, variable in enumerate(parameters["jaxpr"].jaxpr.outvars[len(carry) :]):
        parts = [rows[turn][place] for turn in range(length)]
        whole = jnp.stack([p.array for p in parts]) if parts else jnp.zeros((0, *variable.aval.shape))
        axes = (None, *parts[0].axes) if parts else (None,) * whole.ndim
        stacked.append(Value(whole, any(p.of_batch for p in parts), axes))
    return [*carry, *stacked]


def _while(parameters: dict[str, Any], operands: list[Value], seen: Seen) -> list[Value]:
    first = parameters["cond_nconsts"]
    second = first + parameters["body_nconsts"]
    of_condition, of_body, carry = operands[:first], operands[first:second], operands[second:]
    while bool(_run(parameters["cond_jaxpr"], [*of_condition, *carry], seen)[0].array):
        carry = _run(parameters["body_jaxpr"], [*of_body, *carry], seen)
    return carry


def _cond(parameters: dict[str, Any], operands: list[Value], seen: Seen) -> list[Value]:
    index = int(operands[0].array)
    branches = parameters["branches"]
    return _run(branches[min(max(index, 0), len(branches) - 1)], operands[1:], seen)


LOOPS = {"scan": _scan, "while": _while, "cond": _cond}


def _plain(x: Any) -> Value:
    return Value(x, False, (None,) * jnp.ndim(x))


def _last_uses(jaxpr: core.Jaxpr) -> dict[int, list[Any]]:
    """Return for each operation the variables that are not read after it."""
    kept = {v for v in jaxpr.outvars if not isinstance(v, core.Literal)}
    last = {
        v: position
        for position, equation in enumerate(jaxpr.eqns)
        for v in (*equation.outvars, *equation.invars)
        if not isinstance(v, core.Literal) and v not in kept
    }
    found: dict[int, list[Any]] = {}
    for variable, position in last.items():
        found.setdefault(position, []).append(variable)
    return found
