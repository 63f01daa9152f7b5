"""Transitions in words: what kind of event one is, how large beside the noise, how likely by chance alone.

>>> from tandv.analysis.transitions import Evidence, Transition
>>> in_words(Transition("loss", 100, 120, 140, before=2.1, after=0.5, evidence=Evidence(effect=12.3, p=0.0004)))
'loss falls from 2.1 to 0.5 at step 120 (steps 100 to 140), 12 times the noise, p = 0.0004'
"""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

KINDS = {
    "step": "step",
    "ramp": "ramp",
    "spike": "spike that recovers",
    "divergence": "divergence",
    "schedule": "explained by the learning rate",
    "teeth": "teeth with a period",
}
CERTAIN = 0.001  # the largest p of a transition that is drawn as certain
_MOST, _LEAST = 1000.0, 1e-4  # a larger effect and a smaller p say no more than these


def kind_of(transition: Any) -> str:
    """Return the kind of event, a key of KINDS; empty where the detector names none.

    Args:
        transition: a transition of any detector, with or without evidence.
    """
    return str(getattr(getattr(transition, "evidence", None), "kind", ""))


def kind_in_words(transition: Any) -> str:
    """Return the kind of event as people read it; of a curve that is no longer finite, whichever way, that it is not.

    >>> from tandv.analysis.transitions import Evidence, Transition
    >>> kind_in_words(Transition("loss", 9, 10, 10, 1.0, -math.inf, Evidence(kind="divergence")))
    'no longer finite'

    Args:
        transition: a transition of any detector, with or without evidence.
    """
    kind = kind_of(transition)
    if kind == "divergence" and not math.isfinite(transition.after):
        return "no longer finite"
    return KINDS.get(kind, kind)


def is_uncertain(transition: Any) -> bool:
    """Return whether chance may explain a transition: its p-value is above CERTAIN; False where it has none.

    Args:
        transition: a transition of any detector, with or without evidence.
    """
    return getattr(getattr(transition, "evidence", None), "p", math.nan) > CERTAIN


def size_in_words(effect: float) -> str:
    """Return an effect as people read it.

    >>> size_in_words(5.26), size_in_words(48.7), size_in_words(2.2e6), size_in_words(float("nan"))
    ('5.3', '49', 'over 1,000', '–')

    Args:
        effect: a change in standard deviations of the noise.
    """
    if math.isnan(effect):
        return "–"
    return f"over {_MOST:,.0f}" if effect > _MOST else f"{effect:.1f}" if effect < 9.95 else f"{effect:.0f}"


def chance_in_words(p: float) -> str:
    """Return a p-value as people read it.

    >>> chance_in_words(0.034), chance_in_words(0.00042), chance_in_words(3e-9), chance_in_words(float("nan"))
    ('0.034', '0.0004', '< 0.0001', '–')

    Args:
        p: the p-value.
    """
    if math.isnan(p):
        return "–"
    return f"< {_LEAST:.4f}" if p < _LEAST else f"{p:.2g}" if p >= 0.01 else f"{p:.1g}"


def in_words(transition: Any) -> str:
    """Return a sentence about a transition: what changes, where, of which kind, how large, how likely by chance.

    Args:
        transition: a transition of any detector.
    """
    before, after, evidence = transition.before, transition.after, transition.evidence
    way = "rises" if after > before else "falls" if after < before else "changes"
    lasting = f" (steps {transition.start:,} to {transition.end:,})" if transition.end > transition.start else ""
    parts = [
        f"{transition.quantity} {way} from {before:.4g} to {after:.4g} at step {transition.step:,}{lasting}",
        kind_in_words(transition),
        "" if math.isnan(evidence.effect) else f"{size_in_words(evidence.effect)} times the noise",
        "" if math.isnan(evidence.p) else f"p {_equal(chance_in_words(evidence.p))}",
    ]
    return ", ".join(part for part in parts if part)


def as_table(transitions: Iterable[Any]) -> pd.DataFrame:
    """Return transitions as a table, one row each: the curve, the kind in words, steps, levels, effect and p-value.

    >>> from tandv.analysis.transitions import Evidence, Transition
    >>> found = Transition("loss", 100, 120, 140, 2.1, 0.5, Evidence(effect=12.3, p=0.004, kind="ramp"))
    >>> as_table([found])[["quantity", "kind", "step", "times_noise", "p", "uncertain"]]
      quantity  kind  step  times_noise      p  uncertain
    0     loss  ramp   120         12.3  0.004       True

    Args:
        transitions: transitions of any detector.
    """
    columns = ["quantity", "kind", "start", "step", "end", "before", "after", "times_noise", "p", "uncertain"]
    rows = [
        (
            one.quantity,
            kind_in_words(one),
            *one[1:6],
            one.evidence.effect,
            one.evidence.p,
            is_uncertain(one),
        )
        for one in transitions
    ]
    return pd.DataFrame(rows, columns=columns)


def _equal(words: str) -> str:
    return words if words.startswith("<") else f"= {words}"
