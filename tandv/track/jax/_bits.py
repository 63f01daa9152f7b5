"""Whether two programs have the same results: every bit, and the type and sharding, which later programs depend on."""

import ctypes
import hashlib
from typing import Any, NamedTuple

import jax
import numpy as np

from tandv import measure


class Bits(NamedTuple):
    """What is compared of an array; a digest, since there may be no memory for two arrays."""

    kind: str  # shape, type and the like
    ndim: int
    sharding: Any
    digests: list[bytes]  # of each device's part

    def same_as(self, other: "Bits") -> bool:
        """Tell whether the two arrays are identical."""
        return (
            self.kind == other.kind
            and self.digests == other.digests
            and (self.sharding is None) == (other.sharding is None)
            and (self.sharding is None or self.sharding.is_equivalent_to(other.sharding, self.ndim))
        )


def bits_of(x: Any) -> Bits:
    """Return the bits of an array, waiting for it.

    >>> one, other = bits_of(jax.numpy.zeros(2)), bits_of(jax.numpy.array([0.0, -0.0]))
    >>> one.same_as(one), one.same_as(other)
    (True, False)
    """
    if not isinstance(x, jax.Array):
        x = np.asarray(x)
        return Bits(f"{x.shape}{x.dtype}", x.ndim, None, [_digest(x.tobytes())])
    kind = f"{x.shape}{x.dtype}{getattr(x.aval, 'weak_type', None)}{getattr(x, 'committed', None)}"
    numbers = jax.random.key_data(x) if jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    return Bits(kind, x.ndim, x.sharding, [_digest(_memory(shard.data)) for shard in numbers.addressable_shards])


def _digest(memory: Any) -> bytes:
    return hashlib.blake2b(memory, digest_size=16).digest()


def _memory(one: jax.Array) -> Any:
    if [device.platform for device in one.devices()] == ["cpu"] and (
        one.dtype.kind in "biufc" or str(one.dtype) in measure.MEASURED
    ):
        # By address: a NumPy view would be cached by JAX, and prevent donation of the array.
        address = one.block_until_ready().unsafe_buffer_pointer()
        return (ctypes.c_char * one.nbytes).from_address(address) if one.nbytes else b""
    return np.asarray(jax.numpy.copy(one)).tobytes()


@jax.jit
def copied(arrays: list[Any]) -> list[Any]:
    """Return copies of arrays, made by one program."""
    return [jax.numpy.copy(x) for x in arrays]
