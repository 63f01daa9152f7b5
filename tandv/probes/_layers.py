"""Choose layers by name or pattern; suggest the nearest name for those that a model does not have."""

import difflib
import re
from collections.abc import Sequence
from typing import Any


def chosen(names: Sequence[str], wanted: Any, noun: str = "layer") -> list[str]:
    """Return the names that are wanted (all if None), in the order of `names`.

    Raises LookupError naming every wrong one, with what is nearest to it.

    >>> chosen(["embed", "layers.0", "layers.1"], re.compile("layers"))
    ['layers.0', 'layers.1']
    """
    if wanted is None:
        return list(names)
    listed = [wanted] if isinstance(wanted, str | re.Pattern) else list(wanted)
    problems, found = [], set()
    for one in listed:
        fitting = [name for name in names if (name == one if isinstance(one, str) else one.search(name))]
        found.update(fitting)
        if not fitting:
            problems.append(_unknown(noun, one, names))
    if problems or not listed:
        raise LookupError("\n  ".join(problems) or f"no {noun} was asked for; leave layers= away for all")
    return [name for name in names if name in found]


def _unknown(noun: str, wanted: str | re.Pattern[str], names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    if isinstance(wanted, re.Pattern):
        return f"no {noun} matches the pattern {wanted.pattern!r}; there are {shown}"
    near = difflib.get_close_matches(str(wanted), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {shown}"
    return f"no {noun} {wanted!r}; {hint}"
