"""Folders of checkpoints to curves and transitions, with a progress bar; errors end the command with a message."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import pandas as pd
import typer

from tandv.checkpoints import Checkpoint, CheckpointWarning, NoCheckpoints, evaluate, find, inspection, on_ray
from tandv.checkpoints.engines import Engine
from tandv.checkpoints.readers.contents import Key
from tandv.checkpoints.selection import Filters
from tandv.checkpoints.warnings import LACKS_KEY
from tandv.cli.output import NOTHING, STOPPED, USAGE, errors, log, stop, tell, warn
from tandv.cli.progress import progress_bar
from tandv.cli.state import Loaded
from tandv.curves import beside_each_other, learning_rate_of, losses_of, run_curves
from tandv.messages import UnknownName

if TYPE_CHECKING:
    from tandv.analysis.transitions import Transition


_ALL = Filters()


class MeasureOptions(NamedTuple):
    """How checkpoints are measured: the options of the commands."""

    device: str = "cpu"
    parallel: bool = True
    cluster: bool = False
    cache: bool = True
    per_tensor: bool = False
    key: tuple[str, ...] = ()
    detector: str = "transitions"
    axis: Literal["linear", "log"] = "linear"


class Run(NamedTuple):
    """A run: its name, the checkpoints in its folder, and warnings about them."""

    name: str
    folder: str
    checkpoints: list[Checkpoint]
    warnings: list[str]


class Results(NamedTuple):
    """Curves and transitions by the name of their run, all warnings, and a line for each run on what was measured."""

    curves: dict[str, pd.DataFrame]
    transitions: dict[str, list[Transition]]
    warnings: list[str]
    measured: list[str]

    @property
    def notes(self) -> list[str]:
        """Return what the page says above its charts."""
        return [*self.warnings, *self.measured]


def filters_of(loaded: Loaded) -> Filters:
    """Return which files of what was loaded are taken."""
    return Filters(loaded.step_pattern, loaded.include, loaded.exclude, loaded.group)


def runs_in(folders: Sequence[str], filters: Filters = _ALL) -> list[Run]:
    """Return the runs in some folders; ends the command if one has no checkpoints, or several groups of them."""
    out = []
    folders = list(dict.fromkeys(folders))
    for name, folder in zip(run_names(folders), folders, strict=True):
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = find(folder, **filters._asdict())
        except (UnknownName, ValueError) as error:
            stop(str(error), USAGE)
        except NoCheckpoints as error:
            stop(str(error), NOTHING if Path(folder).exists() else USAGE)
        except OSError as error:
            stop(f"{folder} cannot be read ({error.strerror or error})", NOTHING)
        out.append(Run(name, folder, found, [str(one.message) for one in caught]))
        for words in out[-1].warnings:
            warn(words)
        log.info("%s: %s", folder, summary(found))
    return out


def summary(found: Sequence[Checkpoint]) -> str:
    """Return how many checkpoints there are, and of what steps.

    >>> summary([Checkpoint(0, Path("a_0.pt")), Checkpoint(1000, Path("a_1000.pt"))])
    '2 checkpoints, steps 0 to 1,000'
    """
    return inspection.summary([one.step for one in found])


def measure(runs: Sequence[Run], loaded: Loaded, metrics: Sequence[str], options: MeasureOptions) -> Results:
    """Measure runs; ends the command if nothing could be measured."""
    engine = _engine(options)
    curves: dict[str, pd.DataFrame] = {}
    messages: list[str] = []
    measured: list[str] = []
    try:
        for run in runs:
            prefix = f"{run.name}: " if len(runs) > 1 else ""
            curves[run.name], more = _evaluated(run, loaded, metrics, options, engine, prefix)
            messages += [prefix + words for words in (*run.warnings, *more)]
            measured += [prefix + words for words in (curves[run.name].attrs.get("measured"),) if words]
        if all(table.isna().all(axis=None) for table in curves.values()):
            lacking = options.key and any(LACKS_KEY in words for words in messages)
            stop("nothing could be measured; the warnings above say why", USAGE if lacking else NOTHING)
        transitions = _transitions(curves, options)
    except KeyboardInterrupt:
        tell("Stopped. What was measured is kept; the next time goes on from there.")
        raise typer.Exit(STOPPED) from None
    return Results(curves, transitions, messages, measured)


def _evaluated(
    run: Run, loaded: Loaded, metrics: Sequence[str], options: MeasureOptions, engine: Engine | None, prefix: str
) -> tuple[pd.DataFrame, list[str]]:
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught, progress_bar(errors(), f"{prefix}measuring") as bar:
        warnings.simplefilter("always")

        def report(done: int, total: int, last: str) -> None:
            bar(done, total, last)
            if last:
                log.info("%smeasured %s, %d of %d", prefix, last, done, total)

        try:
            curves = evaluate(
                run.checkpoints,
                list(metrics),
                per_tensor=options.per_tensor,
                key=as_key(options.key),
                device=options.device,
                parallel=options.parallel,
                cache=options.cache,
                progress=report,
                model=loaded.model,
                class_name=loaded.class_name,
                engine=engine,
            )
        except (UnknownName, FileNotFoundError, ValueError) as error:
            stop(str(error), USAGE)
        except ModuleNotFoundError as error:
            stop(str(error), NOTHING)
    took = time.perf_counter() - start
    log.info("%s%d checkpoints, %d curves in %.2f s", prefix, len(curves), len(curves.columns), took)
    messages = [str(one.message) for one in caught if issubclass(one.category, CheckpointWarning)]
    for words in messages:
        warn(prefix + words)
    _log_other_warnings(caught)
    return _with_losses(curves, Path(run.folder)), messages


def as_key(given: tuple[str, ...]) -> Key:
    """Return the keys that were given as `evaluate` takes them: none, one, or several."""
    return given[0] if len(given) == 1 else given or None


def _with_losses(curves: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Add the losses at the steps of the checkpoints, where these are of a run that was given its losses."""
    found = next((of_run for place in (folder, folder.parent) if (of_run := run_curves(place)) is not None), None)
    if found is None:
        return curves
    losses = losses_of(found)
    table = beside_each_other(curves, losses[losses.index.isin(curves.index)])
    table.attrs.update(curves.attrs)
    return table


def _log_other_warnings(caught: Sequence[warnings.WarningMessage]) -> None:
    """Write warnings of libraries to the log only, not to the terminal."""
    for one in caught:
        if not issubclass(one.category, CheckpointWarning):
            log.warning("%s: %s", one.category.__name__, one.message)


def _transitions(curves: dict[str, pd.DataFrame], options: MeasureOptions) -> dict[str, list[Transition]]:
    if options.detector == "none":
        return {}
    from tandv.analysis.transitions import find_transitions  # imports SciPy

    out: dict[str, list[Transition]] = {run: [] for run in curves}
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught, progress_bar(errors(), "transitions") as bar:
        warnings.simplefilter("always")
        for done, (run, table) in enumerate(curves.items()):
            bar(done, len(curves), run)
            lr = learning_rate_of(table.columns) if options.detector == "transitions" else None
            out[run] = find_transitions(table, options.detector, axis=options.axis, lr=lr)
    _log_other_warnings(caught)
    log.info("%d transitions in %.2f s", sum(map(len, out.values())), time.perf_counter() - start)
    return out


def run_names(folders: Sequence[str]) -> list[str]:
    """Return a short name for each run: the part of its path that differs from the others.

    >>> run_names(["runs/seed0/ckpt", "runs/seed1/ckpt"])
    ['seed0', 'seed1']
    """
    whole = [Path(os.path.abspath(folder)) for folder in folders]
    parts = [path.parts[1:] for path in whole]  # without the root
    if len(parts) == 1:
        return ["/".join(parts[0][-2:]) or str(whole[0])]
    shortest = min(map(len, parts))
    start = next((i for i in range(shortest) if len({part[i] for part in parts}) > 1), shortest)
    end = next((i for i in range(shortest - start) if len({part[-1 - i] for part in parts}) > 1), 0)
    names = ["/".join(part[start : len(part) - end]) for part in parts]
    return names if all(names) and len(set(names)) == len(names) else [str(path) for path in whole]


def _engine(options: MeasureOptions) -> Engine | None:
    if not options.cluster:
        return None
    try:
        return on_ray()
    except ModuleNotFoundError as error:
        stop(str(error), NOTHING)
