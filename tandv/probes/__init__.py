"""Run a model on a fixed batch and return named arrays; repeated during training, curves.

`get_intermediate_outputs` and `attention_patterns` run the model once; `probe` runs it every n steps of training. The
model is left unchanged. Its framework is imported only when it is used.
"""

from typing import TYPE_CHECKING, Any

from tandv.probes.inspection import attention_patterns, get_intermediate_outputs
from tandv.probes.lens import Lens, lens_of, logit_lens
from tandv.probes.measures import attention_of, correlations_of, dimensions_of, heads_of, outputs_of
from tandv.probes.over_time import MEASURES, Probe, probe, read_arrays

if TYPE_CHECKING:
    from tandv.compat import AttentionEvolutionPlotter

__all__ = [
    "MEASURES",
    "AttentionEvolutionPlotter",
    "Lens",
    "Probe",
    "attention_of",
    "attention_patterns",
    "correlations_of",
    "dimensions_of",
    "get_intermediate_outputs",
    "heads_of",
    "lens_of",
    "logit_lens",
    "outputs_of",
    "probe",
    "read_arrays",
]


def __getattr__(name: str) -> Any:
    if name == "AttentionEvolutionPlotter":  # a published name; it draws too, so it is defined with the other ones
        from tandv.compat import AttentionEvolutionPlotter

        return AttentionEvolutionPlotter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
