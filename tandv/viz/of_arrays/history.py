"""The arrays that plots take, by step and layer: {step: {layer: array}}."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tandv.arrays import as_array
from tandv.log.choice_of_steps import Steps, steps_meant
from tandv.messages import UnknownName, listed, near_steps, unknown

History = Mapping[int, Mapping[str, Any]]


def as_history(data: Any) -> dict[int, dict[str, np.ndarray]]:
    """Return {step: {layer: array}}, ascending; arrays of one moment get step 0, a single array the name "".

    >>> as_history({"fc": [1.0]})
    {0: {'fc': array([1.])}}
    """
    if getattr(getattr(data, "columns", None), "nlevels", 1) > 1:
        raise TypeError(
            "a log holds statistics, not the arrays that are drawn here; give {layer: array}, such as "
            "attention_patterns(model, batch) or get_intermediate_outputs(model, batch) of tandv.probes return"
        )
    if not isinstance(data, Mapping):
        data = {0: {"": data}}
    elif not all(isinstance(value, Mapping) for value in data.values()):
        data = {0: data}
    if not data or not all(data.values()):
        raise ValueError("there are no arrays; give {layer: array}, or {step: {layer: array}}")
    if fractions := [step for step in data if int(step) != step]:
        raise ValueError(f"steps of arrays are whole numbers, not {fractions[0]}; count optimiser steps, not epochs")
    return {int(step): {str(layer): as_array(array) for layer, array in data[step].items()} for step in sorted(data)}


def layers_of(history: History) -> list[str]:
    """Return the layers in order of first appearance."""
    return list(dict.fromkeys(layer for arrays in history.values() for layer in arrays))


def chosen_layer(history: History, layer: str | None) -> str:
    """Return a layer that is there, the first one by default; raise UnknownName naming the nearest."""
    there = layers_of(history)
    if layer is None:
        return there[0]
    if layer not in there:
        raise UnknownName(unknown("layer", layer, there))
    return layer


def chosen_steps(history: History, layer: str, step: Steps | None) -> list[int]:
    """Return the steps that are wanted, by default the last one; raise UnknownName naming the nearest."""
    there = [one for one in history if layer in history[one]]
    if step is None:
        return there[-1:]
    meant, has = steps_meant(step), np.array(there, np.int64)
    if lacking := meant.lacking(has):
        raise UnknownName(f"no array of {layer!r} at step {lacking[0]}; {near_steps(lacking[0], there)}")
    wanted = has[meant.among(has, int(has[0]))] if meant.each is None else meant.each
    if not len(wanted):
        raise UnknownName(f"no step was asked for; there are {listed(there)}")
    return wanted.tolist()


def spread(there: Sequence[Any], most: int) -> list[Any]:
    """Return at most `most` items of a sequence, evenly spaced, with the first and the last.

    >>> spread(range(0, 1000, 100), 4)
    [0, 300, 600, 900]
    """
    if len(there) <= most:
        return list(there)
    return [there[round(i * (len(there) - 1) / (most - 1))] for i in range(most)]
