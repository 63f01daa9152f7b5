"""What the shell says: results to standard output, everything else to standard error, and all of it to the log."""

import errno
import io
import logging
import sys
from typing import NoReturn

import typer
from rich.console import Console
from rich.status import Status

from tandv.cli.wording import in_shell_words

NOTHING, USAGE, STOPPED = 1, 2, 130  # exit codes; 0 is fine, 130 what shells give to Ctrl-C

log = logging.getLogger("tandv")
log.addHandler(logging.NullHandler())  # of a command without a log file: else logging writes to standard error


def errors() -> Console:
    """Return the console of standard error; names are not read as markup, and piped lines are not wrapped."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)


def tell(words: str) -> None:
    """Print a status line to standard error."""
    errors().print(words)


def waiting(words: str) -> Status:
    """Return a context in which a terminal shows what is waited for; nothing is written where there is none."""
    return errors().status(words)


def warn(words: str) -> None:
    """Print a warning to standard error, and log it."""
    log.warning("%s", words)
    errors().print(f"Warning: {words}", style="yellow")


def stop(words: str, code: int) -> NoReturn:
    """Print an error to standard error, log it, and end with an exit code."""
    words = in_shell_words(words)
    log.error("%s", words)
    errors().print(f"tandv: {words}", style="bold red")
    raise typer.Exit(code)


def answer(words: str) -> None:
    """Write the result of the command to standard output; end with code 2 where that is full or closed."""
    if sys.stdout is None:
        stop("the results cannot be written: standard output is closed", USAGE)
    try:
        sys.stdout.write(words + "\n")
        sys.stdout.flush()
    except OSError as error:
        if error.errno == errno.EPIPE:  # a reader that has seen enough, such as `head`
            raise
        sys.stdout = io.StringIO()  # what is still in the buffer of the other would fail again at the end
        stop(f"the results cannot be written to standard output: {error.strerror}", USAGE)
