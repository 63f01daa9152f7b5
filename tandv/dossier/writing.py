"""`write_dossier`: from what a run has left behind to a report, its numbers and its pictures."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from tandv.analysis.transitions import Transition
from tandv.curves import Curves
from tandv.dossier.examination import examine, plain
from tandv.dossier.material import AnyPath, gather
from tandv.dossier.pictures import draw
from tandv.dossier.report import as_html, as_markdown, blocks


class Dossier(NamedTuple):
    """The files of a dossier, and the findings that they show."""

    folder: Path
    report: Path  # Markdown
    page: Path  # HTML, with the pictures in it
    results: Path  # JSON
    pictures: list[Path]
    findings: dict[str, Any]


def write_dossier(
    run: AnyPath | Curves | None = None,
    folder: AnyPath | None = None,
    *,
    curves: AnyPath | Curves | None = None,
    checkpoints: AnyPath | Sequence[AnyPath] | None = None,
    log: AnyPath | pd.DataFrame | None = None,
    num_jumps: int = 5,
    transitions: Sequence[Transition] | None = None,
    nulls: int = 99,
    within: int | None = None,
    name: str | None = None,
    theme: str = "light",
) -> Dossier:
    """Write what is known of a run around its transitions: `comparison_report.md` and `.html`, numbers, pictures.

    `run` is a run's folder or its curves; `curves`, `checkpoints` and `log` may be given from elsewhere. Curves alone
    are enough: what else there is adds how far each layer's weights went, beside how far they usually go, and which
    layers move together, beside how many do at any time. What is missing is said. `folder` is by default `dossier` in
    the run's; `analysis_results.json` holds all numbers. For `within` see `examine`, for what is opened `gather`.

    >>> import tempfile
    >>> accuracy = {"test_acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}
    >>> write_dossier(accuracy, tempfile.mkdtemp()).findings["moments"][0]["during"]
    21
    """
    material = gather(run, curves=curves, checkpoints=checkpoints, log=log, name=name)
    findings = examine(material, num_jumps=num_jumps, transitions=transitions, nulls=nulls, within=within)
    into = Path(folder) if folder is not None else (material.folder or Path()) / "dossier"
    into.mkdir(parents=True, exist_ok=True)
    pictures = draw(material, findings, into, theme)
    content = blocks(findings, pictures)
    files = {
        "comparison_report.md": as_markdown(content),
        "comparison_report.html": as_html(content, into),
        "analysis_results.json": json.dumps(plain(findings), indent=1, allow_nan=False),
    }
    for file, text in files.items():
        aside = into / f".{file}"
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, into / file)
    report, page, results = (into / file for file in files)
    return Dossier(into, report, page, results, [into / one.file for one in pictures], findings)
