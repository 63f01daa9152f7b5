"""A user's function as a program that also returns what was measured, and which program serves a call.

A program is made once for a function (by its code and what it closes over), the structure of its
arguments, and the shapes, types and shardings in them. Numbers that change at every call become inputs.

What the user jitted is compiled with the measurements as one more output; what the user left to run
operation by operation still does, so that results stay the same to the last bit.
"""

import contextlib
import functools
import sys
import types
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from tandv.track.common.writer import warn
from tandv.track.jax import _linen, _objects
from tandv.track.jax._collect import Place, Plain, Record, collect, parts, program_of, spans_devices, without_calls
from tandv.track.jax._kernels import Kernel, chooser
from tandv.track.jax._names import gradient_names
from tandv.track.jax._naming import Namer

_PLAIN = (int, float, complex, str)
_MANY = 64  # programs kept; beyond, something changes all the time


@contextlib.contextmanager
def observed(namer: Namer, arguments: Any, context: Hashable) -> Iterator[None]:
    """Let a namer see every module that is called in this thread."""
    namer.models = [arguments]
    with namer.on(context), _linen.watched(), _objects.watched(gradient_names):
        yield


class Program:
    """One compiled variant of a user's function; calling it returns (output, packed words)."""

    def __init__(
        self,
        function: Callable[..., Any],
        leaves: list[Any],
        structure: Any,
        dynamic: list[int],
        namer: Namer,
        own: Callable[[Any], Kernel] | None = None,
    ):
        self.namer = namer
        self._dynamic = dynamic
        self._output: Any = None  # the structure of what the function returns
        self._plain: list[Any] = []  # what of it is no array, and None for each array
        self._is_result: list[bool] = []
        fixed = [None if i in set(dynamic) else leaf for i, leaf in enumerate(leaves)]

        def flat(*inputs: Any) -> list[Any]:
            whole = list(fixed)
            for i, value in zip(dynamic, inputs, strict=True):
                whole[i] = value
            args, kwargs = jax.tree.unflatten(structure, whole)
            with observed(namer, (args, kwargs), object()):
                output = function(*args, **kwargs)
            results, self._output = jax.tree.flatten(output)
            self._plain = [None if _is_result(result) else result for result in results]
            self._is_result = [_is_result(result) for result in results]
            return [result for result in results if _is_result(result)]

        inputs = [leaves[i] for i in dynamic]
        traced = without_calls(jax.make_jaxpr(flat)(*inputs), inputs)
        on_one_cpu = _on_one_cpu(inputs) and not spans_devices(traced.jaxpr)
        place = Place((lambda x, _: own(x)) if own else chooser(on_one_cpu))
        self._constants = traced.consts
        self._jaxpr = traced.jaxpr
        self._steps = [_Step(part, traced.jaxpr, place) for part in parts(traced.jaxpr)]
        _release_early(self._steps, traced.jaxpr)

    @property
    def records(self) -> list[Record]:
        """What the packed words are about, in their order."""
        return [record for step in self._steps for record in step.records]

    def __call__(self, leaves: list[Any]) -> tuple[Any, jax.Array]:
        values = dict(zip(self._jaxpr.constvars, self._constants, strict=True))
        values.update(zip(self._jaxpr.invars, [leaves[i] for i in self._dynamic], strict=True))
        words = [part for step in self._steps if (part := step.run(values)) is not None]
        rest = iter([v.val if isinstance(v, core.Literal) else values[v] for v in self._jaxpr.outvars])
        whole = [next(rest) if is_result else one for is_result, one in zip(self._is_result, self._plain, strict=True)]
        return jax.tree.unflatten(self._output, whole), words[0] if len(words) == 1 else packed(words)


class _Step:
    """A part of a program: operations without marks, or one equation with marks, which is compiled."""

    def __init__(self, part: Any, whole: core.Jaxpr, place: Place):
        self.records: list[Record] = []
        self.ended: list[Any] = []  # variables that nothing needs any more
        self._is_plain = isinstance(part, Plain)
        if self._is_plain:
            self.inputs, self._outputs = part.inputs, part.outputs
            self._run: Any = core.jaxpr_as_fun(part.program)
            return
        program = program_of([part], part.invars, part.outvars, whole)
        self.inputs, self._outputs = program.jaxpr.invars, part.outvars

        def run(*inputs: Any) -> tuple[list[Any], jax.Array]:
            found = collect(program.jaxpr, (), inputs, place)
            self.records = found.records
            return found.outputs, packed(found.words)

        donated, options = _of_jit(part, self.inputs)
        self._run = jax.jit(run, donate_argnums=donated, compiler_options=options)

    def run(self, values: dict[Any, Any]) -> jax.Array | None:
        results = self._run(*[values[v] for v in self.inputs])
        words = None
        if not self._is_plain:
            results, words = results
        values.update(zip(self._outputs, results, strict=True))
        for variable in self.ended:
            values.pop(variable, None)
        return words


def _release_early(steps: list[_Step], jaxpr: core.Jaxpr) -> None:
    """Let values go after their last use, as they would without the tracker."""
    needed = {v for v in jaxpr.outvars if not isinstance(v, core.Literal)} | set(jaxpr.invars)
    for step in reversed(steps):
        step.ended = [v for v in step.inputs if v not in needed]
        needed.update(step.inputs)


def packed(words: list[jax.Array]) -> jax.Array:
    """Return all measurements of a program as one array, which is one copy to the host."""
    return jnp.concatenate([one.reshape(-1) for one in words]) if words else jnp.zeros(0, jnp.uint32)


def unpacked(words: np.ndarray, records: list[Record]) -> Iterator[tuple[Record, np.ndarray]]:
    """Yield the words [..., of one measurement] of each record."""
    start = 0
    for record in records:
        size = int(np.prod(record.layers, dtype=int)) * record.kernel.empty.size
        yield record, words[start : start + size].reshape(*record.layers, -1)
        start += size


class Programs:
    """The programs made so far, and which of them serves a call."""

    def __init__(self, make: Callable[[Callable[..., Any], list[Any], Any, list[int]], Program]):
        self._make = make
        self._programs: dict[Hashable, Program] = {}
        self._same = Same()
        self._inputs: dict[Hashable, set[int]] = {}  # leaves that are whole numbers and change: inputs, then
        self._fixed: dict[Hashable, set[int]] = {}  # leaves that are numbers and decide something in Python
        self._calls: dict[Hashable, list[list[Any]]] = {}  # leaves of those calls that needed a new program

    def find(self, function: Callable[..., Any], leaves: list[Any], structure: Any) -> Program:
        """Return the program that serves a call; it is made where there is none."""
        if len(self._programs) > _MANY:
            self._programs.clear()
            self._same = Same()
        base = self._same.function(function), structure
        inputs = self._inputs.setdefault(base, set())
        fixed = self._fixed.setdefault(base, _static_for_equinox(function, structure))

        def key() -> Hashable:
            return base, tuple(self._leaf_key(leaf, i in inputs, i in fixed) for i, leaf in enumerate(leaves))

        if key() not in self._programs:
            changing = self._changing(function, leaves, structure)
            program = None
            if changing - inputs - fixed:
                try:
                    program = self._make(function, leaves, structure, _dynamic(leaves, inputs | changing, fixed))
                    inputs |= changing
                except Exception:  # it decides something in Python: then each value needs a program of its own
                    fixed |= changing
            if program is None:
                program = self._new(function, leaves, structure, inputs, fixed)
            self._programs[key()] = program
        return self._programs[key()]

    def _new(self, function: Any, leaves: list[Any], structure: Any, inputs: set[int], fixed: set[int]) -> Program:
        try:
            return self._make(function, leaves, structure, _dynamic(leaves, inputs, fixed))
        except (TypeError, ValueError):  # a float may be static for a jitted function, or decide something
            floats = {i for i, leaf in enumerate(leaves) if type(leaf) in (float, complex)} - fixed
            if not floats:
                raise
            program = self._make(function, leaves, structure, _dynamic(leaves, inputs, fixed | floats))
            fixed |= floats
            return program

    def _changing(self, function: Any, leaves: list[Any], structure: Any) -> set[int]:
        """Return which whole numbers differ from call to call; warn where compiling never ends."""
        calls = self._calls.setdefault(getattr(function, "__code__", None) or function_name(function), [])
        calls.append([leaf if isinstance(leaf, _PLAIN) else None for leaf in leaves])
        if len(calls) in (8, 32, 128):
            warn(
                f"{function_name(function)} was compiled {len(calls)} times in this run, because of "
                f"{_what_changes(calls[-8:], structure)}"
            )
        alike = [call for call in calls[-3:] if len(call) == len(leaves)]
        if len(alike) < 2:
            return set()
        return {i for i, leaf in enumerate(leaves) if type(leaf) is int and len({call[i] for call in alike}) > 1}

    def _leaf_key(self, leaf: Any, is_input: bool, is_fixed: bool) -> Hashable:
        if is_input:
            return "input", type(leaf)
        if _is_array(leaf):
            committed = isinstance(leaf, jax.Array) and getattr(leaf, "committed", False)
            return jax.typeof(leaf), leaf.sharding if committed else None
        if type(leaf) in (float, complex) and not is_fixed:
            return "number", type(leaf)
        return self._same.value(leaf)


class Same:
    """Keys by which two functions, or two values, are the same to a program."""

    def __init__(self) -> None:
        self._kept: dict[int, Any] = {}  # so that an id is not given to another value

    def function(self, function: Any) -> Hashable:
        """Return what functions made anew from the same code over the same values have in common."""
        if isinstance(function, functools.partial):
            leaves, structure = jax.tree.flatten((function.args, function.keywords))
            return "partial", self.function(function.func), structure, tuple(map(self.value, leaves))
        if isinstance(function, types.FunctionType):
            cells = tuple(self.value(cell.cell_contents) for cell in function.__closure__ or () if _is_filled(cell))
            return "function", function.__code__, cells, tuple(map(self.value, function.__defaults__ or ()))
        if isinstance(function, types.MethodType):
            return "method", self.function(function.__func__), self.value(function.__self__)
        return self.value(function)

    def value(self, value: Any) -> Hashable:
        """Return the value itself if it is plain, else its identity."""
        if isinstance(value, int | float | complex | str | bytes | type | types.NoneType | types.CodeType):
            return type(value), value
        if isinstance(value, types.FunctionType | functools.partial):
            return self.function(value)
        self._kept[id(value)] = value
        return "id", id(value)


def function_name(function: Any) -> str:
    """Return what a function is called."""
    return getattr(function, "__qualname__", None) or getattr(function, "__name__", None) or type(function).__name__


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _dynamic(leaves: list[Any], inputs: set[int], fixed: set[int]) -> list[int]:
    numbers = {i for i, leaf in enumerate(leaves) if type(leaf) in (float, complex)} | inputs
    return [i for i, leaf in enumerate(leaves) if _is_array(leaf) or i in numbers - fixed]


def _static_for_equinox(function: Any, structure: Any) -> set[int]:
    """Return the leaves that equinox keeps as Python values: all of its own jit, and those within its modules."""
    equinox = sys.modules.get("equinox")
    if equinox is None:
        return set()
    if type(function).__module__.startswith("equinox."):
        return set(range(structure.num_leaves))
    numbered = jax.tree.unflatten(structure, range(structure.num_leaves))
    parts = jax.tree.leaves(numbered, is_leaf=lambda part: isinstance(part, equinox.Module))
    return {i for part in parts if isinstance(part, equinox.Module) for i in jax.tree.leaves(part)}


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def _is_result(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray | np.generic | int | float | complex) and not isinstance(
        value, bool
    )


def _on_one_cpu(inputs: list[Any]) -> bool:
    devices = {device for x in inputs if isinstance(x, jax.Array) for device in x.devices()}
    devices = devices or {jax.devices()[0]}
    return len(devices) == 1 and next(iter(devices)).platform == "cpu"


def _of_jit(equation: Any, inputs: list[Any]) -> tuple[tuple[int, ...], dict[str, Any] | None]:
    """Return the donated inputs and the compiler's options of a jitted call."""
    if equation.primitive.name not in ("jit", "pjit"):
        return (), None
    donated = {
        variable
        for variable, is_donated in zip(equation.invars, equation.params["donated_invars"], strict=True)
        if is_donated and not isinstance(variable, core.Literal)
    }
    options = dict(equation.params.get("compiler_options_kvs") or ())
    return tuple(i for i, variable in enumerate(inputs) if variable in donated), options or None


def _what_changes(calls: list[list[Any]], structure: Any) -> str:
    """Say which arguments made the last programs necessary."""
    paths = jax.tree_util.tree_flatten_with_path(jax.tree.unflatten(structure, list(range(structure.num_leaves))))[0]
    changing = [
        f"argument {jax.tree_util.keystr(path[1:])}"
        for path, i in paths
        if len({call[i] for call in calls if len(call) == structure.num_leaves}) > 1
    ]
    if changing:
        return f"{', '.join(changing)}, a Python value that changes; pass it as an array"
    return "shapes, types or values in its closure that change; keep them the same, or pass them as arguments"
