"""The results of measuring: on a page in the browser, in a file, or as JSON."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tandv.cli.measuring import Results
from tandv.cli.output import NOTHING, USAGE, log, stop, tell
from tandv.glossary import metric_and_tensor
from tandv.messages import missing

RULES = {
    "transitions": "faster than before and after",
    "relative_jumps": "neighbours that differ by more than 20 %",
    "change_points": "change points: where the distribution of values changes",
    "jumps": "outliers among the differences of neighbours",
    "threshold_crossings": "where the middle between the extremes is crossed",
}


def check(out: Path | None, page: bool) -> None:
    """End the command before anything is measured if its result could not be written or shown."""
    if out is not None and out.suffix.lower() not in WRITERS:
        stop(f"--out {out} must end in one of {', '.join(WRITERS)}", USAGE)
    if out is not None and not out.absolute().parent.is_dir():
        stop(f"there is no folder {out.absolute().parent} for --out {out.name}; make it first", USAGE)
    if page and (lacking := [package for package in ("starlette", "uvicorn") if find_spec(package) is None]):
        stop(str(missing(" and ".join(lacking), "page", "this")), NOTHING)
    if out and out.suffix.lower() in PICTURES and find_spec("matplotlib") is None:
        stop(str(missing("matplotlib", "viz", "this")), NOTHING)


def save(found: Results, out: Path, title: str, **choices: Any) -> None:
    """Write results to a file of the format that its ending names."""
    try:
        WRITERS[out.suffix.lower()](found, out, title, choices)
    except OSError as error:
        stop(f"{out} cannot be written ({error.strerror or error})", NOTHING)
    log.info("wrote %s", out)
    tell(f"Written: {out}")


def show(found: Results, title: str, *, browser: bool, port: int, idle: float, **choices: Any) -> None:
    """Serve a page until Ctrl-C or until no page has asked for long."""
    from tandv import page

    log.info("showing the page")
    try:
        page.show(
            found.curves, browser=browser, port=port, idle=idle, say=tell, title=title, transitions=found.transitions,
            notes=found.notes, **choices,
        )  # fmt: skip
    except OSError as error:
        stop(f"no page can be served on port {port} ({error.strerror or error}); leave --port out", NOTHING)
    log.info("the page has ended")


def print_transitions(found: Results, most: int = 12) -> None:
    """Print the transitions with the largest effect, of curves of all weights."""
    rows = [
        (run, one) for run, ones in found.transitions.items() for one in ones if not metric_and_tensor(one.quantity)[1]
    ]
    if not rows:
        tell("No transition was found." if found.transitions else "")
        return
    from tandv.analysis.transitions.wording import in_words, is_uncertain  # imports SciPy

    several = len(found.curves) > 1
    tell(f"{len(rows)} transition{'s' if len(rows) > 1 else ''}:")
    # the largest by effect, in the order of their steps
    largest = sorted(rows, key=lambda row: -abs(row[1].evidence.effect))[:most]
    for run, one in sorted(largest, key=lambda row: (row[0], row[1].step)):
        of = f"{run}: " if several else ""
        tell(f"  {of}{in_words(one)}{', uncertain' if is_uncertain(one) else ''}")
    if len(rows) > most:
        tell(f"  and {len(rows) - most} smaller ones")


def as_json(found: Results) -> str:
    """Return results as one JSON object: NaN is null, infinity a text."""
    from tandv.page.content import content

    whole = content(found.curves, transitions=found.transitions)
    more = {"warnings": found.warnings, "measured": found.measured}
    return json.dumps({**whole, **more}, ensure_ascii=False, allow_nan=False)


def _page(found: Results, out: Path, title: str, choices: dict[str, Any]) -> None:
    from tandv import page

    page.save(found.curves, out, title=title, transitions=found.transitions, notes=found.notes, **choices)


def _json(found: Results, out: Path, title: str, choices: dict[str, Any]) -> None:
    out.write_text(as_json(found) + "\n", encoding="utf-8")


def _csv(found: Results, out: Path, title: str, choices: dict[str, Any]) -> None:
    import pandas as pd

    from tandv.curves import write_curves

    several = len(found.curves) > 1
    tables = [
        table.rename(columns=lambda name, run=run: f"{name} ({run})") if several else table
        for run, table in found.curves.items()
    ]
    write_curves(pd.concat(tables, axis=1).sort_index(), out)


def _picture(found: Results, out: Path, title: str, choices: dict[str, Any]) -> None:
    from tandv import viz

    curves = found.curves if len(found.curves) > 1 else next(iter(found.curves.values()))
    marks = found.transitions if len(found.curves) > 1 else next(iter(found.transitions.values()), [])
    viz.metric_curves(curves, transitions=marks, xscale=choices["axis"]).savefig(out)


PICTURES = (".png", ".svg", ".pdf")
WRITERS: dict[str, Callable[[Results, Path, str, dict[str, Any]], None]] = {
    ".html": _page,
    ".htm": _page,
    ".json": _json,
    ".csv": _csv,
    **dict.fromkeys(PICTURES, _picture),
}
