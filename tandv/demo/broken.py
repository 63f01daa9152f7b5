"""What `tandv demo --break` can break, and how the finding is told."""

from pathlib import Path
from typing import Literal

from tandv.analysis.findings import examined
from tandv.analysis.findings.report import as_text

Break = Literal["overflow", "dead", "lr", "nan"]
LEAST = 20  # steps that a fault needs to be seen: half of them lie before it
USUAL = 40
AGAIN = 30  # of the training that follows a healthy one
GROWTH = 26  # powers of two by which the weights of the layer that overflows grow
FACTOR = 300  # by which the learning rate is too high


class CannotBreak(ValueError):
    """A training that a fault cannot be put into; the message says all that is wrong."""


def in_words(kind: Break, steps: int) -> str:
    """Return what will be broken, as a sentence.

    >>> in_words("nan", 40)
    'At step 20 one weight of layers.1.attention_norm becomes NaN.'

    Args:
        kind: the fault.
        steps: how many steps there will be; the fault begins at half of them.
    """
    at = steps // 2
    return {
        "overflow": f"The weights of layers.2.feed_forward.w1, computed in float16, grow from step {at} on.",
        "dead": f"At step {at} the bias of layers.2.feed_forward.w1 becomes -50: its GELU is zero from then on.",
        "lr": f"At step {at} the learning rate becomes {FACTOR} times as high.",
        "nan": f"At step {at} one weight of layers.1.attention_norm becomes NaN.",
    }[kind]


def told(log: Path) -> str:
    """Return what the rules find in the log of a broken run, as `tandv check` prints it.

    Args:
        log: the log, or the folder of the run.
    """
    found = examined(log)
    return as_text(found._replace(not_checked=[]))
