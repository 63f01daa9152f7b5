"""The log file of the command line: commands, warnings and errors, in a rotated file of limited length."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import BaseRotatingHandler
from pathlib import Path

from tandv.cli.state import state_folder

LINES, KEPT = 10_000, 3


def log_path() -> Path:
    """Return the path of the log; older ones have .1, .2 and .3 after their name."""
    return state_folder() / "tandv.log"


class LinesHandler(BaseRotatingHandler):
    """Writes to a file that is rotated after a number of lines; some older ones are kept."""

    def __init__(self, path: Path, lines: int = LINES, kept: int = KEPT):
        super().__init__(path, "a", encoding="utf-8", delay=True)
        self.lines, self.kept = lines, kept
        self._written = _lines_of(path)

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """Tell whether a record would make the file too long."""
        more = self.format(record).count("\n") + 1
        full = self._written > 0 and self._written + more > self.lines
        self._written = more if full else self._written + more
        return full

    def doRollover(self) -> None:
        """Rename the file and its predecessors, and drop the oldest."""
        if self.stream:
            self.stream.close()
            self.stream = None  # type: ignore[assignment]
        path = Path(self.baseFilename)
        for number in range(self.kept, 0, -1):
            older = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number}"))

    def handleError(self, record: logging.LogRecord) -> None:
        """Print once that no log can be written; the command continues."""
        error = sys.exc_info()[1]
        logging.getLogger("tandv").removeHandler(self)
        print(f"tandv: no log is kept, {self.baseFilename} cannot be written ({error})", file=sys.stderr)


@contextmanager
def logged(command: str) -> Iterator[logging.Logger]:
    """Log a command from start to end, with any error that ends it."""
    logger = logging.getLogger("tandv")
    before = logger.level, logger.propagate
    handler: logging.Handler
    try:
        log_path().parent.mkdir(parents=True, exist_ok=True)
        handler = LinesHandler(log_path())
    except OSError as error:
        print(f"tandv: no log is kept, {log_path()} cannot be written ({error})", file=sys.stderr)
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # messages to the user are printed separately
    logger.info("started: %s", command)
    try:
        yield logger
        logger.info("ended: %s", command)
    except BaseException as error:
        code = getattr(error, "exit_code", None)
        if code is not None:
            logger.info("ended with exit code %s: %s", code, command)
        elif isinstance(error, KeyboardInterrupt):
            logger.info("stopped by Ctrl-C: %s", command)
        else:
            logger.exception("failed: %s", command)
        raise
    finally:
        logger.removeHandler(handler)
        with suppress(OSError):  # of a full disk, which has been said
            handler.close()
        logger.level, logger.propagate = before


def _lines_of(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    except FileNotFoundError:
        return 0
