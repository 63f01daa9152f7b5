"""What the page can show: logs of runs and files, curves, folders of checkpoints, tables in memory."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from tandv.curves import TrainingStats, as_curves, read_curves, run_curves
from tandv.log import logframe
from tandv.log.finding import lies_at
from tandv.log.live import LiveLog
from tandv.page.answers import CurvesOnly, Run
from tandv.page.answers.curves_of_a_run import RunCurves
from tandv.page.answers.table import TableSource
from tandv.place import Place, is_address, place_of

Measure = Callable[[str, str], CurvesOnly]  # of a folder of checkpoints and the name of the run


class Shown(NamedTuple):
    """A run that a page shows.

    Args:
        run: what its questions are asked of.
        log: the log that plots take: its place or a table; None where there are curves only.
    """

    run: Run
    log: Any


class CannotShow(ValueError):
    """Some of what was to be shown cannot be; the message has a sentence for each."""


def opened(given: Sequence[Any], measure: Measure, wrong: Sequence[str] = ()) -> list[Shown]:
    """Return the runs to show.

    >>> from tandv.log.logframe import example_log
    >>> [one.run.name for one in opened([example_log(), {"loss": [2.0, 1.0]}], measured)]
    ['a log', 'curves']

    Args:
        given: of each run: the folder of a run, a file of a log or of curves, an address, a folder of checkpoints; a
            log or curves in memory; or a dict of these by the names of runs.
        measure: measures a folder of checkpoints, once everything else is known to be right.
        wrong: sentences about what is wrong besides, to be named together with the rest.

    Raises CannotShow naming everything that is none of these.
    """
    named = [pair for one in given for pair in _pairs(one)]
    paths = [what for name, what in named if name is None and _is_path(what)]
    short = dict(zip(paths, run_names([os.fspath(path) for path in paths]), strict=True))
    found: list[Shown | Callable[[], Shown]] = []
    problems = [*wrong]
    for name, what in named:
        try:
            if _is_path(what):
                found.append(_at(place_of(what), name or short[what], measure))
            else:
                found.append(_in_memory(what, name))
        except (OSError, ValueError, TypeError, LookupError, ModuleNotFoundError) as error:
            problems.append(str(error))
    if problems or not found:
        raise CannotShow("\n".join(problems) or "there is nothing to show; name at least one run")
    return [one if isinstance(one, Shown) else one() for one in found]


def measured(folder: str, name: str, say: Callable[[str], None] = lambda words: None) -> CurvesOnly:
    """Measure the checkpoints of a folder, as `tandv checkpoints` does; what is in its cache is not measured again.

    Args:
        folder: the folder of checkpoints.
        name: what the page calls it.
        say: takes a line that says what is being done.

    Raises FileNotFoundError if there are none, ValueError if none could be measured.
    """
    from tandv.checkpoints import CheckpointWarning, evaluate, find

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = find(folder)
        say(f"Measuring {len(found):,} checkpoints in {folder} (what was measured before is kept) ...")
        curves = evaluate([one.path for one in found])
    notes = [str(one.message) for one in caught if issubclass(one.category, CheckpointWarning)]
    if curves.isna().all(axis=None):
        raise ValueError("\n".join([f"nothing could be measured in {folder}", *notes]))
    return CurvesOnly(curves, name, notes=notes)


def run_names(paths: Sequence[str]) -> list[str]:
    """Return a short name for each run: the last part of its path, or the part that differs from the others.

    >>> run_names(["runs/seed0/log.pkl", "runs/seed1/log.pkl"]), run_names(["tandv-runs/demo"])
    (['seed0', 'seed1'], ['demo'])

    Args:
        paths: paths of this machine, or addresses.
    """
    whole = [
        path.rstrip("/").partition("://")[2].split("/") if is_address(path) else list(Path(os.path.abspath(path)).parts)
        for path in paths
    ]
    last = [parts[-1] for parts in whole]
    if len(set(last)) == len(last):
        return last
    shortest = min(map(len, whole))
    start = next((i for i in range(shortest) if len({parts[i] for parts in whole}) > 1), shortest)
    end = next((i for i in range(shortest - start) if len({parts[-1 - i] for parts in whole}) > 1), 0)
    names = ["/".join(parts[start : len(parts) - end]) for parts in whole]
    return names if all(names) and len(set(names)) == len(names) else list(paths)


def _pairs(given: Any) -> list[tuple[str | None, Any]]:
    """Return (name, run) for what may be a dict of runs."""
    if isinstance(given, Mapping) and any(
        isinstance(value, pd.DataFrame | Mapping | TrainingStats | str | os.PathLike) for value in given.values()
    ):
        return [(str(name), what) for name, what in given.items()]
    return [(None, given)]


def _is_path(given: Any) -> bool:
    return isinstance(given, str | os.PathLike)


def _in_memory(given: Any, name: str | None) -> Shown:
    if isinstance(given, pd.DataFrame) and isinstance(given.columns, pd.MultiIndex):
        log = logframe.validate(given)
        return Shown(Run(TableSource(log, name or "a log"), RunCurves(log)), log)
    return Shown(Run(CurvesOnly(as_curves(given), name or "curves")), None)


def _at(place: Place, name: str, measure: Measure) -> Shown | Callable[[], Shown]:
    """Open what lies at a place; what is no log may be curves, or checkpoints, which are to be measured later."""
    try:
        lies_at(place)
        return Shown(Run(LiveLog(place), RunCurves(place)), place)
    except (OSError, ValueError, LookupError) as error:
        first = error
    kind = place.kind()
    if kind == "file" and (table := _curves_in(place)) is not None:
        return Shown(Run(CurvesOnly(table, name)), None)
    if kind == "folder" and (table := run_curves(place)) is not None:
        return Shown(Run(CurvesOnly(table, name)), None)
    if kind == "folder" and place.is_local:
        from tandv.checkpoints import NoCheckpoints, find  # which bring much along

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it is told when they are measured
                find(place.path)
        except NoCheckpoints as error:
            raise ValueError(f"{first}; nor are there checkpoints: {error}") from None
        return lambda: Shown(Run(measure(place.path, name)), None)
    raise first


def _curves_in(place: Place) -> pd.DataFrame | None:
    """Return the curves in a file; None if it has another ending."""
    ending = place.path.lower().rpartition(".")[2]
    if ending in ("csv", "json"):
        return read_curves(place.path if place.is_local else place.name)
    if ending == "parquet":
        return as_curves(pd.read_parquet(io.BytesIO(place.read())))
    return None
