"""Calls, loops, branches and shard_maps that contain marks: how each returns its measurements."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core
from jax.sharding import PartitionSpec, Sharding

from tandv.track.jax._collect import EquationContext, Found, Record, Rule, collect, inline
from tandv.track.jax._parts import evaluated, holds_marks
from tandv.track.jax._replicas import Replicas
from tandv.track.jax.operations import CALLS, constants_and_carries


def _jit(parameters: dict[str, Any], inputs: list[Any], place: EquationContext) -> Found:
    """Inline an inner jitted function, with its shardings."""
    inputs = [_constrain(x, s) for x, s in zip(inputs, parameters["in_shardings"], strict=True)]
    found = inline(parameters["jaxpr"], inputs, place)
    outputs = [_constrain(x, s) for x, s in zip(found.outputs, parameters["out_shardings"], strict=True)]
    return found._replace(outputs=outputs)


def _constrain(x: Any, sharding: Any) -> Any:
    return lax.with_sharding_constraint(x, sharding) if isinstance(sharding, Sharding) else x


def _remat(parameters: dict[str, Any], inputs: list[Any], place: EquationContext) -> Found:
    """Inline a checkpointed function; what the backward pass recomputes was counted in the forward pass."""
    again = bool(parameters["differentiated"])
    if again and parameters["prevent_cse"] and inputs:
        before, inputs = inputs, list(lax.optimization_barrier(tuple(inputs)))
        if place.replicas is not None:
            place.replicas.note(inputs, list(map(place.replicas.differs, before)))
    return inline(parameters["jaxpr"], inputs, place._replace(again=place.again or again))


def _call(parameters: dict[str, Any], inputs: list[Any], place: EquationContext) -> Found:
    return inline(parameters.get("call_jaxpr") or parameters["fun_jaxpr"], inputs, place)


def _scan(parameters: dict[str, Any], inputs: list[Any], place: EquationContext) -> Found:
    """Return a measurement of each layer that is scanned over; time steps and micro-batches are merged."""
    first, carries = constants_and_carries(parameters)
    constants, start, elements = inputs[:first], inputs[first : first + carries], inputs[first + carries :]
    length = parameters["length"]

    def body(carry: list[Any], element: list[Any]) -> Found:
        place.enter([*carry, *element], inputs, parameters)
        return inline(parameters["jaxpr"], [*constants, *carry, *element], place)

    records = _records_of(body, start, [jax.eval_shape(lambda x: x[0], x) for x in elements])
    own = [_is_layer(record, length) for record in records]

    def step(state: Any, element: list[Any]) -> Any:
        carry, merged = state
        found = body(carry, element)
        one, many = _split(found.words, own)
        return (found.outputs[:carries], _merge(records, own, merged, many)), (found.outputs[carries:], one)

    empty = [_empty(record) for record, is_own in zip(records, own, strict=True) if not is_own]
    (carry, merged), (ys, stacked) = lax.scan(
        step, (start, empty), elements, length, reverse=parameters["reverse"], unroll=parameters["unroll"]
    )
    merged_words, stacked_words = iter(merged), iter(stacked)
    words = [next(stacked_words) if is_own else next(merged_words) for is_own in own]
    records = [
        record._replace(layers=(length, *record.layers)) if is_own else record
        for record, is_own in zip(records, own, strict=True)
    ]
    place.enter([*carry, *ys], inputs, parameters)
    return Found([*carry, *ys], records, words)


def _is_layer(record: Record, length: int) -> bool:
    """Tell whether a scan of this length is the innermost scan over layers that is not in the record yet."""
    rest = record.mark.layers[: len(record.mark.layers) - len(record.layers)]
    return bool(rest) and rest[-1] == length


def _while(parameters: dict[str, Any], inputs: list[Any], place: EquationContext) -> Found:
    """Merge over iterations; a condition with marks is evaluated, and measured, in the iteration before."""
    first = parameters["cond_nconsts"]
    second = first + parameters["body_nconsts"]
    of_condition, of_body, start = inputs[:first], inputs[first:second], inputs[second:]
    is_marked = holds_marks(parameters["cond_jaxpr"].jaxpr)

    def condition(carry: list[Any]) -> Found:
        place.enter(carry, inputs, parameters)
        return inline(parameters["cond_jaxpr"], [*of_condition, *carry], place)

    def body(carry: list[Any]) -> Found:
        place.enter(carry, inputs, parameters)
        found = inline(parameters["body_jaxpr"], [*of_body, *carry], place)
        if not is_marked:
            return found
        after = condition(found.outputs)
        return Found([*after.outputs, *found.outputs], found.records + after.records, found.words + after.words)

    records = _records_of(body, start)
    before = [_empty(record) for record in records]
    merges = [False] * len(records)
    if is_marked:
        at_first = condition(start)
        before = before[: len(before) - len(at_first.words)] + at_first.words
        start = [*at_first.outputs, *start]

    def step(state: Any) -> Any:
        carry, merged = state
        found = body(carry[is_marked:])
        return found.outputs, _merge(records, merges, merged, found.words)

    def goes_on(state: Any) -> Any:
        carry = state[0]
        return carry[0] if is_marked else condition(carry).outputs[0]

    outputs, words = lax.while_loop(goes_on, step, (start, before))
    place.enter(outputs, inputs, parameters)
    return Found(list(outputs[is_marked:]), records, words)


def _cond(parameters: dict[str, Any], inputs: list[Any], place: EquationContext) -> Found:
    """Return the measurements of all branches from each; those of branches not taken are empty."""
    index, *operands = inputs
    branches = [functools.partial(inline, branch, place=place) for branch in parameters["branches"]]
    records = [_records_of(branch, operands) for branch in branches]

    def whole(number: int, *operands: Any) -> Any:
        place.enter(operands, inputs, parameters)
        found = branches[number](list(operands))
        others = [[_empty(record) for record in these] for these in records]
        others[number] = found.words
        return found.outputs, others

    outputs, words = lax.switch(index, [functools.partial(whole, i) for i in range(len(branches))], *operands)
    place.enter(outputs, inputs, parameters)
    return Found(list(outputs), [r for these in records for r in these], [w for these in words for w in these])


def _shard_map(parameters: dict[str, Any], inputs: list[Any], place: EquationContext) -> Found:
    """Measure each device's part; the parts are summed over the mesh inside the program."""
    mesh, jaxpr = parameters["mesh"], parameters["jaxpr"]
    manual = parameters.get("newly_manual_axes") or parameters["manual_axes"]  # the second until jax 0.9
    axes = tuple(axis for axis in mesh.axis_names if axis in manual)
    checked, specs = bool(parameters["check_vma"]), tuple(parameters["in_specs"])
    around = place.axes or ()
    records: list[Record] = []
    if place.blocks is not None:
        place.say(
            "within a shard_map each device has a part of a value, and nothing is measured in block formats: rows of "
            f"what is called there have no numbers of {', '.join(place.blocks.names)}"
        )

    def body(*inputs: Any) -> Any:
        replicas = None if checked else Replicas((*around, *axes))
        if replicas is not None:
            replicas.note(inputs, [frozenset(around).union(_axes_of(spec)) for spec in specs])
        found = collect(jaxpr, (), inputs, place._replace(axes=(*around, *axes), replicas=replicas))
        records[:] = found.records
        return found.outputs, found.words

    outputs, words = jax.shard_map(
        body,
        mesh=mesh,
        in_specs=specs,
        out_specs=(list(parameters["out_specs"]), PartitionSpec()),
        axis_names=set(axes),
        check_vma=checked,
    )(*inputs)
    return Found(outputs, records, words)


def _pmap(parameters: dict[str, Any], inputs: list[Any], place: EquationContext) -> Found:
    """Treat a pmap, which is a primitive until jax 0.8, as the shard_map that it has become."""
    axis, devices = parameters["axis_name"], parameters["devices"] or jax.local_devices(backend=parameters["backend"])
    mesh = jax.sharding.Mesh(np.array(devices[: parameters["axis_size"]]), (axis,))
    in_axes, out_axes = parameters["in_axes"], parameters["out_axes"]

    def body(*parts: Any) -> Any:
        own = [part if at is None else part.squeeze(at) for part, at in zip(parts, in_axes, strict=True)]
        outputs = evaluated(core.ClosedJaxpr(parameters["call_jaxpr"], ()), own)
        return [out if at is None else jnp.expand_dims(out, at) for out, at in zip(outputs, out_axes, strict=True)]

    def specs(axes: Any) -> tuple[PartitionSpec, ...]:
        return tuple(PartitionSpec() if at is None else PartitionSpec(*[None] * at, axis) for at in axes)

    whole = jax.shard_map(body, mesh=mesh, in_specs=specs(in_axes), out_specs=list(specs(out_axes)), check_vma=False)
    return inline(jax.make_jaxpr(whole)(*inputs), inputs, place)


def _axes_of(spec: PartitionSpec) -> set[str]:
    """Return the mesh axes over which an array is divided."""
    return {axis for part in spec if part is not None for axis in (part if isinstance(part, tuple) else (part,))}


def _records_of(body: Any, *arguments: Any) -> list[Record]:
    """Return the records of a part of the program, without running it."""
    records: list[Record] = []

    def run(*arguments: Any) -> Any:
        found = body(*arguments)
        records[:] = found.records
        return found.words

    jax.eval_shape(run, *arguments)
    return records


def _split(words: list[jax.Array], own: list[bool]) -> tuple[list[jax.Array], list[jax.Array]]:
    pairs = list(zip(words, own, strict=True))
    return [one for one, is_own in pairs if is_own], [one for one, is_own in pairs if not is_own]


def _merge(records: list[Record], own: list[bool], before: list[Any], words: list[Any]) -> list[jax.Array]:
    merged = [record for record, is_own in zip(records, own, strict=True) if not is_own]
    out = []
    for record, old, new in zip(merged, before, words, strict=True):
        merge = record.kernel.merge
        for _ in record.layers:
            merge = jax.vmap(merge)
        out.append(merge(old, new))
    return out


def _empty(record: Record) -> jax.Array:
    return jnp.broadcast_to(record.kernel.empty, (*record.layers, record.kernel.empty.size))


RULES: dict[str, Rule] = {
    **dict.fromkeys(CALLS, _call),
    "jit": _jit,
    "pjit": _jit,
    "checkpoint": _remat,
    "remat2": _remat,
    "scan": _scan,
    "while": _while,
    "cond": _cond,
    "shard_map": _shard_map,
    "xla_pmap": _pmap,
}
