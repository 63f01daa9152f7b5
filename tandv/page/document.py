"""Curves of one or several runs as a page: one file that works offline, or served on this machine until Ctrl-C."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tandv.curves.runs import Runs, as_runs
from tandv.messages import print_at_once
from tandv.page.answers import Answers, CurvesOnly, Run
from tandv.page.answers.curves_of_a_run import Axis
from tandv.page.content import marks_of

if TYPE_CHECKING:
    from tandv.page.content import Marks


def document(
    curves: Runs,
    *,
    transitions: Marks = (),
    title: str = "Curves",
    rule: str = "",
    axis: Axis = "linear",
    notes: Iterable[str] = (),
) -> str:
    """Return a page about curves as the text of one HTML file.

    >>> document({"loss": [2.0, 1.0]}).startswith("<!doctype html>")
    True

    Args:
        curves: the curves of a run, or a dict of them by the run's name.
        transitions: transitions to mark; of several runs, a dict of them by the run's name.
        title: the title of the page.
        rule: how the transitions were detected, in words.
        axis: the scale of the step axis that is shown first.
        notes: lines of text above the charts.
    """
    from tandv.page import one_file
    from tandv.page.pooled import pooled

    answers = _answers(curves, transitions, title, rule, axis, notes)
    return one_file.document(pooled(answers), title)


def save(
    curves: Runs,
    path: str | os.PathLike[str],
    *,
    transitions: Marks = (),
    title: str = "Curves",
    rule: str = "",
    axis: Axis = "linear",
    notes: Iterable[str] = (),
) -> Path:
    """Write a page to a file that works without a network; return the path.

    >>> save({"loss": [2.0, 1.0]}, "loss.html", title="A loss").name
    'loss.html'

    Args:
        path: the .html file to write.
        curves: the curves of a run, or a dict of them by the run's name.
        transitions: transitions to mark; of several runs, a dict of them by the run's name.
        title: the title of the page.
        rule: how the transitions were detected, in words.
        axis: the scale of the step axis that is shown first.
        notes: lines of text above the charts.
    """
    path = Path(path)
    page = document(curves, transitions=transitions, title=title, rule=rule, axis=axis, notes=notes)
    path.write_text(page, encoding="utf-8")
    return path


def show(
    curves: Runs,
    *,
    browser: bool = True,
    port: int = 0,
    idle: float = 60.0,
    say: Callable[[str], None] = print_at_once,
    transitions: Marks = (),
    title: str = "Curves",
    rule: str = "",
    axis: Axis = "linear",
    notes: Iterable[str] = (),
) -> None:
    """Serve a page on this machine and open it in the browser, until Ctrl-C or until no page has asked for long.

    >>> def print_then_interrupt(line):
    ...     print(line.partition(":")[0])
    ...     raise KeyboardInterrupt  # as Ctrl-C does
    >>> show({"loss": [2.0, 1.0]}, browser=False, say=print_then_interrupt)
    The page is ready; open it in a browser

    Args:
        curves: the curves of a run, or a dict of them by the run's name.
        transitions: transitions to mark; of several runs, a dict of them by the run's name.
        title: the title of the page.
        rule: how the transitions were detected, in words.
        axis: the scale of the step axis that is shown first.
        notes: lines of text above the charts.
        browser: whether to open it in a browser; otherwise its address is only printed.
        port: the port to listen on; 0 takes any that is free.
        idle: minutes without a question after which it ends; 0 for never.
        say: a function that prints a line of text.

    Raises OSError if the port is not free, ModuleNotFoundError without the packages of tandv[page].
    """
    answers = _answers(curves, transitions, title, rule, axis, notes)
    from tandv.page.server import serve

    serve(answers, title=title, port=port, browser=browser, idle=idle, say=say)


def _answers(curves: Runs, transitions: Marks, title: str, rule: str, axis: Axis, notes: Iterable[str]) -> Answers:
    runs, words = as_runs(curves), list(notes)
    marks = marks_of(runs, transitions)
    return Answers(
        [
            Run(CurvesOnly(table, name, list(marks.get(name, ())), rule, title, words, axis))
            for name, table in runs.items()
        ]
    )
