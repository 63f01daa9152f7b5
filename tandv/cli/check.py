"""What `tandv check` and `tandv explain` do once their options are read."""

import io
import json
from pathlib import Path

import pandas as pd
import typer

from tandv.analysis.findings import SEVERITIES, Examined, Severity, by_severity, examined, gravest
from tandv.analysis.findings import explain as what_came_before
from tandv.analysis.findings.explain import Explanation, sentence
from tandv.analysis.findings.report import as_html, as_text
from tandv.cli.logfile import logged
from tandv.cli.output import USAGE, answer, stop, tell
from tandv.curves import as_curves, read_curves
from tandv.messages import some
from tandv.place import place_of

EXIT = {"error": 1, "warning": 3, "note": 4}  # by the gravest finding; 2 is that nothing could be read


def check(run: str, fail_on: Severity, as_json: bool, html: Path | None) -> None:
    """Print the findings of a run, and end with an exit code by the gravest of those that count."""
    with logged(f"tandv check {run}"):
        if html is not None and not html.absolute().parent.is_dir():
            stop(f"there is no folder {html.absolute().parent} for --html {html.name}; make it first", USAGE)
        try:
            found = examined(run)
        except (ValueError, OSError, TypeError) as error:
            stop(_of_curves(run) or str(error), USAGE)
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


def explain(run: str, step: int | None, as_json: bool) -> None:
    """Print what came before a spike of the loss, or before a step."""
    with logged(f"tandv explain {run}"):
        try:
            found = what_came_before(run, step)
        except (ValueError, OSError, TypeError) as error:
            stop(_of_curves(run) or str(error), USAGE)
        if as_json:
            answer(json.dumps({"run": run, **found.as_dict()}, ensure_ascii=False, allow_nan=False))
        else:
            answer(as_sentences(found))


def as_sentences(found: Explanation, most: int = 12) -> str:
    """Return an explanation as lines: the event, what came before it, and how often that happens by chance."""
    lines = [] if found.step is None else [f"Before step {found.step:,}:"]
    lines += [f"  {number}. {sentence(one)}" for number, one in enumerate(found.departures[:most], 1)]
    if len(found.departures) > most:
        lines.append(f"  and {len(found.departures) - most} more")
    lines += found.notes
    if found.limit:
        lines.append(
            f"Ranked is what exceeds {found.limit:.3g} times a tensor's own chance, from {found.quiet:,} recorded "
            "steps before; of 89 benchmark runs without an event, none had anything ranked."
        )
    if later := [one for one in found.spikes if one != found.step]:
        lines.append(f"The loss also spikes at {some([f'{one:,}' for one in later], 5)}; --step explains another one.")
    return "\n".join(lines)


def _of_curves(run: str) -> str:
    """Return what to do with a file that cannot be read as a log, but as curves; "" for any other."""
    if not run.lower().endswith((".csv", ".json", ".parquet")):
        return ""
    place = place_of(run)
    try:
        if run.lower().endswith(".parquet"):
            table = as_curves(pd.read_parquet(io.BytesIO(place.read())))
        else:
            table = read_curves(place.path if place.is_local else place.name)
    except (ValueError, OSError, TypeError):
        return ""
    names = some([str(name) for name in table.columns], 3)
    return (
        f"{run} holds curves ({names}), one number a step, and no statistics of tensors, in which findings are looked "
        f"for; give the folder or the log of a run that tandv tracked. `tandv view {run}` shows the curves"
    )


def as_dict(run: str, found: Examined) -> dict:
    """Return findings as what JSON can hold."""
    return {
        "run": run,
        "counts": by_severity(found.findings),
        "findings": [one.as_dict() for one in found.findings],
        "not_checked": found.not_checked,
    }
