"""What `tandv demo --break` can break, and how the finding is told."""

from pathlib import Path
from typing import Literal

from tandv.analysis.findings import examined
from tandv.analysis.findings.report import as_text

Break = Literal["overflow", "dead", "lr", "nan"]
LEAST = 20  # steps that a fault needs to be seen: half of them lie before it
USUAL = 40
AGAIN = 30  # of the training that follows a healthy one


class CannotBreak(ValueError):
    """A training that a fault cannot be put into; the message says all that is wrong."""


def told(log: Path) -> str:
    """Return what the rules find in the log of a broken run, as `tandv check` prints it.

    Args:
        log: the log, or the folder of the run.
    """
    found = examined(log)
    return as_text(found._replace(not_checked=[]))
