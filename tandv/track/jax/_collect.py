"""Run a traced program and return, beside its results, a measurement of every marked value.

The program is interpreted while it is traced again. Runs of unmarked equations are kept unchanged; equations
that contain marks are rewritten: calls are inlined, loops and branches get additional results (`_control_flow`).
The result is an ordinary compiled program with one more output.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core
from jax.sharding import AbstractMesh, Mesh, Sharding

from tandv.tensor_types import ACTIVATION, ATTENTION
from tandv.track.common.reporting import warn
from tandv.track.jax._block_kernels import BlockFormats, axis_of_value
from tandv.track.jax._block_kernels import kernel_of as blocks_kernel_of
from tandv.track.jax._kernels import Choose, Kernel, xla
from tandv.track.jax._loss_scale import without_scale
from tandv.track.jax._parts import Plain, evaluated, parts
from tandv.track.jax._replicas import Replicas, programs_in
from tandv.track.jax._tag import SCALE, Mark, mark_p, mark_tangent_p
from tandv.track.jax._units import axis_of, kernel_of


class Record(NamedTuple):
    """The value that one measurement is of; `layers` are the lengths of the leading axes of its words."""

    mark: Mark
    dtype: str
    kernel: Kernel
    layers: tuple[int, ...] = ()
    of_units: bool = False  # of the units of the value, beside that of the value itself
    of_blocks: bool = False  # of the value in block formats, likewise


class EquationContext(NamedTuple):
    """The context of an equation in its program."""

    choose: Choose
    scales: list[Any]  # of losses; the last one is current
    again: bool = False  # in what the backward pass recomputes
    axes: tuple[str, ...] | None = None  # mesh axes along which each device has its part (in a shard_map)
    replicas: Replicas | None = None  # knows along which of them a value differs, where types do not tell
    units: bool = False  # whether the units of values are measured, too
    blocks: BlockFormats | None = None  # that values are measured in, too
    one_cpu: bool = False  # whether the program runs on one CPU
    without_loops: Exception | None = None  # with which measuring failed, so that what loops run is left out
    say: Callable[[str], None] = warn  # is given what is left out

    def enter(self, inside: Sequence[Any], outside: Sequence[Any], parameters: dict[str, Any]) -> None:
        """Note values inside an equation, which it makes of values outside."""
        if self.replicas is not None:
            differs = self.replicas.made_of(outside, programs_in(parameters))
            self.replicas.note(inside, [differs] * len(inside))


class Found(NamedTuple):
    """Results of a program, and its measurements."""

    outputs: list[Any]
    records: list[Record]
    words: list[jax.Array]  # [*layers, words]


Rule = Callable[[dict[str, Any], list[Any], EquationContext], Found]


def collect(jaxpr: core.Jaxpr, constants: Sequence[Any], inputs: Sequence[Any], place: EquationContext) -> Found:
    """Evaluate a program on values or tracers."""
    from tandv.track.jax._left_out import run_marked

    values: dict[Any, Any] = {}
    records: list[Record] = []
    words: list[jax.Array] = []
    known: dict[Any, Any] = {}  # a value that several modules return is measured once

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, core.Literal) else values[variable]

    values.update(zip(jaxpr.constvars, constants, strict=True))
    values.update(zip(jaxpr.invars, inputs, strict=True))
    for part in parts(jaxpr):
        if isinstance(part, Plain):
            operands = [read(v) for v in part.inputs]
            results = evaluated(part.program, operands)
            values.update(zip(part.outputs, results, strict=True))
            if place.replicas is not None:
                place.replicas.follow(part.program.jaxpr, operands, results)
            continue
        operands = [read(v) for v in part.invars]
        if part.primitive is mark_p:
            (x,), mark = operands, part.params["mark"]
            if mark.tensor_type == SCALE:
                place.scales[:] = [x]
                record, one = _measured(x, mark, place._replace(choose=_of_scale), known)
                records.append(record)
                words.append(one)
            elif mark.tensor_type.startswith(ATTENTION):
                if not place.again and place.axes is None:
                    record, one = _of_heads(x, mark)
                    records.append(record)
                    words.append(one)
            elif not (place.again and mark.tensor_type == ACTIVATION):
                record, one = _measured(x, mark, place, known)
                records.append(record)
                words.append(one)
                for record, one in _beside(x, mark, place):
                    records.append(record)
                    words.append(one)
            results = [x]
        elif part.primitive is mark_tangent_p:
            results = operands
        else:
            found = run_marked(part, jaxpr, operands, place)
            results = found.outputs
            records += found.records
            words += found.words
        values.update(zip(part.outvars, results, strict=True))
    return Found([read(v) for v in jaxpr.outvars], records, words)


def inline(jaxpr: Any, inputs: Sequence[Any], place: EquationContext) -> Found:
    """Evaluate an inner program as part of the outer one."""
    closed = isinstance(jaxpr, core.ClosedJaxpr)
    return collect(jaxpr.jaxpr if closed else jaxpr, jaxpr.consts if closed else (), inputs, place)


def _of_scale(x: Any, in_shard: bool) -> Kernel:
    """Return the kernel for the scale of a loss, of which a function of the user's own would see nothing of use."""
    return xla(np.dtype(x.dtype))


def _measured(x: Any, mark: Mark, place: EquationContext, known: dict[Any, Any]) -> tuple[Record, jax.Array]:
    values = without_scale(lax.stop_gradient(x), mark, place.scales)
    kernel = place.choose(layer_of(values, mark), place.axes is not None)
    lengths = tuple(x.shape[axis] for axis in mark.axes)
    key = id(x), mark.axes, mark.scaled
    if key not in known:
        differs = _varying(x) if place.replicas is None else place.replicas.differs(x)
        axes = tuple(axis for axis in place.axes or () if axis in differs)
        known[key] = x, words_of(values, mark, kernel, axes)
    return Record(mark, str(x.dtype), kernel, lengths), known[key][1]


def _of_heads(x: Any, mark: Mark) -> tuple[Record, jax.Array]:
    """Return the measurements of attention heads, [head, ...], all at once: there may be hundreds."""
    kernel = xla(np.dtype(x.dtype))
    return Record(mark, str(x.dtype), kernel, (x.shape[0],)), jax.vmap(lambda head: kernel.measure(head, ()))(x)


def of_units(x: Any, mark: Mark) -> Iterator[tuple[Record, jax.Array]]:
    """Yield the measurement of a value's units, if it has any."""
    axis = axis_of(x, mark)
    if axis is not None:
        kernel = kernel_of(x.shape[axis], axis)
        yield Record(mark, str(x.dtype), kernel, of_units=True), kernel.measure(lax.stop_gradient(x), ())


def block_record(x: Any, mark: Mark, blocks: BlockFormats, one_cpu: bool) -> Record | None:
    """Return what a measurement of a value in block formats is of, None if it is no operand of products."""
    axis = axis_of_value(layer_of(x, mark), mark, blocks.axes)
    if axis is None:
        return None
    kernel = blocks_kernel_of(blocks.names, axis, one_cpu)
    return Record(mark, str(x.dtype), kernel, tuple(x.shape[one] for one in mark.axes), of_blocks=True)


def _beside(x: Any, mark: Mark, place: EquationContext) -> Iterator[tuple[Record, jax.Array]]:
    """Yield what is measured of a value beside its row; nothing within a shard_map, where devices have parts of it."""
    if place.axes is not None:
        return
    if place.units:
        yield from of_units(x, mark)
    if place.blocks is not None:
        values = without_scale(lax.stop_gradient(x), mark, place.scales)
        record = block_record(values, mark, place.blocks, place.one_cpu)
        if record is not None:
            yield record, words_of(values, mark, record.kernel)


def words_of(x: jax.Array, mark: Mark, kernel: Kernel, axes: tuple[str, ...] = ()) -> jax.Array:
    """Return the words of a value or, where some of its axes number layers, of each layer."""
    if not mark.axes:
        return kernel.measure(x, axes)
    lengths = tuple(x.shape[axis] for axis in mark.axes)
    parts = [kernel.measure(layer_of(x, mark, numbers), axes) for numbers in np.ndindex(*lengths)]
    return jnp.stack(parts).reshape(*lengths, -1)


def layer_of(x: Any, mark: Mark, numbers: tuple[int, ...] | None = None) -> Any:
    """Return one layer of a value, by default the first."""
    if not mark.axes:
        return x
    place = dict(zip(mark.axes, numbers or (0,) * len(mark.axes), strict=True))
    return x[tuple(place.get(axis, slice(None)) for axis in range(x.ndim))]


def _varying(x: Any) -> frozenset[str]:
    """Return the mesh axes along which a value differs, as its type says in a shard_map that is checked."""
    kind = jax.typeof(x)
    if hasattr(kind, "vma"):  # until jax 0.9
        return kind.vma
    return kind.manual_axis_type.varying | kind.manual_axis_type.unreduced


def spans_devices(program: core.Jaxpr) -> bool:
    """Tell whether a program itself names several devices, wherever its inputs are."""
    return any(
        any(map(_is_of_several, jax.tree.leaves(list(equation.params.values()))))
        or any(map(spans_devices, programs_in(equation.params)))
        for equation in program.eqns
    )


def _is_of_several(value: Any) -> bool:
    if isinstance(value, Mesh | AbstractMesh):
        return value.size > 1
    return isinstance(value, Sharding) and value.num_devices > 1
