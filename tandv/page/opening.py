"""What the page can show: logs of runs and files, curves, folders of checkpoints, tables in memory."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from tandv.curves import TrainingStats, as_curves, read_curves
from tandv.log.finding import lies_at
from tandv.messages import some
from tandv.page.answers import CurvesOnly, Run
from tandv.page.answers import opening as answers
from tandv.place import Place, place_of

_TABLES = (".csv", ".parquet", ".pkl", ".pkl.gz")  # endings of files that may be logs or curves
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
    >>> [one.run.name for one in opened([{"first": example_log(), "second": {"loss": [2.0, 1.0]}}], measured)]
    ['first', 'second']

    Args:
        given: of each run: the folder of a run, a file of a log or of curves, an address, a folder of checkpoints; a
            log or curves in memory; or a dict of these by the names of runs.
        measure: measures a folder of checkpoints, once everything else is known to be right.
        wrong: sentences about what is wrong besides, to be named together with the rest.

    Raises CannotShow naming everything that is none of these.
    """
    pairs = [pair for one in given for pair in _pairs(one)]
    unique = answers.run_names([what for _, what in pairs])
    own = [name or _own_name(what, len(pairs)) for name, what in pairs]
    names = [mine if mine and own.count(mine) == 1 else other for mine, other in zip(own, unique, strict=True)]
    found: list[Shown | Callable[[], Shown]] = []
    problems = [*wrong]
    # Where something is wrong anyway no log is opened: reading begins threads, which do not outlive an early end well.
    kinds = [_lies_at(what) for _, what in pairs]
    doomed = bool(wrong) or "nothing" in kinds
    for (_, what), name, kind in zip(pairs, names, kinds, strict=True):
        if doomed and kind == "run":
            continue
        try:
            found.append(_opened(what, name, measure))
        except (OSError, ValueError, TypeError, LookupError, ModuleNotFoundError) as error:
            of = str(what) if _is_path(what) else name
            problems.append(str(error) if of in str(error) else f"{of}: {error}")
    if problems or not found:
        for one in found:
            if isinstance(one, Shown):
                one.run.close()
        raise CannotShow("\n".join(problems) or "there is nothing to show; name at least one run")
    return [one if isinstance(one, Shown) else one() for one in found]


def measured(folder: str, name: str, say: Callable[[str], None] = lambda words: None) -> CurvesOnly:
    """Measure the checkpoints of a folder, as `tandv checkpoints` does; what is in its cache is not measured again.

    >>> measured("checkpoints", "mine").curves.table["spectral"].tolist()
    [1.0, 501.0, 1001.0]

    Args:
        folder: the folder of checkpoints.
        name: what the page calls it.
        say: takes a line that says what is being done.

    Raises FileNotFoundError if there are none, CannotShow if none could be measured.
    """
    from tandv.checkpoints import CheckpointWarning, evaluate, find

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = find(folder)
        say(f"Measuring {len(found):,} checkpoints in {folder} (what was measured before is kept) ...")
        curves = evaluate(found)
    notes = [str(one.message) for one in caught if issubclass(one.category, CheckpointWarning)]
    if curves.isna().all(axis=None):
        raise CannotShow("\n".join([f"nothing could be measured in {folder}", *notes]))
    return CurvesOnly(curves, name, notes=[*notes, curves.attrs["measured"]])


def _pairs(given: Any) -> list[tuple[str | None, Any]]:
    """Return (name, run) for what may be a dict of runs."""
    if isinstance(given, Mapping) and any(
        isinstance(value, pd.DataFrame | Mapping | TrainingStats | str | os.PathLike) for value in given.values()
    ):
        return [(str(name), what) for name, what in given.items()]
    return [(None, given)]


def _own_name(what: Any, runs: int) -> str:
    """Return what a table in memory is called: by the run that it was read from, else by what it is if it is alone."""
    if _is_path(what):
        return ""
    if isinstance(what, pd.DataFrame) and isinstance(what.attrs.get("run"), str):
        return os.path.basename(os.path.normpath(what.attrs["run"]))
    is_log = isinstance(what, pd.DataFrame) and what.columns.nlevels > 1
    return ("log" if is_log else "curves") if runs == 1 else ""


def _opened(what: Any, name: str, measure: Measure) -> Shown | Callable[[], Shown]:
    """Open one run; what is neither a log nor curves may be checkpoints, which are to be measured later."""
    if not _is_path(what) and not _is_in_memory(what):
        raise TypeError(
            "what can be shown is the folder of a run (tracker.path), a log, curves, a folder of checkpoints, or a "
            f"dict of these by name, not a {type(what).__name__}"
        )
    try:
        run = answers.opened(what, name)
        return Shown(run, None if isinstance(run.source, CurvesOnly) else what)
    except (OSError, ValueError, LookupError) as error:
        if not _is_path(what):
            raise
        first = error
    place = place_of(what)
    kind = place.kind()
    if kind == "file":
        try:
            return Shown(Run(CurvesOnly(_curves_in(place), name)), None)
        except (OSError, ValueError, TypeError) as error:
            raise (error if _is_like_curves(place, first) else first) from None
    if kind == "folder" and place.is_local:
        from tandv.checkpoints import NoCheckpoints, find  # which bring much along

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it is told when they are measured
                find(place.path)
        except NoCheckpoints:
            raise _with_tables(place, first) from None
        return lambda: Shown(Run(_saying_what_is_left_out(measure(place.path, name), place)), None)
    raise _with_tables(place, first) if kind == "folder" else first


def _is_in_memory(what: Any) -> bool:
    return isinstance(what, pd.DataFrame | pd.Series | Mapping | TrainingStats)


def _tables_in(folder: Place) -> list[str]:
    """Return the files right in a folder that may be logs or curves, as they are given to `tandv view`."""
    start = str(folder).rstrip("/")
    return [f"{start}/{name}" for name in folder.names() if name.lower().endswith(_TABLES)]


def _with_tables(folder: Place, error: Exception) -> Exception:
    """Return an error that names the files of a folder that could be given instead."""
    if not (tables := _tables_in(folder)):
        return error
    return CannotShow(f"{error}. What may be shown in it: {some([f'`tandv view {one}`' for one in tables], 3)}")


def _saying_what_is_left_out(curves: CurvesOnly, folder: Place) -> CurvesOnly:
    """Return the curves of a folder of checkpoints with a note on the tables beside these."""
    if tables := _tables_in(folder):
        names = some([one.rpartition("/")[2] for one in tables], 3)
        curves.notes.append(f"beside the checkpoints, {names} is not shown; give it as well: `tandv view {tables[0]}`")
    return curves


def _lies_at(what: Any) -> str:
    """Return what lies at a place by the names there: "run", "file" or "nothing"; "" for all else."""
    try:
        return lies_at(what) if _is_path(what) else ""
    except FileNotFoundError:
        return "nothing"
    except (OSError, ValueError, ModuleNotFoundError):
        return ""


def _is_path(given: Any) -> bool:
    return isinstance(given, str | os.PathLike)


def _curves_in(place: Place) -> pd.DataFrame:
    if place.path.lower().endswith(".parquet"):
        return as_curves(pd.read_parquet(io.BytesIO(place.read())))
    return read_curves(place.path if place.is_local else place.name)


def _is_like_curves(place: Place, error: Exception) -> bool:
    """Tell whether a table that is no log has not even the columns that name its tensors."""
    return place.path.lower().endswith((".csv", ".json", ".parquet")) and "('metadata', 'name') is missing" in str(
        error
    )
