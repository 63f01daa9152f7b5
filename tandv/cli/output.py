"""What the shell says: results to standard output, everything else to standard error, and all of it to the log."""

import logging
import sys
from typing import NoReturn

import typer
from rich.console import Console

NOTHING, USAGE, STOPPED = 1, 2, 130  # exit codes; 0 is fine, 130 what shells give to Ctrl-C

log = logging.getLogger("tandv")


def errors() -> Console:
    """Return where messages go; names are never read as markup, and lines are not broken where they are piped."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)


def tell(words: str) -> None:
    """Say how it goes."""
    errors().print(words)


def warn(words: str) -> None:
    """Say what is worth knowing."""
    log.warning("%s", words)
    errors().print(f"Warning: {words}", style="yellow")


def stop(words: str, code: int) -> NoReturn:
    """Say why it cannot go on, and end with an exit code."""
    log.error("%s", words)
    errors().print(f"tandv: {words}", style="bold red")
    raise typer.Exit(code)


def answer(words: str) -> None:
    """Say what was asked for."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()
