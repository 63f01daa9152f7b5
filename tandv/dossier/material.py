"""Collect the curves, log and checkpoints of a run, and describe what is missing."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from tandv.analysis.norms import norm_curves
from tandv.checkpoints import Checkpoint, NoCheckpoints, find
from tandv.curves import Curves, as_curves, beside_each_other, read_curves, run_curves
from tandv.dossier.phase1 import Phase1, phase1_of
from tandv.dossier.probe_files import Probed, is_probe_file, probed
from tandv.log.door import AnyLog, log_at
from tandv.log.files import UnreadableFile
from tandv.log.logframe import SchemaError
from tandv.log.opened import Log
from tandv.messages import UnknownName, named_arguments
from tandv.place import place_of

AnyPath = str | os.PathLike[str]
_NO_CURVES = "no curves of losses"
_CURVES = ("curves.csv", "curves.json", "metrics.csv", "metrics.json", "log.csv")  # looked for in this order


class Material(NamedTuple):
    """What a run has left behind.

    >>> gather({"loss": [2.0, 1.0]}).curves["loss"].tolist()
    [2.0, 1.0]

    Args:
        name: the name of the run.
        folder: its folder, None if only curves were given.
        curves: a table as `as_curves` returns it.
        log: its log, if there is one: a table, or opened where it lies.
        checkpoints: its checkpoints, ascending by step.
        missing: for each thing that is not there, why and what to do.
        probes: what the files of probes in the folder hold.
        phase1: what the files of an earlier analysis of many runs say about it.
    """

    name: str
    folder: Path | None
    curves: pd.DataFrame
    log: "pd.DataFrame | Log | None"
    checkpoints: list[Checkpoint]
    missing: list[str]
    probes: Probed = Probed(None, {}, [])
    phase1: Phase1 = Phase1()


@named_arguments
def gather(
    run: AnyPath | Curves | None = None,
    *,
    curves: AnyPath | Curves | None = None,
    checkpoints: AnyPath | Sequence[AnyPath] | None = None,
    log: AnyLog | None = None,
    name: str | None = None,
    model: Any = None,
    batch: Any = None,
) -> Material:
    """Collect the curves, log and checkpoints of a run from its folder; any part can also be given separately.

    In a folder, curves are what `tracker.step(loss=...)` was given, and `curves.csv` or `.json`, `metrics.csv` or
    `.json`, `log.csv`, or the only other such file; the log is a tracker's; checkpoints are those in it or in the one
    folder below it that has some; what probes have saved (`probe.json`, `attention_probe.npz`, ...) is read as well. A
    run without curves has those that its log gives: the norms of weights and gradients.

    >>> gather({"loss": [2.0, 1.0]}, name="tiny").missing[0]
    'no log: give log=, or track the run'

    Args:
        run: the folder of a run, or curves; of a run at an address, such as "s3://bucket/run", its log is read, and
            what `tracker.step(loss=...)` was given.
        curves: curves, or the .csv or .json file that holds them.
        checkpoints: the folder of checkpoints, or files.
        log: the log, or the place of one: a run's folder or a file.
        name: the name of the run; by default that of the folder.
        model: with `batch`: the model whose weights the checkpoints are, for the attention patterns at these; it stays
            as it is.
        batch: its input: a tensor, a tuple of positional arguments, or a dict of keyword arguments.

    Raises ValueError if there are no curves at all, or only one of model and batch is given, FileNotFoundError if
    there is no such folder.
    """
    missing: list[str] = []
    if (model is None) != (batch is None):
        raise ValueError("attention patterns at checkpoints need both model= and batch=, or neither")
    if isinstance(run, str) and not (place := place_of(run)).is_local:  # there only its log and its loop are looked for
        name, log, run = name or place.path.rstrip("/").rpartition("/")[2], run if log is None else log, None
    folder = Path(run) if isinstance(run, str | os.PathLike) else None
    if folder is not None and not folder.is_dir():
        raise FileNotFoundError(
            f"cannot open the run {folder}: there is no such folder; `tandv runs` lists the runs that there are"
        )
    given = curves if curves is not None else None if folder is not None else run
    opened_log = _log(log, folder, missing)
    table = _curves(given, folder, missing)
    if given is None:
        table = _with_loop(table, folder if folder is not None else opened_log, missing)
    if opened_log is not None:
        table = _with_norms(table, opened_log)
    probes = Probed(None, {}, []) if folder is None else probed(folder, missing)
    if probes.curves is not None:
        missing[:] = [sentence for sentence in missing if not sentence.startswith(_NO_CURVES)]
        table = probes.curves if table is None else beside_each_other(table, probes.curves)
    if table is None:
        raise ValueError(
            f"there are no curves{f' in {folder}' if folder else ''}: "
            + "; ".join(missing or ["give curves=, such as {'step': [0, 1], 'loss': [2.0, 1.5]}"])
        )
    found = _checkpoints(checkpoints, folder, missing)
    if model is not None:
        from tandv.dossier.attention import patterns_at
        from tandv.probes.measures import mask_of, tokens_of

        if patterns := patterns_at(model, batch, found, missing):
            probes = probes._replace(patterns=patterns, tokens=tokens_of(batch), mask=mask_of(batch))
    run_name = name or (folder.absolute().name if folder is not None else "run")
    table = table.sort_index()
    phase1 = Phase1() if folder is None else phase1_of(folder, run_name, table.index.to_numpy())
    missing += phase1.said
    return Material(run_name, folder, table, opened_log, found, missing, probes, phase1)


def _curves(given: Any, folder: Path | None, missing: list[str]) -> pd.DataFrame | None:
    if isinstance(given, str | os.PathLike):
        return read_curves(given)
    if given is not None:
        return as_curves(given)
    if folder is None:
        return None
    files_in = sorted(path.name for path in folder.iterdir() if path.suffix in (".csv", ".json"))
    others = [
        name
        for name in files_in
        if name not in (*_CURVES, "run.json", "layers.json") and not is_probe_file(folder / name)
    ]
    named = [name for name in _CURVES if name in files_in] or (others if len(others) == 1 else [])
    for name in named:
        try:
            return read_curves(folder / name)
        except ValueError as error:
            missing.append(str(error))
    if not named:
        held = (
            f"it holds {', '.join(others)}, which of them is not clear: give curves="
            if others
            else "give them to tracker.step(loss=loss), or save them there"
        )
        missing.append(f"{_NO_CURVES} or accuracies: {folder} has no {' or '.join(_CURVES[:2])}; {held}")
    return None


def _with_loop(table: pd.DataFrame | None, run: Any, missing: list[str]) -> pd.DataFrame | None:
    """Add the curves that the run's loop has given to its tracker, where a file does not have them."""
    found = run_curves(run)
    if found is None:
        return table
    missing[:] = [sentence for sentence in missing if not sentence.startswith(_NO_CURVES)]
    return found if table is None else beside_each_other(table, found)


def _log(given: Any, folder: Path | None, missing: list[str]) -> "pd.DataFrame | Log | None":
    if isinstance(given, pd.DataFrame):
        return given
    path = given if given is not None else folder
    if path is None:
        missing.append("no log: give log=, or track the run")
        return None
    if given is None and not any((Path(path) / name).exists() for name in ("parts", "log.pkl", "log.parquet")):
        missing.append(f"no log: {path} is not the folder of a tracker; give log=, or track the run")
        return None
    try:
        return log_at(path)
    except (SchemaError, UnreadableFile) as error:
        if given is not None:
            raise
        missing.append(f"no log: {str(error).splitlines()[0].rstrip(':')}")
        return None


def _with_norms(table: pd.DataFrame | None, log: AnyLog) -> pd.DataFrame | None:
    """Add the columns of norms from a log that the curves lack."""
    try:
        norms = norm_curves(log)
    except UnknownName:
        return table
    if table is None:
        return norms
    return beside_each_other(table, norms)


def _checkpoints(given: Any, folder: Path | None, missing: list[str]) -> list[Checkpoint]:
    where = given if given is not None else folder
    if where is None:
        missing.append("no checkpoints: give checkpoints=, or save some by track(save=SaveRule(...))")
        return []
    if isinstance(given, Mapping):
        steps = sorted((float(step), Path(path)) for step, path in given.items())
        return [Checkpoint(int(step) if step.is_integer() else step, path) for step, path in steps]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            return find(where)
        except NoCheckpoints as error:
            if given is not None:
                raise
            missing.append(f"no checkpoints: {str(error).removeprefix('no checkpoints ')}")
            return []
        finally:
            missing += [f"checkpoints: {one.message}" for one in caught]
