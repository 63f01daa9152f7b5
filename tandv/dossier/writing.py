"""`write_dossier`: collect what a run has left behind, examine it, and write a report with its figures."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tandv.analysis.transitions import Transition
from tandv.curves import Curves
from tandv.dossier.examination import examine
from tandv.dossier.material import AnyPath, gather
from tandv.dossier.pictures import draw
from tandv.dossier.rendering import as_html, as_markdown
from tandv.dossier.report import sections
from tandv.dossier.serial import plain
from tandv.dossier.weights import Measures
from tandv.log.door import AnyLog
from tandv.messages import named_arguments

if TYPE_CHECKING:
    from tandv.viz.layout.style import Theme


class Dossier(NamedTuple):
    """The files of a dossier, and the findings that they show.

    >>> write_dossier({"test_acc": [0.1] * 20 + [0.5] + [0.9] * 20}, "dossier").report.name
    'comparison_report.md'

    Args:
        folder: the folder that holds them.
        report: the report as Markdown.
        page: the report as HTML that contains the pictures.
        results: all numbers as JSON.
        pictures: the .png files.
        findings: what `examine` returns.
    """

    folder: Path
    report: Path
    page: Path
    results: Path
    pictures: list[Path]
    findings: dict[str, Any]


@named_arguments
def write_dossier(
    run: AnyPath | Curves | None = None,
    folder: AnyPath | None = None,
    *,
    curves: AnyPath | Curves | None = None,
    checkpoints: AnyPath | Sequence[AnyPath] | None = None,
    log: AnyLog | None = None,
    num_jumps: int = 5,
    transitions: Sequence[Transition] | None = None,
    lr: str | None = None,
    within: float | None = None,
    measures: Measures | None = None,
    model: Any = None,
    batch: Any = None,
    name: str | None = None,
    theme: "Theme" = "light",
) -> Dossier:
    """Write a report on a run around its transitions: `comparison_report.md` and `.html`, `analysis_results.json`,
    pictures.

    Curves alone are enough. With checkpoints, it reports how far each layer's weights moved, compared with how far they
    usually move; with curves of layers, which layers move together, compared with how many do at any time. What is
    missing is listed.

    >>> accuracy = {"test_acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}
    >>> write_dossier(accuracy, "dossier").findings["moments"][0]["during"]
    21

    Args:
        run: the folder of a run, or curves.
        folder: where to write; by default `dossier` in the run's folder.
        curves: curves, or the .csv or .json file that holds them.
        checkpoints: the folder of checkpoints, or files.
        log: the log, or the place of one: a run's folder or a file.
        num_jumps: how many transitions are examined closely, the largest first.
        transitions: by default those of `find_transitions`.
        lr: the curve that is the learning rate; by default the first that is called lr or learning_rate.
        within: how many steps a checkpoint may be away from a moment; None for any number, which is said.
        measures: functions of the weights of one layer, an array, by name: a number is taken from each layer before and
            after each moment, such as {"largest": lambda weights: abs(weights).max()}.
        model: with `batch`: the model whose weights the checkpoints are, for the attention patterns at these; it stays
            as it is.
        batch: its input: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        name: the name of the run; by default that of the folder.
        theme: "light" or "dark".

    Raises what `gather` raises.
    """
    from tandv.viz.layout.style import theme as theme_named

    theme_named(theme)  # refuses a wrong one before anything is done
    material = gather(run, curves=curves, checkpoints=checkpoints, log=log, name=name, model=model, batch=batch)
    findings = examine(material, num_jumps=num_jumps, transitions=transitions, lr=lr, within=within, measures=measures)
    into = Path(folder) if folder is not None else (material.folder or Path()) / "dossier"
    into.mkdir(parents=True, exist_ok=True)
    pictures = draw(material, findings, into, theme)
    content = sections(findings, pictures)
    files = {
        "comparison_report.md": as_markdown(content),
        "comparison_report.html": as_html(content, into),
        "analysis_results.json": json.dumps(plain(findings), indent=1, allow_nan=False),
    }
    for file, text in files.items():
        temporary = into / f".{file}"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, into / file)
    report, page, results = (into / file for file in files)
    return Dossier(into, report, page, results, [into / one.file for one in pictures], findings)
