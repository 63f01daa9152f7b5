"""Inspect models of JAX: flax.linen modules bound to their variables, flax.nnx and equinox modules."""

from tandv.messages import missing

try:
    import jax  # noqa: F401
except ModuleNotFoundError as error:
    raise missing("jax", "jax", "tandv.probes.jax") from error

from tandv.probes.jax._attention import attention_patterns
from tandv.probes.jax._models import untouched
from tandv.probes.jax._outputs import get_intermediate_outputs
from tandv.probes.jax._reading import matrices, reader

__all__ = ["attention_patterns", "get_intermediate_outputs", "matrices", "reader", "untouched"]
