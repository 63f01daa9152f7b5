"""The pure form: a function that also returns what its modules measured, as arrays, for any of JAX's transforms."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.tree_util import register_pytree_node_class

from tandv.tensor_types import OPTIMISER_STATE, WEIGHT, WEIGHT_GRADIENT
from tandv.track.common.block_formats import Axes, format_problems
from tandv.track.common.reporting import warn
from tandv.track.jax import _entry, _haiku, _hosts, _linen, _objects
from tandv.track.jax._block_kernels import BlockFormats
from tandv.track.jax._calls import Calls
from tandv.track.jax._collect import EquationContext, Record, collect, spans_devices
from tandv.track.jax._kernels import chooser
from tandv.track.jax._messages import said_of
from tandv.track.jax._models import is_within_shards
from tandv.track.jax._names import optimizer_states, weights
from tandv.track.jax._naming import Namer, is_staged
from tandv.track.jax._packing import unpacked
from tandv.track.jax._stacks import whole_of
from tandv.track.settings import Pattern, Settings


@register_pytree_node_class
class Measurements:
    """The measurements that a call of a measured function returns: a pytree of arrays, for `tracker.record`.

    Under `vmap` and `scan` each array has further leading axes, as other results have.

    >>> import jax.numpy as jnp
    >>> from tandv.track.jax import measured, tag
    >>> _, m = measured(lambda x: tag(2 * x, "doubled"))(jnp.ones(3))
    >>> m
    Measurements(1 values)

    Args:
        about: what is known without running the program: a record for each array, the names of the modules that were
            called, the axes of stacked layers, the model's class, dtypes that are not measured, the first error, block
            formats.
        words: for each record an array of uint32, the packed row of a measurement.
    """

    def __init__(self, about: tuple[Any, ...], words: tuple[Any, ...]):
        self._about, self.words = about, words

    @property
    def records(self) -> tuple[Record, ...]:
        """The quantity that each array measures."""
        return self._about[0]

    @property
    def names(self) -> dict[str, str]:
        """The class of each module that was called, by its name."""
        return dict(self._about[1])

    @property
    def stacks(self) -> dict[Any, tuple[int, ...]]:
        """The axes of parameters that number layers."""
        return dict(self._about[2])

    @property
    def left_out(self) -> dict[str, str]:
        """For each dtype that is not measured, the name of the first value that has it."""
        return dict(self._about[4])

    @property
    def error(self) -> str | None:
        """The first error in finding names, None without one."""
        return self._about[5]

    @property
    def root(self) -> str | None:
        """The class of the model."""
        return self._about[3]

    @property
    def formats(self) -> tuple[str, ...]:
        """The block formats that operands are measured in."""
        return self._about[6]

    def tree_flatten(self) -> tuple[tuple[Any, ...], Any]:
        return self.words, self._about

    @classmethod
    def tree_unflatten(cls, about: Any, words: Any) -> "Measurements":
        return cls(about, tuple(words))

    def __repr__(self) -> str:
        return f"Measurements({len(self.records)} values)"


def measured(
    function: Callable[..., Any],
    *,
    include: Pattern | None = None,
    exclude: Pattern | None = None,
    track_gradients: bool = True,
    units: bool = False,
    formats: Sequence[str] | None = None,
    formats_axis: Axes = None,
    trees: Callable[..., Mapping[str, Any]] | None = None,
) -> Callable[..., Any]:
    """Return a pure function of the same arguments that returns `(output, m)`; `m` is for `tracker.record`.

    It composes with JAX's transforms: jit it, compile it ahead of time, scan over it, donate its arguments.

    >>> import jax.numpy as jnp
    >>> from tandv.track.jax import measured, tag, track
    >>> def double(x):
    ...     return tag(2 * x, "doubled")
    >>> step = jax.jit(measured(double)).lower(jnp.ones(3)).compile()
    >>> with track() as tracker:
    ...     y, m = step(jnp.ones(3))
    ...     tracker.record(m)
    ...     tracker.step()
    >>> print(y)
    [2. 2. 2.]

    Args:
        function: transformed in any way (`grad`, `vmap`, `scan`, `remat`, `shard_map`) but not yet compiled ahead of
            time. Its arrays may have any shape.
        include, exclude: regular expressions searched in the dotted names of modules.
        track_gradients: whether gradients with respect to outputs are measured.
        units: whether the units of outputs and of these gradients are counted, as by `track(units=True)`.
        formats, formats_axis: block formats that outputs, gradients and weights are measured in, and the axis of their
            blocks, as by `track(formats=...)`; `tracker.record` adds their columns to the log.
        trees: a function of the output and the arguments that returns pytrees to measure, by their tensor type:
            `lambda out, params, x: {"Weight": params}`. Needed for weights inside a scan over steps.

    Raises ValueError naming what is wrong with an argument, and where the returned function is called inside a
    `shard_map`, or runs a program that was compiled ahead of time.
    """
    found = Settings(include=include, exclude=exclude, track_gradients=track_gradients).problems()
    found += format_problems(formats, formats_axis, not _hosts.several(), own_function=False)
    if isinstance(function, jax.stages.Compiled):
        found.append("a program that was compiled ahead of time cannot be given measurements; measure before compiling")
    elif not callable(function):
        found.append(f"function={function!r} must be callable")
    if found:
        raise ValueError("cannot measure this function:\n  " + "\n  ".join(found))
    settings = Settings(include=include, exclude=exclude)
    direct = Namer(settings.selects, track_gradients)
    blocks = BlockFormats(tuple(dict.fromkeys(formats)), formats_axis) if formats else None
    calls = Calls(None, False, warn, _failed, direct.settle, lambda: None, units, blocks)

    def watched(namer: Namer, context: Any, args: Any, kwargs: Any) -> Any:
        namer.models = [(args, kwargs), *_objects.reached(function)]
        with namer.on(context), _linen.watched(), _haiku.watched(), _objects.watched():
            output = function(*args, **kwargs)
            if trees is not None:
                _mark(trees(output, *args, **kwargs), namer)
        return output

    @functools.wraps(function, updated=())
    def run(*args: Any, **kwargs: Any) -> Any:
        _refuse_shards()
        leaves, whole = jax.tree.flatten((args, kwargs))
        if _entry.available() and not is_staged() and not any(isinstance(leaf, Tracer) for leaf in leaves):
            with calls.on(True):
                output = watched(direct, calls, args, kwargs)
            calls.remove()
            measurements = [pair for one in calls.found for pair in unpacked(one.words, one.records)]
            records, words = [record for record, _ in measurements], [one for _, one in measurements]
            return output, _measurements(direct, records, words, blocks)
        namer = Namer(settings.selects, track_gradients)
        structure: list[Any] = []

        def flat(inputs: Any) -> list[Any]:
            output = watched(namer, object(), *_with(leaves, whole, inputs))
            results, tree = jax.tree.flatten(output)
            structure[:] = [tree, [None if _is_array(x) else x for x in results]]
            return [x for x in results if _is_array(x)]

        inputs = [leaf for leaf in leaves if _is_array(leaf)]
        traced = jax.make_jaxpr(flat)(inputs)
        for message in said_of(namer).values():
            warn(message)
        alone = jax.device_count() == 1 and jax.default_backend() == "cpu" and not spans_devices(traced.jaxpr)
        found = collect(
            traced.jaxpr, traced.consts, inputs,
            EquationContext(chooser(alone), [], units=units, blocks=blocks, one_cpu=alone),
        )  # fmt: skip
        tree, fixed = structure
        rest = iter(found.outputs)
        output = jax.tree.unflatten(tree, [next(rest) if one is None else one for one in fixed])
        return output, _measurements(namer, found.records, found.words, blocks)

    return run


def _measurements(namer: Namer, records: list[Record], words: list[Any], blocks: BlockFormats | None) -> Measurements:
    names, stacks, left_out = (tuple(one.items()) for one in (namer.names, namer.stacks, namer.left_out))
    error = None if namer.error is None else repr(namer.error)
    formats = () if blocks is None else blocks.names
    return Measurements((tuple(records), names, stacks, namer.root, left_out, error, formats), tuple(words))


def _failed(where: str, error: Exception) -> None:
    warn(f"a measured function is not measured, {where}: {type(error).__name__}: {error}")


def steps_of(m: Measurements) -> Iterator[list[np.ndarray]]:
    """Yield the words of each step of a scan on the host, after one copy from the device."""
    words = jax.device_get(list(m.words))
    for i in range(len(words[0]) if words else 0):
        yield [one[i] for one in words]


def record_problems(
    m: Any, steps_axis: int | None, numbers: Mapping[str, Any], formats: Sequence[str], own_function: bool
) -> list[str]:
    """Return what is wrong with what `record` was given, where the tracker measures `formats`, or calls a function."""
    if not isinstance(m, Measurements):
        return [f"m={type(m).__name__} must be the second of the two results of a measured function"]
    if any(isinstance(one, Tracer) for one in m.words):
        return ["m is being traced: return it from the compiled function, and record it outside"]
    if m.formats and own_function:
        return ["m has block formats, which a stash_value= of your own cannot be combined with; leave one out"]
    if m.formats and formats and tuple(formats) != m.formats:
        return [f"m has the block formats {', '.join(m.formats)}, this log {', '.join(formats)}; give both the same"]
    further = {one.ndim - 1 - len(record.layers) for one, record in zip(m.words, m.records, strict=True)}
    if steps_axis is None and further - {0}:
        return [
            f"m has {max(further)} more axes than one step has; say which of them numbers the steps, as in "
            "tracker.record(m, steps_axis=0)"
        ]
    if steps_axis is not None and further - {1}:
        return [
            f"steps_axis={steps_axis} needs exactly one more axis than one step has; m has {max(further, default=0)}"
        ]
    if steps_axis not in (None, 0):
        return [f"steps_axis={steps_axis} must be 0, the axis along which jax.lax.scan stacks what it returns"]
    if steps_axis is None:
        return []
    steps = len(m.words[0]) if m.words else 0
    return [
        f"{name} has the shape {np.shape(values)}, but m has {steps} steps: give an array of a number for each step"
        for name, values in numbers.items()
        if np.shape(values)[:1] != (steps,)
    ]


def _refuse_shards() -> None:
    if is_within_shards():
        raise ValueError(
            "measured(function) inside a shard_map measures each device's part alone; write it around: "
            "measured(jax.shard_map(function, ...))"
        )


def _mark(trees: Mapping[str, Any], namer: Namer) -> None:
    for tensor_type, tree in trees.items():
        if tensor_type == OPTIMISER_STATE:
            leaves = optimizer_states(tree, trees[WEIGHT], namer.stacks, warn)
        else:
            model = trees.get(WEIGHT) if tensor_type == WEIGHT_GRADIENT else None
            leaves = weights(tree, tensor_type, namer.stacks, model, warn)
        for leaf in leaves:
            namer.leaves(whole_of(leaf.array), lambda *_, name=leaf.name: [((name,), ())], leaf.tensor_type, leaf.key)


def _with(leaves: list[Any], whole: Any, inputs: list[Any]) -> Any:
    rest = iter(inputs)
    return jax.tree.unflatten(whole, [next(rest) if _is_array(leaf) else leaf for leaf in leaves])


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)
