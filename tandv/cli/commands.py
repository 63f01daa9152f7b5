"""What the commands about checkpoints do once their options are read."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from tandv.cli import results
from tandv.cli.logfile import logged
from tandv.cli.measuring import Found, How, found_in, in_words, measured
from tandv.cli.output import STOPPED, USAGE, answer, stop, tell
from tandv.cli.prompt import ask, read_line
from tandv.cli.state import Loaded, NothingLoaded, keep, last, problems


class Into(NamedTuple):
    """Where results go: a file, JSON on standard output, or, without either, a page that lives until Ctrl-C."""

    out: Path | None = None
    as_json: bool = False
    browser: bool = True
    port: int = 0


def load_dir(folders: Sequence[Path], model: Path | None, class_name: str | None, as_json: bool) -> None:
    """Find checkpoints and remember where they are."""
    with logged(_line()):
        loaded = _checked(folders, model, class_name)
        found = found_in(loaded.folders)
        try:
            keep(loaded)
        except OSError as error:
            stop(f"what was loaded cannot be kept ({error}); use: tandv checkpoints {folders[0]}", 1)
        if as_json:
            steps = {run.folder: [one.step for one in run.checkpoints] for run in found}
            answer(json.dumps({**loaded._asdict(), "steps": steps}, ensure_ascii=False))
            return
        _say(found)
        tell("Now: tandv plot-metrics")


def plot_metrics(how: How, into: Into) -> None:
    """Ask for metrics, measure them on what was loaded, and show them."""
    with logged(_line()):
        results.check(into.out, page=not (into.out or into.as_json))
        try:
            loaded = last()
        except NothingLoaded as error:
            stop(str(error), USAGE)
        found = found_in(loaded.folders)
        _say(found)
        try:
            metrics = ask(read_line, tell)
        except KeyboardInterrupt:
            tell("\nNothing was measured.")
            raise typer.Exit(STOPPED) from None
        if metrics is None:
            tell("Nothing was measured.")
            return
        _measure_and_show(found, loaded, metrics, how, into)


def checkpoints(
    folders: Sequence[Path], metrics: Sequence[str], model: Path | None, class_name: str | None, how: How, into: Into
) -> None:
    """Measure the checkpoints of some folders and show them, without asking."""
    with logged(_line()):
        loaded = _checked(folders, model, class_name)
        results.check(into.out, page=not (into.out or into.as_json))
        found = found_in(loaded.folders)
        names = [name for text in metrics for name in ([text] if text.endswith(".py") else text.split(","))]
        _measure_and_show(found, loaded, [name.strip() for name in names if name.strip()] or ["all"], how, into)


def _say(runs: Sequence[Found]) -> None:
    for run in runs:
        tell(f"{in_words(run.checkpoints)}, in {run.folder}")


def _measure_and_show(runs: Sequence[Found], loaded: Loaded, metrics: Sequence[str], how: How, into: Into) -> None:
    found = measured(runs, loaded, metrics, how)
    if into.as_json:
        answer(results.as_json(found))
    else:
        results.say_transitions(found)
    choices = {"rule": results.RULES.get(how.detector, ""), "axis": how.axis}
    title = ", ".join(run.name for run in runs)
    if into.out:
        results.save(found, into.out, title, **choices)
    elif not into.as_json:
        results.show(found, title, browser=into.browser, port=into.port, **choices)


def _checked(folders: Sequence[Path], model: Path | None, class_name: str | None) -> Loaded:
    """Return what was named, by absolute paths; ends the command if a file is not what it should be."""
    wrong = problems(str(model) if model else None, class_name)
    if wrong:
        stop("; ".join(wrong), USAGE)
    absolute = tuple(str(folder.expanduser().absolute()) for folder in folders)
    return Loaded(absolute, str(model.absolute()) if model else None, class_name)


def _line() -> str:
    return " ".join(["tandv", *sys.argv[1:]])
