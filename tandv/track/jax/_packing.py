"""All measurements of a program as one array, for one copy to the host, and the reverse."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from tandv.track.jax._collect import Record


def packed(words: Sequence[jax.Array]) -> jax.Array:
    """Return the words of all measurements as one array."""
    return jnp.concatenate([one.reshape(-1) for one in words]) if words else jnp.zeros(0, jnp.uint32)


def unpacked(words: np.ndarray, records: "Sequence[Record]") -> "Iterator[tuple[Record, np.ndarray]]":
    """Yield the words [*layers, of one measurement] of each record."""
    start = 0
    for record in records:
        size = int(np.prod(record.layers, dtype=int)) * record.kernel.empty.size
        yield record, words[start : start + size].reshape(*record.layers, -1)
        start += size
