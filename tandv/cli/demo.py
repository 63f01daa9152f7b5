"""What `tandv demo` does once its options are read."""

import contextlib
import io
import json
import os
import sys
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import typer

from tandv.cli.logfile import logged
from tandv.cli.output import NOTHING, STOPPED, answer, stop, tell


def demo(
    steps: int | None,
    seed: int,
    out: Path | None,
    framework: Literal["torch", "jax"],
    broken: Literal["overflow", "dead", "lr", "nan"] | None,
    view: bool | None,
    as_json: bool,
) -> None:
    """Train and track a model, break it, and say what the logs show; end with a picture, a page and how to go on."""
    with logged("tandv demo"):
        try:
            from tandv import demo as demonstration
            from tandv.demo import ending
        except ModuleNotFoundError as error:
            stop(str(error), NOTHING)
        quiet = contextlib.redirect_stdout(io.StringIO()) if as_json else contextlib.nullcontext()
        try:
            with quiet:
                log_path = demonstration.run(steps=steps, seed=seed, out=out, framework=framework, broken=broken)
                shown = log_path
                if broken is None and (steps is None or steps >= demonstration.LEAST):
                    shown = demonstration.run_again_broken(log_path, seed, framework)
        except demonstration.CannotBreak as error:
            raise typer.BadParameter(str(error), param_hint="--break") from error
        except (ModuleNotFoundError, OSError) as error:
            stop(str(error), NOTHING)
        except demonstration.Stopped as stopped:
            tell(str(stopped))
            raise typer.Exit(STOPPED) from None
        run = ending.folder_of(shown)
        found = ending.gravest(run)
        try:
            picture = ending.picture(run, found)
        except ModuleNotFoundError as error:  # nothing that draws is installed
            picture = None
            tell(f"No picture: {error}")
        serves = (is_terminal_of_a_person() and not as_json if view is None else view) and _can_serve()
        page = None if serves else ending.page(run)
    if as_json:
        answer(
            json.dumps(
                {
                    "log": str(log_path),
                    "run": str(ending.folder_of(log_path)),
                    "shown": str(run),
                    "finding": found and {"kind": found.kind, "layer": found.layer, "step": found.step},
                    "picture": picture and str(picture),
                    "page": page and page.resolve().as_uri(),
                }
            )
        )
    else:
        if found is None:
            answer("\nFindings: none. The nearest to one is what float8_e4m3fn would lose, as said above.")
        answer(ending.loops())
        if picture is not None:
            answer(f"\nPicture: {ending.short(picture)}")
        if page is not None:
            answer(f"Page: {page.resolve().as_uri()}")
    if page is None:
        from tandv.cli import view as viewing

        viewing.view([str(run)], None, 0, bool(view), 60.0)
    elif view:
        webbrowser.open(page.resolve().as_uri())


def is_terminal_of_a_person() -> bool:
    """Return whether a served page can be ended by Ctrl-C; a pipe or a job of CI would wait for ever."""
    return sys.stdin.isatty() and sys.stdout.isatty() and "CI" not in os.environ


def _can_serve() -> bool:
    return find_spec("starlette") is not None and find_spec("uvicorn") is not None
