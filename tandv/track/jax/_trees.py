"""Measure all arrays of a pytree: on a CPU in place, else in one call on the device."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from tandv import measure, statistics
from tandv.track.jax._block_kernels import BlockFormats, axis_of_weight, kernel_of
from tandv.track.jax._collect import Record
from tandv.track.jax._kernels import Kernel, xla
from tandv.track.jax._names import Leaf
from tandv.track.jax._packing import packed
from tandv.track.jax._rows import OnDevice, OnHost
from tandv.track.jax._stacks import Slice, whole_of
from tandv.track.jax._tag import Mark

_THREADS = 2  # for a large tree; XLA uses all cores before and after


def measured(leaves: list[Leaf], own: Callable[[Any], Kernel] | None = None) -> OnHost | OnDevice:
    """Measure the arrays of leaves; those in the memory of the host are read in place."""
    arrays = [leaf.array for leaf in leaves]
    if own is None and all(map(_is_here, arrays)):
        return OnHost([leaf._replace(array=leaf.array.dtype) for leaf in leaves], _read(arrays))
    kernels = tuple(own(x) if own is not None else xla(np.dtype(x.dtype)) for x in arrays)
    records = [
        Record(Mark((leaf.name,), "", leaf.tensor_type), str(leaf.array.dtype), kernel)
        for leaf, kernel in zip(leaves, kernels, strict=True)
    ]
    wholes = {id(whole): whole for whole in map(uncut, arrays)}
    place = {key: number for number, key in enumerate(wholes)}
    parts = tuple((place[id(uncut(x))], x.at if isinstance(x, Slice) else None) for x in arrays)
    return OnDevice(records, _measure(list(wholes.values()), parts, kernels, _replicated(wholes.values())))


def measured_in_blocks(leaves: list[Leaf], blocks: BlockFormats) -> OnDevice | None:
    """Measure weights in block formats, in one call where they are."""
    axes = [axis_of_weight(whole_of(leaf.array), leaf.key, blocks.axes) for leaf in leaves]
    chosen = [(leaf, axis) for leaf, axis in zip(leaves, axes, strict=True) if axis is not None]
    if not chosen:
        return None
    here = all(_is_here(leaf.array) and len(uncut(leaf.array).devices()) == 1 for leaf, _ in chosen)
    kernels = tuple(kernel_of(blocks.names, axis, here) for _, axis in chosen)
    records = [
        Record(Mark((leaf.name,), "", leaf.tensor_type), str(leaf.array.dtype), kernel, of_blocks=True)
        for (leaf, _), kernel in zip(chosen, kernels, strict=True)
    ]
    return OnDevice(records, _measure([whole_of(leaf.array) for leaf, _ in chosen], _each(len(chosen)), kernels))


def _each(count: int) -> tuple[Any, ...]:
    return tuple((number, None) for number in range(count))


def _replicated(arrays: Iterable[Any]) -> Any:
    """Return the sharding of words that each of several processes needs in full, for arrays on a mesh."""
    meshes = (getattr(array.sharding, "mesh", None) for array in arrays if isinstance(array, jax.Array))
    mesh = next((mesh for mesh in meshes if mesh is not None), None) if jax.process_count() > 1 else None
    return None if mesh is None else NamedSharding(mesh, PartitionSpec())


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _measure(
    arrays: list[jax.Array], parts: tuple[Any, ...], kernels: tuple[Kernel, ...], everywhere: Any = None
) -> jax.Array:
    values = [arrays[number] if at is None else Slice(arrays[number], at).of(arrays[number]) for number, at in parts]
    words = packed([kernel.measure(x, ()) for x, kernel in zip(values, kernels, strict=True)])
    if everywhere is not None:
        words = jax.lax.with_sharding_constraint(words, everywhere)
    return words


def uncut(array: Any) -> Any:
    """Return the whole array of a slice, or the array itself."""
    return array.whole if isinstance(array, Slice) else array


def is_measurable(dtype: Any) -> bool:
    """Tell whether arrays of a dtype can be measured (numbers of less than 8 bits cannot)."""
    return str(dtype) in measure.MEASURED


def _is_here(array: Any) -> bool:
    array = uncut(array)
    if isinstance(array, np.ndarray):
        return True
    return array.is_fully_addressable and all(device.platform == "cpu" for device in array.devices())


def _read(arrays: list[Any]) -> np.ndarray:
    """Return one row for each array; each shard is read once, however often it is replicated."""
    parts, owners = [], []
    for owner, array in enumerate(arrays):
        for part in _parts(array):
            parts.append(part)
            owners.append(owner)
    wide = any(measure.dtype_name(part) == "float64" for part in parts)
    rows = statistics.empty_rows(len(parts), statistics.WIDE_ROW if wide else statistics.ROW)
    measure.add(parts, range(len(parts)), rows, _THREADS)
    if owners == list(range(len(arrays))):
        return rows
    rows["calls"] = np.diff(owners, prepend=-1) != 0  # the parts of an array make one call together
    return statistics.merge(rows, np.array(owners))


class _Memory(NamedTuple):
    """The memory of an array, as the producers read it."""

    dtype: Any
    address: int
    size: int
    owner: Any

    def data_ptr(self) -> int:
        return self.address

    def is_contiguous(self) -> bool:
        return True

    def numel(self) -> int:
        return self.size


def _parts(array: Any) -> list[Any]:
    if isinstance(array, Slice):
        [part, *others] = _parts(array.whole)
        if array.start is None or others or not isinstance(part, _Memory):
            return _parts(whole_of(array))
        return [part._replace(address=part.address + array.start * array.dtype.itemsize, size=array.size)]
    if isinstance(array, np.ndarray):
        return [np.ascontiguousarray(array)]
    array.block_until_ready()
    one = len(array.devices()) == 1  # to list shards takes as long as to measure 10,000 elements
    data = [array] if one else [shard.data for shard in array.addressable_shards if shard.replica_id == 0]
    # By address: a NumPy view would be cached by JAX, and prevent donation of the array.
    return [_Memory(one.dtype, one.unsafe_buffer_pointer(), one.size, one) for one in data]
