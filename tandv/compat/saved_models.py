"""Models as they were saved: by step, each ready to be run on a batch."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tandv.checkpoints import find
from tandv.checkpoints.readers.opening import opened
from tandv.probes.inspection import untouched, with_weights

Run = Callable[[Any], Any]
_NESTED = ("model_state_dict", "state_dict", "model")  # keys under which a checkpoint keeps the weights
_FORMS = "give {step: model}, {step: state_dict}, a list of these, a folder of checkpoints, or files"


def by_step(checkpoints: Any) -> dict[int | float, Any]:
    """Return checkpoints by step: of a folder or of files by their names, of a list counted from 0.

    >>> by_step([{"weight": 1.0}, {"weight": 2.0}])[1]
    {'weight': 2.0}

    Args:
        checkpoints: {step: model, weights or file}, a list of these, or a folder.

    Raises ValueError for anything else, NoCheckpoints for a folder without some.
    """
    if isinstance(checkpoints, str | os.PathLike):
        return {one.step: one.path for one in find(Path(checkpoints))}
    if isinstance(checkpoints, Mapping) and checkpoints:
        return {_step(step): one for step, one in sorted(checkpoints.items(), key=lambda pair: float(pair[0]))}
    if isinstance(checkpoints, Sequence) and checkpoints:
        if all(isinstance(one, str | os.PathLike) for one in checkpoints):
            return {one.step: one.path for one in find([Path(one) for one in checkpoints])}
        return dict(enumerate(checkpoints))
    given = "an empty dict" if isinstance(checkpoints, Mapping) else f"a {type(checkpoints).__name__}"
    raise ValueError(f"model_checkpoints is {given}; {_FORMS}")


def runs_of(checkpoints: Mapping[Any, Any], model: Any = None) -> dict[Any, Run]:
    """Return for each checkpoint a function that runs its model on a batch, in evaluation mode and without a trace.

    Weights alone are run by `model`, whose own stay as they are; without it, by the model in memory that they fit.

    >>> runs_of({0: lambda x: x + 1})[0](1)
    2

    Args:
        checkpoints: by step: models that can be called, weights by name, or files of these.
        model: the model whose weights they are; also a function of weights and batch.

    Raises ValueError if weights have no model, or not this one.
    """
    bare = {step: one for step, one in checkpoints.items() if isinstance(one, Mapping | str | os.PathLike)}
    strange = [
        f"{step} ({type(one).__name__})" for step, one in checkpoints.items() if step not in bare and not callable(one)
    ]
    states = {step: _state(one) for step, one in bare.items()}
    why = ""
    if bare and model is None:
        model, why = _in_memory(next(iter(states.values())))
    if strange or (bare and model is None):
        listed = [f"{step} ({type(checkpoints[step]).__name__})" for step in [*strange, *([] if model else bare)]]
        raise ValueError(
            f"these checkpoints are no models that can be called: {', '.join(listed[:5])}; load each into a model of "
            f"its own, or give model=, the model that they are weights of{why}, or give accuracy=, a function of a "
            "checkpoint and the data"
        )
    return {
        step: _running(model, states[step]) if step in states else _calling(one) for step, one in checkpoints.items()
    }


def _step(step: Any) -> int | float:
    number = float(step)
    return int(number) if number.is_integer() else number


def _state(one: Any) -> Mapping[str, Any]:
    """Return the weights of a checkpoint in memory or in a file, by name."""
    if isinstance(one, Mapping):
        nested = next((one[key] for key in _NESTED if isinstance(one.get(key), Mapping)), None)
        return one if nested is None else nested
    with opened(Path(one)) as file:
        return {name: entry.read() for name, entry in file.entries.items()}


def _in_memory(state: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the only model in memory that has these weights, or None and why there is none."""
    if "torch" not in sys.modules:
        return None, ""
    from tandv.probes.torch import models_of

    found = models_of(state)
    if len(found) == 1:
        return found[0], ""
    return (
        None,
        " (several different ones in memory have such weights)" if found else " (none in memory has such weights)",
    )


def _running(model: Any, state: Mapping[str, Any]) -> Run:
    call = with_weights(model, state)
    if not hasattr(model, "named_parameters"):  # no module of PyTorch, which has nothing to be left as it is
        return lambda batch: call(model, batch)

    def run(batch: Any) -> Any:
        with untouched(model) as inner:
            return call(inner, batch)

    return run


def _calling(model: Any) -> Run:
    if not hasattr(model, "named_parameters"):
        return model

    def run(batch: Any) -> Any:
        with untouched(model) as inner:
            return inner(batch)

    return run
