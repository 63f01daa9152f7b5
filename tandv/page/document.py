"""One file that holds everything: data, looks, script and Plotly. It asks nobody for anything, and may not.

The page's policy lets only its own scripts run, by their hashes, and no request be made, so that even a name that
got out of its place could do nothing.
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
from typing import TYPE_CHECKING, Literal

from tandv.curves.runs import Runs
from tandv.page.content import content

if TYPE_CHECKING:
    from tandv.page.content import Marks

SCRIPTS = ("numbers.js", "charts.js", "downloads.js", "details.js", "page.js")


def document(
    curves: Runs,
    *,
    transitions: Marks = (),
    title: str = "Checkpoints",
    rule: str = "",
    axis: Literal["linear", "log"] = "linear",
    notes: Iterable[str] = (),
) -> str:
    """Return a page about curves, of one run or of several by their names, as the text of one HTML file.

    `transitions` are marked (of several runs, by the run's name), and `rule` says how they were found; `axis` is the
    step axis that is shown first; `notes` are said below. Raises ModuleNotFoundError without Plotly.

    >>> document({"loss": [2.0, 1.0]}).startswith("<!doctype html>")
    True
    """
    data = content(curves, transitions=transitions, title=title, rule=rule, axis=axis, notes=notes)
    # A browser reads </script> and <!-- inside of a script's text too.
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


def save(curves: Runs, path: str | os.PathLike[str], **choices: object) -> Path:
    """Write a page to a file that can be kept, sent, and opened without a network; see `document` for the choices.

    >>> save({"loss": [2.0, 1.0]}, "loss.html", title="A loss")
    PosixPath('loss.html')
    """
    path = Path(path)
    path.write_text(document(curves, **choices), encoding="utf-8")  # type: ignore[arg-type]
    return path


def policy(*scripts: str) -> str:
    """Return the content security policy of a page with these scripts: they may run, nothing may be fetched."""
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the page needs Plotly: pip install 'tandv[page]'", name="plotly") from error
    return get_plotlyjs().replace("\r\n", "\n")  # as a browser reads it, whose hash must be the same


def _script() -> str:
    return "(() => {\n'use strict';\n" + "".join(_part(name) for name in SCRIPTS) + "})();\n"


def _part(name: str) -> str:
    return files("tandv.page").joinpath(name).read_text(encoding="utf-8")
