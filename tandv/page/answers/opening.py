"""What a page is about, opened: runs at places, logs in memory, and curves."""

import os
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd

from tandv.curves import read_curves
from tandv.log import logframe
from tandv.log.live import LiveLog
from tandv.page.answers.answers import Answers
from tandv.page.answers.curves_of_a_run import CurvesOnly, RunCurves
from tandv.page.answers.run import Run
from tandv.page.answers.table import TableSource


def answers_of(*runs: Any) -> Answers:
    """Return the answers about some runs, which are told apart by their names.

    >>> from tandv.log.example import example_log
    >>> answers_of(example_log(), {"loss": [2.0, 1.0]}).names
    ['run 0', 'run 1']

    Args:
        runs: each the place of a log or of curves, a log, curves, or a `Run`.

    Raises what `tandv.read` raises for a place.
    """
    names = run_names(runs)
    return Answers([opened(run, name) for run, name in zip(runs, names, strict=True)])


def opened(run: Any, name: str) -> Run:
    """Return one run, opened.

    Args:
        run: the place of a log or of curves, a log, curves, or a `Run`, which is returned itself.
        name: what the page calls it.

    Raises what `tandv.read` raises for a place.
    """
    if isinstance(run, Run):
        return run
    if isinstance(run, CurvesOnly):
        return Run(run)
    if isinstance(run, pd.DataFrame) and run.columns.nlevels > 1:
        return Run(TableSource(logframe.validate(run), name), RunCurves(run))
    if not isinstance(run, str | os.PathLike):
        return Run(CurvesOnly(run, name))
    try:
        log = LiveLog(run)
    except (OSError, ValueError):
        try:
            return Run(CurvesOnly(read_curves(run), name))
        except (OSError, ValueError):
            pass  # that it is no log says more
        raise
    return Run(log, RunCurves(log.place), name)


def run_names(runs: Sequence[Any]) -> list[str]:
    """Return a name for each run: the end of its path that no other has, else its number.

    >>> run_names(["a/run", "b/run", "c"])
    ['a/run', 'b/run', 'c']

    Args:
        runs: places, or anything else.
    """
    paths = [PurePath(os.path.abspath(run)).parts if isinstance(run, str | os.PathLike) else () for run in runs]
    names = []
    for number, (run, parts) in enumerate(zip(runs, paths, strict=True)):
        given = getattr(run, "name", None) or getattr(getattr(run, "source", None), "name", None)
        others = [other for other in paths if other is not parts]
        ends = ["/".join(parts[-size:]) for size in range(1, len(parts) + 1)]
        own = [end for size, end in enumerate(ends, 1) if all(other[-size:] != parts[-size:] for other in others)]
        names.append(own[0] if own else str(given) if isinstance(given, str) else f"run {number}")
    return names
