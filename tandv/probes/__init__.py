"""A model and a fixed batch in, named arrays out; over training, curves. Nothing of the run is touched.

`get_intermediate_outputs` and `attention_patterns` look once, `probe` looks every n steps while the model trains.
The framework is that of the model, and is imported only then.
"""

from typing import Any

from tandv.probes.inspection import attention_patterns, get_intermediate_outputs
from tandv.probes.measures import attention_of, heads_of, outputs_of
from tandv.probes.over_time import MEASURES, Probe, probe, read_arrays

__all__ = [
    "MEASURES",
    "AttentionEvolutionPlotter",
    "Probe",
    "attention_of",
    "attention_patterns",
    "get_intermediate_outputs",
    "heads_of",
    "outputs_of",
    "probe",
    "read_arrays",
]


def __getattr__(name: str) -> Any:
    if name == "AttentionEvolutionPlotter":  # a published name, which also draws: it is kept with the others
        from tandv.compat import AttentionEvolutionPlotter

        return AttentionEvolutionPlotter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
