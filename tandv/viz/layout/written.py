"""Names are drawn as they are written: a dollar sign begins no formula, and a line break no line.

>>> readable("a\\nb\\t")
'a⏎b\\\\t'
"""

import re

from matplotlib.axes import Axes
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def readable(name: str) -> str:
    """Return a name in which characters that no font draws are written out."""
    return _CONTROL.sub(lambda found: "⏎" if found[0] == "\n" else repr(found[0])[1:-1], name)


def escaped(name: str) -> str:
    """Return a name as the label of a tick, whose text is made anew whenever ticks change.

    >>> escaped("us$")
    'us\\\\$'
    """
    return readable(name).replace("$", r"\$")


def as_written(*texts: Text, formulas: bool = False) -> None:
    """Let texts be drawn with their dollar signs; with `formulas`, only those in which there is no valid formula.

    Other texts are not changed: what the caller writes into them later may be a formula.
    """
    for text in texts:
        words = text.get_text()
        if "$" in words and not (formulas and _is_valid(words)):
            text.set_parse_math(False)


def axes_as_written(ax: Axes, formulas: bool = False) -> None:
    """Let the labels of the axes, and the texts within, be drawn as they are written."""
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_text(readable(label.get_text()))
    as_written(*ax.texts, ax.xaxis.label, ax.yaxis.label, formulas=formulas)


def _is_valid(words: str) -> bool:
    try:
        MathTextParser("agg").parse(words)
    except ValueError:
        return False
    return True
