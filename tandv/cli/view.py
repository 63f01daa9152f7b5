"""What `tandv view` does once its options are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tandv.cli.logfile import logged
from tandv.cli.output import NOTHING, STOPPED, USAGE, answer, log, stop, tell

if TYPE_CHECKING:
    from tandv.page.answers import CurvesOnly
    from tandv.page.opening import Shown


Filtered = tuple[str | None, tuple[str, ...], tuple[str, ...], str | None]


def view(
    runs: Sequence[str], out: Path | None, port: int, browser: bool, idle: float,
    filters: Filtered = (None, (), (), None), as_json: bool = False,
) -> None:  # fmt: skip
    """Serve the page of some runs until Ctrl-C, or write it to a file; print its address or its path."""
    with logged(f"tandv view {' '.join(runs)}"):
        try:
            from tandv.page import opening
            from tandv.page import view as viewing

            if out is None:
                from tandv.page import server  # noqa: F401  so that a package that is missing is named first
        except ModuleNotFoundError as error:
            stop(str(error), NOTHING)
        try:
            shown = opening.opened(
                runs, partial(_measured, filters), [] if out is None else viewing.problems_of_file(out, "--out ")
            )
        except opening.CannotShow as error:
            stop(str(error), USAGE)
        except KeyboardInterrupt:
            tell("Stopped.")
            raise typer.Exit(STOPPED) from None
        if out is not None:
            _write(shown, out, as_json)
            return
        log.info("showing the page")

        def ready(address: str) -> None:
            if as_json:
                answer(json.dumps({"address": address, "runs": [one.run.name for one in shown]}))

        try:
            viewing.serve_page(shown, {}, port=port, browser=browser, idle=idle, say=tell, ready=ready)
        except OSError as error:
            stop(f"no page can be served on port {port} ({error.strerror or error}); leave --port out", NOTHING)
        log.info("the page has ended")


def _write(shown: Sequence[Shown], out: Path, as_json: bool) -> None:
    from tandv.page.view import save_page

    try:
        path = save_page(shown, out, {})
    except OSError as error:
        stop(f"{out} cannot be written ({error.strerror or error})", NOTHING)
    if as_json:
        answer(json.dumps({"file": str(path), "bytes": path.stat().st_size}))
        return
    tell(f"{path.stat().st_size / 1e6:.1f} MB")
    answer(str(path))


def _measured(filters: Filtered, folder: str, name: str) -> CurvesOnly:
    """Measure a folder of checkpoints with a progress bar, as `tandv checkpoints` does."""
    from tandv.checkpoints.selection import Filters
    from tandv.cli.measuring import MeasureOptions, measure, runs_in
    from tandv.cli.state import Loaded

    runs = runs_in([folder], Filters(*filters))
    found = measure(runs, Loaded((folder,), None, None), ["all"], MeasureOptions(detector="none"))
    from tandv.page.answers import CurvesOnly

    (curves,) = found.curves.values()
    return CurvesOnly(curves, name, notes=found.notes)
