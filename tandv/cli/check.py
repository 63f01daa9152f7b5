"""What `tandv check` does once its options are read."""

import json
from pathlib import Path

import typer

from tandv.analysis.findings import SEVERITIES, Examined, Finding, Severity, by_severity, examined, gravest
from tandv.analysis.findings.report import as_html
from tandv.cli.logfile import logged
from tandv.cli.output import USAGE, answer, stop, tell

EXIT = {"error": 1, "warning": 3, "note": 4}  # by the gravest finding; 2 is that nothing could be read


def check(run: str, fail_on: Severity, as_json: bool, html: Path | None) -> None:
    """Print the findings of a run, and end with an exit code by the gravest of those that count."""
    with logged(f"tandv check {run}"):
        if html is not None and not html.absolute().parent.is_dir():
            stop(f"there is no folder {html.absolute().parent} for --html {html.name}; make it first", USAGE)
        try:
            found = examined(run)
        except (ValueError, OSError, TypeError) as error:
            stop(str(error), USAGE)
        if as_json:
            answer(json.dumps(as_dict(run, found), ensure_ascii=False, allow_nan=False))
        else:
            answer(as_text(found))
        if html is not None:
            try:
                html.write_text(as_html(found, f"Findings of {run}"), encoding="utf-8")
            except OSError as error:
                stop(f"{html} cannot be written ({error.strerror or error})", USAGE)
            tell(f"Written: {html}")
        counted = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
        if (worst := gravest([one for one in found.findings if one.severity in counted])) is not None:
            raise typer.Exit(EXIT[worst])


def as_dict(run: str, found: Examined) -> dict:
    """Return findings as what JSON can hold."""
    return {
        "run": run,
        "counts": by_severity(found.findings),
        "findings": [one.as_dict() for one in found.findings],
        "not_checked": found.not_checked,
    }


def as_text(found: Examined) -> str:
    """Return findings as paragraphs, the gravest first, and what could not be checked."""
    counts = [
        f"{count} {name}{'s' if count > 1 else ''}" for name, count in by_severity(found.findings).items() if count
    ]
    lines = [f"Findings: {', '.join(counts)}." if counts else "Nothing was found."]
    for one in found.findings:
        lines += ["", *_paragraph(one)]
    if found.not_checked:
        lines += ["", "Not checked:", *(f"  {sentence}" for sentence in found.not_checked)]
    return "\n".join(lines)


def _paragraph(one: Finding) -> list[str]:
    return [
        f"{one.severity} · {one.kind} · {one.tensor_type} · {one.layer} · step {one.step:,}",
        f"  {one.what}",
        f"  {one.before}",
        f"  To do: {one.advice}",
        *(f"    {sentence}" for sentence in one.evidence),
    ]
