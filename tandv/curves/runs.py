"""Curves of several runs, by the name of each run; a function that takes them takes the curves of one run too.

>>> list(as_runs({"seed 0": {"loss": [1.0, 0.5]}, "seed 1": {"loss": [2.0, 0.5]}}))
['seed 0', 'seed 1']
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from tandv.curves import Curves, as_curves
from tandv.curves.curves import several_runs
from tandv.glossary import metric_and_tensor
from tandv.messages import UnknownName, listed, unknown

Runs = Curves | Mapping[str, Curves]


def as_runs(data: Runs) -> dict[str, pd.DataFrame]:
    """Return the curves of each run by its name, in order of their steps; a single run has the name "".

    >>> as_runs({"loss": [1.0, 0.5]})[""]["loss"].tolist()
    [1.0, 0.5]

    Args:
        data: curves as `as_curves` takes them, or a dict of these by the run's name.

    Raises what `as_curves` raises, with the name of the run.
    """
    if not isinstance(data, Mapping) or not several_runs(data):
        return {"": as_curves(data).sort_index()}  # type: ignore[arg-type]
    out = {}
    for name, curves in data.items():
        try:
            out[str(name)] = as_curves(curves).sort_index()  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise type(error)(f"run {name!r}: {error}") from None
    return out


def metrics_of(runs: Mapping[str, pd.DataFrame], wanted: str | Sequence[str] | None = None) -> list[str]:
    """Return the names of the curves of some runs, by default all but those of single tensors ("spectral:layers.0").

    >>> metrics_of({"": pd.DataFrame({"mean": [0.0], "mean:0": [0.0]})})
    ['mean']

    Args:
        runs: tables as `as_runs` returns them.
        wanted: a name or a list of names.

    Raises UnknownName for a name that no run has, with the nearest names.
    """
    available = list(dict.fromkeys(name for table in runs.values() for name in table.columns))
    if wanted is None:
        return [name for name in available if not metric_and_tensor(name)[1]] or available
    names = [wanted] if isinstance(wanted, str) else list(dict.fromkeys(wanted))
    wrong = [unknown("curve", name, available) for name in names if name not in available]
    if wrong or not names:
        raise UnknownName("\n  ".join(wrong) or f"no curve was asked for; there are {listed(available)}")
    return names
