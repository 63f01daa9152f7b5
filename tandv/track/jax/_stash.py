"""A user's own statistics in a compiled program, and the ready-made functions for `stash_value`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tandv.track.common.measurements import Block, Quantity
from tandv.track.common.stash import Stashed
from tandv.track.jax import _xla
from tandv.track.jax._kernels import Kernel


def stash_scalar_stats(x: jax.Array) -> dict[str, Any]:
    """Return every scalar statistic of an array, inside a compiled function or not.

    >>> float(stash_scalar_stats(jnp.array([3.0, -4.0]))["scalar_stats"]["max_abs"])
    4.0

    Args:
        x: of any shape and of a float type; statistics have the unit of its values.
    """
    return {"scalar_stats": _xla.summarise(x)}


def stash_hist(x: jax.Array) -> dict[str, Any]:
    """Return how many values lie in each power of two, -inf for zeros and inf for infinities.

    >>> histogram = stash_hist(jnp.array([1.0, 1.5, 0.0]))["exp_hist"]
    >>> [(float(n), int(count)) for n, count in zip(histogram["bins"], histogram["hist"]) if count]
    [(-inf, 1), (0.0, 2)]

    Args:
        x: of any shape and of a float type.
    """
    counts, lowest = _xla.counts(x)
    bins = np.array([-np.inf, *range(lowest, lowest + len(counts) - 2), np.inf], np.float32)
    return {"exp_hist": {"hist": counts, "bins": bins}}


def stash_all_stats_and_hist(x: jax.Array) -> dict[str, Any]:
    """Return the scalar statistics and the histogram; given to `track` it is the default, which measures faster.

    >>> list(stash_all_stats_and_hist(jnp.array([1.0, 2.0])))
    ['scalar_stats', 'exp_hist']

    Args:
        x: of any shape and of a float type.
    """
    return stash_scalar_stats(x) | stash_hist(x)


def stash_full_tensor(x: jax.Array) -> dict[str, Any]:
    """Return statistics, histogram and the values themselves, which `track` writes to the run's `tensors/<step>.npz`.

    Types of 16 and 8 bits are written as float32, which represents their values exactly.

    >>> stash_full_tensor(jnp.array([1.0, 2.0]))["full_tensor"].tolist()
    [1.0, 2.0]

    Args:
        x: of any shape and of a float type.
    """
    values = x.astype(jnp.float32) if x.dtype.itemsize < 4 else x
    return stash_all_stats_and_hist(x) | {"full_tensor": values}


def problems(stash_value: Any) -> list[str]:
    """Return what is wrong with a function that is to run inside compiled programs."""
    if not callable(stash_value):
        return [f"stash_value={stash_value!r} must be a function of one array"]
    try:
        answer = jax.eval_shape(stash_value, jax.ShapeDtypeStruct((2, 3), jnp.float32))
    except Exception as error:
        name, reason = getattr(stash_value, "__name__", stash_value), str(error).strip().split("\n")[0]
        return [
            f"stash_value={name} cannot be traced by JAX: {type(error).__name__}: {reason}; "
            "write it with jax.numpy, without float() or numpy"
        ]
    if not isinstance(answer, dict) or not answer:
        return [f"stash_value must return a dict of scalars such as {{'std': jnp.std(x)}}, not {type(answer).__name__}"]
    return []


class Own:
    """A user's function as a kernel: its answers travel as words, like every other measurement."""

    def __init__(self, stash_value: Callable[[jax.Array], Any]):
        self._stash_value = stash_value
        self._kernels: dict[Any, Kernel] = {}

    def __call__(self, x: Any) -> Kernel:
        key = x.shape, x.dtype
        if key not in self._kernels:
            self._kernels[key] = self._kernel(*key)
        return self._kernels[key]

    def block(self, step: int, parts: list[tuple[list[Quantity], list[str], Any]]) -> Block:
        """Return the rows of a step from what the function answered; the last call of a step counts."""
        stashed = Stashed(self._stash_value)
        for quantities, dtypes, answers in parts:
            for quantity, dtype, (answer, calls) in zip(quantities, dtypes, answers, strict=True):
                if calls:
                    stashed.put(answer, dtype, quantity, calls)
        return stashed.take(step)

    def _kernel(self, shape: tuple[int, ...], dtype: Any) -> Kernel:
        answer = jax.eval_shape(self._stash_value, jax.ShapeDtypeStruct(shape, dtype))
        leaves, structure = jax.tree.flatten(answer)

        def measure(x: jax.Array, _: tuple[str, ...]) -> jax.Array:
            return jnp.concatenate([jnp.ones(1, jnp.uint32), *map(_words, jax.tree.leaves(self._stash_value(x)))])

        def merge(one: jax.Array, other: jax.Array) -> jax.Array:
            return jnp.where(other[0] == 0, one, other.at[0].add(one[0]))

        def answers(words: np.ndarray) -> list[tuple[Any, int]]:
            return [self._answer(row, leaves, structure) for row in words.reshape(-1, words.shape[-1])]

        size = 1 + sum(_size(leaf) for leaf in leaves)
        return Kernel(measure, merge, np.zeros(size, np.uint32), answers)

    @staticmethod
    def _answer(words: np.ndarray, leaves: list[Any], structure: Any) -> tuple[Any, int]:
        start, values = 1, []
        for leaf in leaves:
            part = np.ascontiguousarray(words[start : start + _size(leaf)])
            start += _size(leaf)
            value = part.view(_carried(leaf.dtype)).reshape(leaf.shape)
            values.append(value if value.ndim else value.item())
        return jax.tree.unflatten(structure, values), int(words[0])


def _carried(dtype: Any) -> np.dtype:
    """Return the type of 4 or 8 bytes in which numbers of a type travel."""
    dtype = np.dtype(dtype)
    if dtype.itemsize >= 4:
        return dtype
    return np.dtype(np.float32 if jnp.issubdtype(dtype, jnp.floating) else np.int32)


def _words(value: Any) -> jax.Array:
    value = jnp.asarray(value)
    return lax.bitcast_convert_type(value.astype(_carried(value.dtype)), jnp.uint32).reshape(-1)


def _size(leaf: Any) -> int:
    return int(np.prod(leaf.shape, dtype=int)) * _carried(leaf.dtype).itemsize // 4
