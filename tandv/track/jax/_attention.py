"""Find attention in a traced program, and have it measure the heads: marks are inserted at the logits.

A softmax is recognised by its operations. It is attention where its scores are products of two activations and where
its probabilities average others. So a router, whose scores are products with a weight, and an output's are none. An
activation is what comes of a product, or of an input that has not the shape of a parameter.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from jax.extend import core

from tandv.tensor_types import ACTIVATION
from tandv.track.jax._heads import HeadAxes, marked_equations
from tandv.track.jax._scopes import path_in
from tandv.track.jax._tag import mark_p
from tandv.track.jax.axes import Axes, Axis, followed, of_product
from tandv.track.jax.operations import CALLS, constants_and_carries
from tandv.track.jax.softmaxes import Role, role_of

_COMPUTING = {"dot_general", "conv_general_dilated", "gather", "ragged_dot_general"}  # they make activations
_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # parameters that hold the program of a call

Place = tuple[Any, ...]  # of an operation: its number in the program, after those of the calls around it


class Known(NamedTuple):
    """What is known of a value of a program.

    Args:
        computed: whether it is made of inputs by a product, as activations are.
        axes: what each of its axes stands for.
        role: its part in a softmax.
    """

    computed: bool = False
    axes: Axes = ()
    role: Role | None = None


class Exponential(NamedTuple):
    """The exponential of scores, with which a softmax begins.

    Args:
        place: of the operation.
        logits: the variable of the scores, before the largest was taken off.
        axes: what its axes stand for.
        path: of the module in which it is.
        time: which attention of one call of that module it would be.
    """

    place: Place
    logits: Any
    axes: Axes
    path: str | None


class Program:
    """What is found in one program while its operations are followed."""

    def __init__(self) -> None:
        self.exponentials: dict[int, Exponential] = {}
        self.softmaxes: dict[int, tuple[int, int, Axis | None]] = {}  # exponential, axis of keys, what that stands for
        self.averaging: set[int] = set()
        self.of_weights: dict[int, tuple[bool, ...]] = {}  # of each axis of a product: whether it is one of a weight
        self.order: list[tuple[str, int | None]] = []  # paths of softmaxes (with numbers) and of ended modules
        self._count = 0
        self._summed: dict[int, int] = {}
        self._numbers: dict[Any, int] = {}

    def number(self) -> int:
        """Return a number that was not given before."""
        self._count += 1
        return self._count

    def follow(self, program: core.Jaxpr, inputs: Sequence[Known], place: Place, path: str | None) -> list[Known]:
        """Follow the operations of a program; return what is known of its results."""
        known: dict[Any, Known] = {}
        made: dict[Any, Any] = {}  # the operation that made a variable

        def of(variable: Any) -> Known:
            return _plain(variable) if isinstance(variable, core.Literal) else known[variable]

        known.update((variable, _plain(variable)) for variable in program.constvars)
        known.update(zip(program.invars, inputs, strict=True))
        for at, equation in enumerate(program.eqns):
            inside = path_in(equation.source_info.name_stack)
            inside = path if inside is None else inside
            operands = [of(variable) for variable in equation.invars]
            found = self._equation(equation, operands, (*place, at), inside, made)
            known.update(zip(equation.outvars, found, strict=True))
            made.update((variable, equation) for variable in equation.outvars)
        return [of(variable) for variable in program.outvars]

    def _equation(
        self, equation: Any, operands: list[Known], place: Place, path: str | None, made: dict[Any, Any]
    ) -> list[Known]:
        name, parameters = equation.primitive.name, equation.params
        if equation.primitive is mark_p:
            mark = parameters["mark"]
            if mark.tensor_type == ACTIVATION:
                self.order.append((".".join("*" if part is None else part for part in mark.name), None))
            return operands
        if name in CALLS and (key := next((one for one in _INNER if one in parameters), None)):
            return self.follow(_program(parameters[key]), operands, (*place, key), path)
        if name == "scan":
            return self._scan(parameters, operands, place, path)
        if name == "while":
            carry = operands[parameters["cond_nconsts"] :]
            return self.follow(_program(parameters["body_jaxpr"]), carry, (*place, "body_jaxpr"), path)
        if name == "cond":
            branches = [
                self.follow(_program(branch), operands[1:], (*place, "branches", number), path)
                for number, branch in enumerate(parameters["branches"])
            ]
            return [one._replace(role=None) for one in branches[0]]
        return self._operation(equation, operands, place, path, made)

    def _scan(self, parameters: dict[str, Any], operands: list[Known], place: Place, path: str | None) -> list[Known]:
        fixed, carried = constants_and_carries(parameters)
        elements = [one._replace(axes=one.axes[1:], role=None) for one in operands[fixed + carried :]]
        found = self.follow(
            _program(parameters["jaxpr"]), [*operands[: fixed + carried], *elements], (*place, "jaxpr"), path
        )
        stacked = [one._replace(axes=(None, *one.axes), role=None) for one in found[carried:]]
        return [*(one._replace(role=None) for one in found[:carried]), *stacked]

    def _operation(
        self, equation: Any, operands: list[Known], place: Place, path: str | None, made: dict[Any, Any]
    ) -> list[Known]:
        name, parameters, shapes = equation.primitive.name, equation.params, [v.aval.shape for v in equation.outvars]
        computed = name in _COMPUTING or any(one.computed for one in operands)
        if name == "dot_general":
            return [Known(computed, self._product(operands, parameters["dimension_numbers"]))]
        if name == "reduce_sum":
            self._note_sum(operands[0], parameters["axes"])
        new = self._exponential(equation, operands[0], place, path, made) if name in ("exp", "exp2") else 0
        role = role_of(name, [one.role for one in operands], new) if len(shapes) == 1 else None
        given = [(one.axes, variable.aval.shape) for one, variable in zip(operands, equation.invars, strict=True)]
        found = [Known(computed, followed(name, given, shape, parameters), role) for shape in shapes]
        is_softmax = role is not None and role.part == "probability"
        if role is not None and is_softmax and self._summed.get(role.number, len(shapes[0])) < len(shapes[0]):
            found = [self._softmax(found[0], role.number)]
        return found

    def _product(self, operands: list[Known], dimensions: Any) -> Axes:
        (summed, shared) = dimensions
        if all(one.computed for one in operands):
            for one, axes in zip(operands, summed, strict=True):
                self.averaging.update(a.number for at in axes if (a := one.axes[at]) is not None and a.side == "key")
        number = self.number()
        left, right = operands
        free = [
            [at for at in range(len(one.axes)) if at not in (*summed[side], *shared[side])]
            for side, one in enumerate(operands)
        ]
        labels = [*(left.axes[at] for at in (*shared[0], *free[0])), *(right.axes[at] for at in free[1])]
        self.of_weights[number] = tuple(one is not None and not one.of_batch for one in labels)
        return of_product((len(left.axes), left.computed), (len(right.axes), right.computed), dimensions, number)

    def _exponential(self, equation: Any, operand: Known, place: Place, path: str | None, made: dict[Any, Any]) -> int:
        scores = equation.invars[0]
        if isinstance(scores, core.Literal):
            return self.number()
        if (place[:-1], scores) not in self._numbers:  # the same each time that it is computed
            number = self._numbers[place[:-1], scores] = self.number()
            logits, by = scores, made.get(scores)
            if by is not None and by.primitive.name == "sub" and not isinstance(by.invars[0], core.Literal):
                logits = by.invars[0]
            self.exponentials[number] = Exponential(place, logits, operand.axes, path)
        return self._numbers[place[:-1], scores]

    def _softmax(self, value: Known, exponential: int) -> Known:
        number, axis = self.number(), self._summed[exponential]
        path = self.exponentials[exponential].path
        self.softmaxes[number] = exponential, axis, value.axes[axis]
        self.order.append(("" if path is None else path, number))
        axes = list(value.axes)
        axes[axis] = Axis("key", number, axis, True)
        return value._replace(axes=tuple(axes), role=None)

    def _note_sum(self, value: Known, axes: Sequence[int]) -> None:
        if value.role is not None and value.role.part == "exponential" and len(axes) == 1:
            self._summed[value.role.number] = int(axes[0])
        for at in axes:
            label = value.axes[at]
            if label is not None and label.side == "key":
                known = self.exponentials[self.softmaxes[label.number][0]]
                if len(value.axes) > len(known.axes):
                    self.averaging.add(
                        label.number
                    )  # with a further axis: probabilities that were multiplied by values

    def attention(self) -> dict[Place, tuple[Exponential, HeadAxes, int]]:
        """Return the exponentials of attention by place, with the axes of heads, and which one of a call it is."""
        times: dict[str, int] = {}
        out = {}
        for path, number in self.order:
            if number is None:  # the module has ended: its next call begins again
                times.pop(path, None)
                continue
            exponential, axis, keys = self.softmaxes[number]
            one = self.exponentials[exponential]
            if number not in self.averaging or keys is None or not keys.of_batch or keys.side == "shared":
                continue
            weights = dict(enumerate(self.of_weights.get(keys.number, ())))
            heads = [
                (a.place, at)
                for at, a in enumerate(one.axes)
                if a is not None and at != axis and a.number == keys.number and weights.get(a.place)
            ]
            if one.place not in out:
                key = _without_lengths(path)
                out[one.place] = one, HeadAxes(axis, tuple(at for _, at in sorted(heads))), times.get(key, 0)
                times[key] = times.get(key, 0) + 1
        return out


def _without_lengths(path: str) -> str:
    return ".".join("*" if part.startswith("*") else part for part in path.split("."))


_rewritten: WeakKeyDictionary[core.Jaxpr, Any] = WeakKeyDictionary()  # None: it has no attention


def with_heads(
    program: core.ClosedJaxpr, names: dict[str, str], root: str | None, shapes: set[tuple[int, ...]]
) -> core.ClosedJaxpr:
    """Return a program that marks what is measured of its attention heads; the program itself where it has none.

    Args:
        program: as JAX has traced it, with the scopes of its modules.
        names: the class of each module that was called, by name.
        root: the class of the model.
        shapes: those of its parameters; without any, no input counts as an activation.
    """
    if program.jaxpr not in _rewritten:
        found = Program()
        inputs = [
            _plain(v)._replace(computed=bool(shapes) and tuple(getattr(v.aval, "shape", ())) not in shapes)
            for v in program.jaxpr.invars
        ]
        found.follow(program.jaxpr, inputs, (), None)
        places = {
            place: marked_equations(one.logits, one.path, heads, time, names, root)
            for place, (one, heads, time) in found.attention().items()
        }
        _rewritten[program.jaxpr] = _inserted(program, (), places) if places else None
    return _rewritten[program.jaxpr] or program


def _inserted(program: Any, place: Place, new: dict[Place, list[Any]]) -> Any:
    """Return a program, closed or not, with further equations before those at some places."""
    jaxpr, equations = _program(program), []
    for at, equation in enumerate(jaxpr.eqns):
        here = (*place, at)
        equations += new.get(here, [])
        keys = {one[len(here)] for one in new if one[: len(here)] == here and len(one) > len(here)}
        parameters = dict(equation.params)
        for key in keys:
            if key == "branches":
                parameters[key] = tuple(
                    _inserted(branch, (*here, key, number), new) for number, branch in enumerate(parameters[key])
                )
            else:
                parameters[key] = _inserted(parameters[key], (*here, key), new)
        equations.append(equation.replace(params=parameters) if keys else equation)
    changed = jaxpr.replace(eqns=equations)
    return program.replace(jaxpr=changed) if isinstance(program, core.ClosedJaxpr) else changed


def _program(program: Any) -> core.Jaxpr:
    return program.jaxpr if isinstance(program, core.ClosedJaxpr) else program


def _plain(variable: Any) -> Known:
    return Known(False, (None,) * len(getattr(variable.aval, "shape", ())))
