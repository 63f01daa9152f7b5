"""What `tandv demo` does once its options are read."""

import contextlib
import io
import json
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
    view: bool,
    as_json: bool,
) -> None:
    """Train and track a model, and say what its log shows; open its page if that is asked for."""
    with logged("tandv demo"):
        try:
            from tandv import demo as demonstration
        except ModuleNotFoundError as error:
            stop(str(error), NOTHING)
        said = contextlib.redirect_stdout(io.StringIO()) if as_json else contextlib.nullcontext()
        try:
            with said:
                log = demonstration.run(steps=steps, seed=seed, out=out, framework=framework, broken=broken)
        except demonstration.CannotBreak as error:
            raise typer.BadParameter(str(error), param_hint="--break") from error
        except (ModuleNotFoundError, OSError) as error:
            stop(str(error), NOTHING)
        except demonstration.Stopped as stopped:
            tell(str(stopped))
            raise typer.Exit(STOPPED) from None
        if as_json:
            answer(json.dumps({"log": str(log), "run": str(log if log.is_dir() else log.parent)}))
    if view:
        from tandv.cli import view as viewing

        viewing.view([str(log if log.is_dir() else log.parent)], None, 0, True, 60.0)
