"""Inspect models of flax: linen modules bound to their variables, and nnx modules."""

from tandv.messages import missing

try:
    import flax  # noqa: F401
except ModuleNotFoundError as error:
    raise missing("flax", "jax", "tandv.probes.jax") from error

from tandv.probes.jax._inspection import attention_patterns, get_intermediate_outputs, untouched

__all__ = ["attention_patterns", "get_intermediate_outputs", "untouched"]
