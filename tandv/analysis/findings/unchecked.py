"""What could not be checked, because the log lacks it: a sentence each, with the argument that would record it."""

import numpy as np

from tandv.analysis.findings.functions import is_function
from tandv.analysis.findings.laws import LASTING
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.order import GUESSED
from tandv.tensor_types import ACTIVATION, GRADIENT, OPTIMISER_STATE, WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE


def unchecked(m: Matrices) -> list[str]:
    """Return what the rules could not look at in a log.

    Args:
        m: the log.
    """
    out = []
    if not m.layers(ACTIVATION):
        out.append("outputs were not recorded: dead and saturated layers, spikes (model.train() while they are)")
    elif not any(is_function(m.types.get((ACTIVATION, name), "")) for name in m.layers(ACTIVATION)):
        out.append(
            "activation functions have no rows of their own: saturation, and dead layers but by their gradients (use "
            "modules, such as nn.ReLU)"
        )
    if (last := _last_output(m)) is not None:
        out.append(
            f"outputs were not recorded after step {last:,}, as of a model in eval mode: what goes wrong in them "
            "(model.train() after an evaluation)"
        )
    if not m.layers(GRADIENT):
        out.append("gradients of outputs were not recorded: underflow, vanishing and exploding; track_gradients=True")
    if not m.layers(WEIGHT_GRADIENT):
        out.append("gradients of weights were not recorded: what is not trained; track_gradients=True")
    if not m.layers(WEIGHT):
        out.append("weights were not recorded: initialisation, growth, what is not trained; track_weights=True")
    if not m.layers(WEIGHT_UPDATE) and "update_to_weight" not in m.statistics:
        out.append("updates were not tracked: update over weight; track_updates=True, or insight=True")
    if not m.layers(WEIGHT_UPDATE) and "rounded_away" not in m.statistics:
        out.append(
            "what updates round to was not measured: updates that are rounded away; insight=True, or track_updates=True"
        )
    if not any(kind.startswith(OPTIMISER_STATE) for kind in m.tensor_types):
        out.append("the optimiser's state was not recorded: its second moment, epsilon; optimizer=optimizer")
    if m.loss is None:
        out.append("the run has no loss: divergence, what precedes a spike of it; tracker.step(loss=loss)")
    if m.layers(ACTIVATION):
        if "dead_units" not in m.statistics:
            out.append("units were not counted: single dead units and outlier channels; track(units=True)")
        if not m.order_is_known:
            out.append(GUESSED[0].lower() + GUESSED[1:].rstrip("."))
    return out


def _last_output(m: Matrices) -> int | None:
    """Return the step with the last outputs, if it is not followed by outputs at 5 recorded steps and more."""
    if not m.layers(ACTIVATION):
        return None
    known = np.flatnonzero(np.isfinite(m(ACTIVATION, "numel")).any(0))
    return int(m.steps[known[-1]]) if len(known) and len(m.steps) - 1 - known[-1] >= LASTING else None
