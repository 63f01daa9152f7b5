"""Measure block formats inside a compiled CPU program by the kernel that measures them on the host, see `_native`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from tandv.track.jax._native import capsule

_TARGET = "tandv_blocks"


@functools.cache
def available() -> bool:
    """Tell whether programs for the CPU can call the kernel here, by trying it; not to be called within a trace."""
    try:
        from tandv.measure import block_ffi
        from tandv.measure.blocks import block_format, described

        jax.ffi.register_ffi_target(_TARGET, capsule(block_ffi.measure_block_operands.address or 0), platform="cpu")
        formats = described([block_format("mxfp4")])
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            words = jax.jit(lambda x: measure(x, (1, 2, 1), formats))(jnp.array([3.0, 0.05], jnp.float32))
        return np.asarray(words)[[0, 5]].tolist() == [1, 1]
    except Exception:  # no numba, or another interface of XLA: its own operations are used instead
        return False


def measure(x: jax.Array, lengths: tuple[int, int, int], formats: np.ndarray) -> jax.Array:
    """Return the words of a measurement of `x` [outer, length, inner], whatever its shape."""
    flat = jax.lax.optimization_barrier(jax.lax.reshape(x, (x.size,)))
    if x.dtype == jnp.bfloat16:
        flat = jax.lax.bitcast_convert_type(flat, jnp.uint16).astype(jnp.uint32) << 16
    else:
        flat = jax.lax.bitcast_convert_type(flat.astype(jnp.float32), jnp.uint32)
    numbers = np.concatenate([np.array(lengths, np.float64), formats.reshape(-1)]).view(np.uint32)
    result = jax.ShapeDtypeStruct((1 + 7 * len(formats),), jnp.uint32)
    return jax.ffi.ffi_call(_TARGET, result, vmap_method="sequential")(flat, numbers)
