"""Inspect PyTorch models."""

from tandv.messages import missing

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise missing("torch", "torch", "tandv.probes.torch") from error

from tandv.probes.torch._attention import attention_patterns
from tandv.probes.torch._generators import generators
from tandv.probes.torch._outputs import get_intermediate_outputs
from tandv.probes.torch._plans import AppliedPlan, apply_plan, rounded
from tandv.probes.torch._reading import matrices, reader
from tandv.probes.torch._untouched import untouched
from tandv.probes.torch._weights import models_of, with_weights

__all__ = [
    "AppliedPlan",
    "apply_plan",
    "attention_patterns",
    "generators",
    "get_intermediate_outputs",
    "matrices",
    "models_of",
    "reader",
    "rounded",
    "untouched",
    "with_weights",
]
