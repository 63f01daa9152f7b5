"""Inspect PyTorch models."""

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tandv.probes.torch needs PyTorch; install it by `pip install 'tandv[torch]'`", name=error.name
    ) from error

from tandv.probes.torch._attention import attention_patterns
from tandv.probes.torch._outputs import get_intermediate_outputs
from tandv.probes.torch._untouched import untouched

__all__ = ["attention_patterns", "get_intermediate_outputs", "untouched"]
