"""The page as one HTML file with its data, styles, scripts and Plotly; it loads nothing.

Its content security policy allows only its own scripts, by their hashes, and no requests, so that markup that might get
into it through a name cannot run.
"""

from __future__ import annotations

import html
import json
import os
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from tandv.curves.runs import Runs
from tandv.messages import missing
from tandv.page.content import Axis, content

if TYPE_CHECKING:
    from tandv.page.content import Marks

SCRIPTS = ("numbers.js", "charts.js", "downloads.js", "details.js", "page.js")


def document(
    curves: Runs,
    *,
    transitions: Marks = (),
    title: str = "Checkpoints",
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
        notes: lines of text below the charts.

    Raises ModuleNotFoundError without Plotly.
    """
    data = content(curves, transitions=transitions, title=title, rule=rule, axis=axis, notes=notes)
    # A browser interprets </script> and <!-- even inside the text of a script.
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    plotly, script = _plotly(), _script()
    return Template(_part("page.html")).substitute(
        title=html.escape(title),
        policy=policy(plotly, script),
        style=_part("page.css"),
        data=text,
        plotly=plotly,
        script=script,
    )


def save(
    curves: Runs,
    path: str | os.PathLike[str],
    *,
    transitions: Marks = (),
    title: str = "Checkpoints",
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
        notes: lines of text below the charts.

    Raises ModuleNotFoundError without Plotly.
    """
    path = Path(path)
    page = document(curves, transitions=transitions, title=title, rule=rule, axis=axis, notes=notes)
    path.write_text(page, encoding="utf-8")
    return path


def policy(*scripts: str) -> str:
    """Return the content security policy of a page: only `scripts` may run, and nothing may be fetched."""
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise missing("plotly", "page", "the page") from error
    return get_plotlyjs().replace("\r\n", "\n")  # browsers normalise line ends before they hash


def _script() -> str:
    return "(() => {\n'use strict';\n" + "".join(_part(name) for name in SCRIPTS) + "})();\n"


def _part(name: str) -> str:
    return files("tandv.page").joinpath(name).read_text(encoding="utf-8")
