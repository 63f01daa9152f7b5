"""What the commands about checkpoints do once their options are read."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from tandv.checkpoints.selection import Filters
from tandv.cli import inspecting, results
from tandv.cli.logfile import logged
from tandv.cli.measuring import MeasureOptions, Run, as_key, filters_of, measure, runs_in, summary
from tandv.cli.output import STOPPED, USAGE, answer, stop, tell
from tandv.cli.prompt import ask, read_line
from tandv.cli.state import Loaded, NothingLoaded, as_dict, keep, last, problems


class OutputOptions(NamedTuple):
    """Where results go: a file, JSON on standard output, or else a page that is served until Ctrl-C."""

    out: Path | None = None
    as_json: bool = False
    browser: bool = True
    port: int = 0
    idle: float = 60.0


def load_dir(
    folders: Sequence[Path], model: Path | None, class_name: str | None, filters: Filters, as_json: bool
) -> None:
    """Find checkpoints and store where they are for plot-metrics."""
    with logged(_command_line()):
        loaded = _checked(folders, model, class_name, filters)
        found = runs_in(loaded.folders, filters)
        try:
            keep(loaded)
        except OSError as error:
            stop(f"what was loaded cannot be kept ({error}); use: tandv checkpoints {folders[0]}", 1)
        if as_json:
            steps = {run.folder: [one.step for one in run.checkpoints] for run in found}
            answer(json.dumps({**as_dict(loaded), "steps": steps}, ensure_ascii=False))
            return
        _print_runs(found)
        tell("Now: tandv plot-metrics")


def plot_metrics(filters: Filters, options: MeasureOptions, output: OutputOptions) -> None:
    """Ask for metrics, measure them on what was loaded, and show them; filters that are given replace the loaded."""
    with logged(_command_line()):
        results.check(output.out, page=not (output.out or output.as_json))
        try:
            loaded = last()
        except NothingLoaded as error:
            stop(str(error), USAGE)
        given = {name: value for name, value in filters._asdict().items() if value}
        found = runs_in(loaded.folders, filters_of(loaded)._replace(**given))
        _print_runs(found)
        try:
            metrics = ask(read_line, tell)
        except KeyboardInterrupt:
            tell("\nNothing was measured.")
            raise typer.Exit(STOPPED) from None
        if metrics is None:
            tell("Nothing was measured.")
            return
        _measure_and_show(found, loaded, metrics, options, output)


def checkpoints(
    folders: Sequence[Path],
    metrics: Sequence[str],
    model: Path | None,
    class_name: str | None,
    filters: Filters,
    options: MeasureOptions,
    output: OutputOptions,
    dry_run: bool,
) -> None:
    """Measure the checkpoints of some folders and show them, without a prompt; or only tell what would be measured."""
    with logged(_command_line()):
        loaded = _checked(folders, model, class_name, filters)
        if dry_run:
            inspecting.tell_what_is_there(loaded.folders, filters, as_key(options.key), as_json=output.as_json)
            return
        results.check(output.out, page=not (output.out or output.as_json))
        found = runs_in(loaded.folders, filters)
        given = [name for text in metrics for name in ([text] if text.endswith(".py") else text.split(","))]
        names = [name.strip() for name in given if name.strip()]
        if metrics and not names:
            stop("--metrics is empty; give names such as spectral,entropy, or leave it out for all", USAGE)
        _measure_and_show(found, loaded, names or ["all"], options, output)


def _print_runs(runs: Sequence[Run]) -> None:
    for run in runs:
        tell(f"{summary(run.checkpoints)}, in {run.folder}")


def _measure_and_show(
    runs: Sequence[Run], loaded: Loaded, metrics: Sequence[str], options: MeasureOptions, output: OutputOptions
) -> None:
    found = measure(runs, loaded, metrics, options)
    if output.as_json:
        answer(results.as_json(found))
    else:
        for words in found.measured:
            tell(words)
        results.print_transitions(found)
    choices = {"rule": results.RULES.get(options.detector, ""), "axis": options.axis}
    title = ", ".join(run.name for run in runs)
    if output.out:
        results.save(found, output.out, title, **choices)
    elif not output.as_json:
        results.show(found, title, browser=output.browser, port=output.port, idle=output.idle, **choices)


def _checked(folders: Sequence[Path], model: Path | None, class_name: str | None, filters: Filters) -> Loaded:
    """Return what was named, as absolute paths; ends the command if a file is invalid."""
    wrong = problems(str(model) if model else None, class_name)
    if wrong:
        stop("; ".join(wrong), USAGE)
    absolute = tuple(str(folder.expanduser().absolute()) for folder in folders)
    return Loaded(absolute, str(model.absolute()) if model else None, class_name, *filters)


def _command_line() -> str:
    return " ".join(["tandv", *sys.argv[1:]])
