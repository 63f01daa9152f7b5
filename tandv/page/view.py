"""`tandv.view`: the page of a run, in a notebook as a widget, elsewhere served, or written to one file."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tandv.messages import UnknownName, named_arguments, near_steps, print_at_once, unknown
from tandv.page.answers import Answers, Run
from tandv.page.answers.curves_of_a_run import shown as shown_at_first
from tandv.page.opening import Shown, measured, opened

AGAIN = "A still picture of the page: run this cell again to bring it to life"
_SIZE = (9.0, 4.7)  # of that picture, in inches of 100 pixels; the line stands above it


@named_arguments
def view(
    run: Any,
    *others: Any,
    layer: str | None = None,
    tt: str | None = None,
    scalar_metric: str | None = None,
    step: int | None = None,
    out: str | os.PathLike[str] | None = None,
    height: int = 680,
    port: int = 0,
    browser: bool = True,
    idle: float = 60.0,
    say: Callable[[str], None] = print_at_once,
) -> Any:
    """Show the page of a run: in a notebook a widget, elsewhere served on this machine until Ctrl-C, or as one file.

    It stays up to date while the run goes on, but for the file.

    >>> from tandv.log.logframe import example_log
    >>> view(example_log(), step=10, out="run.html").name
    'run.html'

    Args:
        run: the folder of a run, a file of a log (pickle, parquet, csv) or of curves (csv, json, parquet), an address
            such as "s3://bucket/run", a folder of checkpoints; a log or curves in memory; or a dict of these by name.
        others: more runs to compare with it.
        layer: the layer that is shown first; by default where something is wrong, else the one that changed most.
        tt: the tensor type that is shown first.
        scalar_metric: the statistic that is shown first.
        step: the step that is shown first.
        out: an .html file to write instead, which works from disk without a network.
        height: of the widget, in pixels.
        port: the port to listen on; 0 takes any that is free.
        browser: whether to open it in a browser; otherwise its address is only printed.
        idle: minutes without a question after which a served page ends; 0 for never.
        say: a function that prints a line of text.

    Returns the widget in a notebook, the path of the file with `out`, else None once the page has ended.

    Raises CannotShow naming everything that cannot be shown, UnknownName naming every choice that the first run does
    not have, OSError if the port is not free or the file cannot be
    written, ModuleNotFoundError without the packages of tandv[page].
    """
    wrong = [] if out is None else problems_of_file(Path(out))
    shown = opened([run, *others], lambda folder, name: measured(folder, name, say), wrong)
    chosen = {"layer": layer, "tt": tt, "metric": scalar_metric, "step": step}
    first = {name: value for name, value in chosen.items() if value is not None}
    if unknown_ones := _unknown(shown[0].run, **chosen):
        for one in shown:
            one.run.close()
        raise UnknownName("\n".join(unknown_ones))
    if out is not None:
        return save_page(shown, Path(out), first)
    if in_notebook():
        from tandv.page.widget import PageWidget

        answers = Answers([one.run for one in shown])
        return PageWidget(answers, title_of(shown), lambda: picture(shown[0], first), view=first, height=height)
    serve_page(shown, first, port=port, browser=browser, idle=idle, say=say)
    return None


def serve_page(
    shown: Sequence[Shown],
    first: Mapping[str, Any],
    *,
    port: int = 0,
    browser: bool = True,
    idle: float = 60.0,
    say: Callable[[str], None] = print_at_once,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page of runs that were opened. For the other parameters see `view`.

    Args:
        shown: the runs.
        first: what is shown first: a part of the page's state.
        ready: is given the page's address once it is served.
    """
    from tandv.page.server import serve

    with closing(Answers([one.run for one in shown])) as answers:
        at = urlencode(first)
        serve(answers, title=title_of(shown), at=at, port=port, browser=browser, idle=idle, say=say, ready=ready)


def save_page(shown: Sequence[Shown], path: Path, first: Mapping[str, Any], predict: bool = True) -> Path:
    """Write the page of runs that were opened to one file; return its path.

    Args:
        shown: the runs.
        path: the file.
        first: what is shown first: a part of the page's state.
        predict: whether to predict which casts would lose much; the first time, that compiles for many seconds.
    """
    from tandv.page.one_file import document
    from tandv.page.pooled import pooled

    with closing(Answers([one.run for one in shown])) as answers:
        data = pooled(answers, predict=predict)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:  # a reader never sees half a page
        temporary.write_text(document(data, title_of(shown), first), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def problems_of_file(path: Path, argument: str = "out=") -> list[str]:
    """Return what is wrong with the file to write, a sentence each, before anything is read for it.

    Args:
        path: the file.
        argument: how it is named in these sentences.
    """
    wrong = []
    if path.suffix.lower() not in (".html", ".htm"):
        wrong.append(f"{argument}{path} must end in .html")
    if not path.absolute().parent.is_dir():
        wrong.append(f"there is no folder {path.absolute().parent} for {argument}{path.name}; make it first")
    return wrong


def _unknown(run: Run, layer: str | None, tt: str | None, metric: str | None, step: int | None) -> list[str]:
    """Return a sentence for each choice that a run does not have."""
    if run.holds_curves:
        given = {"layer": layer, "tt": tt, "scalar_metric": metric, "step": step}
        named = [name for name, value in given.items() if value is not None]
        return (
            [f"{run.name} has curves only, of which {', '.join(named)} chooses nothing; leave it out"] if named else []
        )
    log = run.log()
    kinds: dict[str, list[str]] = {}
    for kind, name in log.tensors:
        kinds.setdefault(kind, []).append(name)
    if not kinds:
        return []  # nothing has been logged yet
    wrong = [] if tt is None or tt in kinds else [unknown("tensor type", tt, kinds, run.name)]
    of = kinds.get(tt or "")
    layers = of or list(dict.fromkeys(name for names in kinds.values() for name in names))
    if layer is not None and layer not in layers:
        wrong.append(unknown("layer", layer, layers, f"{tt} of {run.name}" if of else run.name))
    if metric is not None and metric not in log.metrics:
        wrong.append(unknown("statistic", metric, log.metrics, run.name))
    if step is not None and step not in log.steps:
        wrong.append(f"no step {step} in {run.name}; {near_steps(step, log.steps.tolist())}")
    return wrong


def title_of(shown: Sequence[Shown]) -> str:
    """Return the title of the page of some runs."""
    return ", ".join(one.run.name for one in shown)


def in_notebook() -> bool:
    """Tell whether this runs in a kernel of Jupyter or in a notebook of marimo, without importing either."""
    ipython, marimo = sys.modules.get("IPython"), sys.modules.get("marimo")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None or bool(marimo and marimo.running_in_notebook())


def picture(one: Shown, first: Mapping[str, Any]) -> bytes | None:
    """Draw a run as PNG with the line that says how to bring the page to life.

    None without matplotlib, or where there is nothing to draw yet.

    Args:
        one: the run.
        first: what the page shows first.
    """
    try:
        from tandv import viz
        from tandv.viz.notebook import still
    except ModuleNotFoundError:
        return None
    try:
        if one.log is None:
            table = one.run.curves.table
            figure = viz.metric_curves(table[shown_at_first(table)], figsize=_SIZE)
        else:
            layer, tt, metric, step = (first.get(name) for name in ("layer", "tt", "metric", "step"))
            figure = viz.overview(one.log, layer, tt, metric, step, figsize=_SIZE)
    except (OSError, ValueError, LookupError):  # there is nothing to draw yet
        return None
    return still.of_figure(figure, AGAIN)
