"""Measure a model on the same batch every n steps while it trains: numbers become curves, arrays are kept by step."""

import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tandv.log.arrays import write_arrays
from tandv.messages import named_arguments, unknown
from tandv.probes._values import copied, flat
from tandv.probes.inspection import attention_patterns, get_intermediate_outputs, untouched
from tandv.probes.measures import correlations, correlations_of, dimensions, dimensions_of, heads

Measure = Callable[[Any, Any], Any]
Every = int | Callable[[int], bool]

MEASURES: dict[str, Measure] = {
    "outputs": get_intermediate_outputs,  # arrays
    "attention": attention_patterns,  # arrays
    "heads": heads,
    "correlations": correlations,
    "dimensions": dimensions,
}


@named_arguments
def probe(
    model: Any,
    batch: Any,
    every: Every = 100,
    measure: str | Measure | Sequence[str] | Mapping[str, str | Measure] = "outputs",
    *,
    init_step: int = 0,
) -> "Probe":
    """Measure a model on a fixed batch now and after every n-th training step, without changing the run.

    Numbers become curves and arrays are kept, both by step; dicts, tables and named tuples of these are flattened. Step
    n is the model after n optimiser steps, as row n of a tracker's log has the weights before step n + 1; step 0 is
    measured at once. An error then is raised; a later one is warned about once and ends the probe, and the training
    goes on.

    >>> import torch
    >>> model = torch.nn.Linear(4, 2)
    >>> watch = probe(model, torch.ones(3, 4), every=2, measure=lambda model, x: {"mean": model(x).mean()})
    >>> for step in range(4):
    ...     watch.step()  # after each optimiser step
    >>> watch.curves.index.tolist()
    [0, 2, 4]

    Args:
        model: the model, as in `get_intermediate_outputs`.
        batch: the input: a tensor, a tuple of positional arguments, or a dict of keyword arguments. It is copied.
        every: measure at every n-th training step, or a function of the step that returns whether to.
        measure: a name in MEASURES ("outputs", "attention", "heads", "correlations", "dimensions"), a function of model
            and batch, a list of names, or a dict of them, whose keys are put before the names of their results.
        init_step: how many optimiser steps the model has taken already.

    Raises ValueError naming every wrong argument.
    """
    return Probe(model, batch, every, measure, init_step)


class Probe:
    """What `probe` returns: call `step()` in the training loop; `curves`, `arrays` and `save(path)` work at any time.

    >>> import torch
    >>> watch = Probe(torch.nn.Linear(4, 2), torch.ones(3, 4), every=2, measure="outputs", init_step=0)
    >>> watch.arrays[0]["Linear"].shape
    (3, 2)

    Args:
        model: the model, as in `get_intermediate_outputs`.
        batch: the input: a tensor, a tuple of positional arguments, or a dict of keyword arguments. It is copied.
        every: measure at every n-th training step, or a function of the step that returns whether to.
        measure: a name in MEASURES ("outputs", "attention", "heads", "correlations", "dimensions"), a function of model
            and batch, a list of names, or a dict of them, whose keys are put before the names of their results.
        init_step: how many optimiser steps the model has taken already.
    """

    def __init__(self, model: Any, batch: Any, every: Every, measure: Any, init_step: int):
        found = _problems(every, measure, init_step)
        if found:
            raise ValueError("cannot probe:\n  " + "\n  ".join(found))
        self._model, self._measures = model, _measures(measure)
        self._batch = copied(batch)
        self._every = every
        self._step = int(init_step)
        self._rows: dict[int, dict[str, float]] = {}
        self.arrays: dict[int, dict[str, np.ndarray]] = {}
        self.failure: Exception | None = None
        if self._wanted():
            self._measure()

    def step(self, model: Any = None) -> None:
        """Count a finished training step; `model` is the new one where training makes a new one, as in JAX."""
        self._step += 1
        if model is not None:
            self._model = model
        if self.failure is not None:
            return
        try:
            if self._wanted():
                self._measure()
        except Exception as error:
            self.failure = error
            message = f"the probe failed at step {self._step} and has ended: {type(error).__name__}: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)

    @property
    def curves(self) -> pd.DataFrame:
        """The numbers measured so far: a column for each, indexed by step."""
        table = pd.DataFrame(list(self._rows.values()), dtype=np.float64)
        table.index = pd.Index(list(self._rows), dtype=np.int64, name="step")
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists and numbers, fit for JSON: {"curves": {...}, "arrays": {step: {name: [...]}}}."""
        table = self.curves
        curves = {"step": table.index.tolist(), **{str(name): _listed(table[name].to_numpy()) for name in table}}
        arrays = {str(step): {n: _listed(a) for n, a in named.items()} for step, named in self.arrays.items()}
        return {"curves": curves, "arrays": arrays}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to a .json file, or the arrays to an .npz file (see `read_arrays`); return `path`."""
        path = Path(path)
        if path.suffix == ".json":
            path.write_text(json.dumps(self.to_dict(), allow_nan=False), encoding="utf-8")
        elif path.suffix == ".npz":
            named = {f"{step}/{name}": array for step, arrays in self.arrays.items() for name, array in arrays.items()}
            write_arrays(path, named)
        else:
            raise ValueError(f"{path.name} is neither .json nor .npz; choose one of these endings")
        return path

    def _wanted(self) -> bool:
        return bool(self._every(self._step)) if callable(self._every) else self._step % self._every == 0

    def _measure(self) -> None:
        found: dict[str, float | np.ndarray] = {}
        with untouched(self._model) as model:
            for prefix, measure in self._measures:
                new = flat(measure(model, self._batch), prefix)
                if twice := sorted(found.keys() & new.keys()):
                    raise ValueError(
                        f"two measures both find {', '.join(map(repr, twice[:3]))}; name the measures to tell them "
                        "apart: measure={'outputs': 'outputs', 'attention': 'attention'}"
                    )
                found |= new
        self._rows[self._step] = {name: value for name, value in found.items() if isinstance(value, float)}
        if arrays := {name: value for name, value in found.items() if isinstance(value, np.ndarray)}:
            self.arrays[self._step] = arrays


def read_arrays(path: str | os.PathLike[str]) -> dict[int, dict[str, np.ndarray]]:
    """Read the arrays that `Probe.save` wrote to an .npz file: {step: {name: array}}. No code in the file is run.

    >>> import torch
    >>> path = probe(torch.nn.Linear(4, 2), torch.ones(3, 4)).save("arrays.npz")
    >>> read_arrays(path)[0]["Linear"].shape
    (3, 2)

    Args:
        path: the .npz file.

    Raises FileNotFoundError if there is none.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"cannot read {os.fspath(path)}: there is no such file; give what `Probe.save` wrote")
    history: dict[int, dict[str, np.ndarray]] = {}
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            step, _, name = key.partition("/")
            history.setdefault(int(step), {})[name] = file[key]
    return history


def _measures(measure: Any) -> list[tuple[str, Measure]]:
    """Return each measure with the prefix of the names of its results."""
    if isinstance(measure, Mapping):
        return [(str(name), _measure_of(one)) for name, one in measure.items()]
    listed = [measure] if isinstance(measure, str) or callable(measure) else measure
    return [("", _measure_of(one)) for one in listed]


def _measure_of(one: str | Measure) -> Measure:
    """Return a measure, of the probe's own where it keeps what it has found out about the model."""
    if callable(one):
        return one
    return {"correlations": correlations_of, "dimensions": dimensions_of}.get(one, lambda: MEASURES[one])()


def _problems(every: Any, measure: Any, init_step: Any) -> list[str]:
    found = []
    if not callable(every) and not (_is_whole(every) and every > 0):
        found.append(f"every={every!r} must be a positive number of steps or a function of the step")
    if not (_is_whole(init_step) and init_step >= 0):
        found.append(f"init_step={init_step!r} must be a step number, 0 or more")
    listed = measure.values() if isinstance(measure, Mapping) else measure
    if not isinstance(measure, str) and not callable(measure) and not isinstance(listed, Iterable):
        return [
            *found,
            f"measure={measure!r} is no measure; give a name, a function of model and batch, or a list of these",
        ]
    listed = [measure] if isinstance(measure, str) or callable(measure) else list(listed)
    wrong = [one for one in listed if not callable(one) and one not in MEASURES]
    return found + [f"{unknown('measure', one, MEASURES)} (or give a function of model and batch)" for one in wrong]


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _listed(array: np.ndarray) -> list[Any]:
    """Return an array as nested lists that JSON can hold: NaN as None, infinities as text."""
    values = array.astype(object)
    if array.dtype.kind == "f":
        values[np.isnan(array)] = None
        values[np.isposinf(array)], values[np.isneginf(array)] = "inf", "-inf"
    return values.tolist()
