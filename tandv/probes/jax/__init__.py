"""Inspect models of flax: linen modules bound to their variables, and nnx modules."""

try:
    import flax  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tandv.probes.jax needs flax; install it by `pip install 'tandv[jax]'`", name=error.name
    ) from error

from tandv.probes.jax._inspection import attention_patterns, get_intermediate_outputs, untouched

__all__ = ["attention_patterns", "get_intermediate_outputs", "untouched"]
