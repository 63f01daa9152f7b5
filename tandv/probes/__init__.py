"""A model and a fixed batch in, named arrays out; over training, curves. Nothing of the run is touched.

`get_intermediate_outputs` and `attention_patterns` look once, `probe` looks every n steps while the model trains.
The framework is that of the model, and is imported only then.
"""

from tandv.probes.attention_evolution import AttentionEvolutionPlotter
from tandv.probes.looking import attention_patterns, get_intermediate_outputs
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
