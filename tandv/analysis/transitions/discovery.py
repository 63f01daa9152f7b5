"""Many curves searched together: of what is found, how much is there by chance?"""

from collections.abc import Sequence
from numbers import Real

import numpy as np

from tandv.analysis.transitions.transition import Transition
from tandv.messages import named_arguments, not_made_by


@named_arguments
def discoveries(found: Sequence[Transition], searched: int, *, share: float = 0.05) -> list[Transition]:
    """Return the transitions that stand when so many curves were searched: of the curves with one, at most a share is
    a null.

    The smallest p-values of the curves are compared with i · share / searched, the i-th smallest with the i-th
    (Benjamini & Hochberg 1995). What has no p-value stays.

    >>> from tandv.analysis.transitions import Evidence
    >>> sure = Transition("loss", 1, 2, 3, 0.0, 1.0, Evidence(p=1e-6))
    >>> unsure = Transition("norm", 1, 2, 3, 0.0, 1.0, Evidence(p=0.01))
    >>> [t.quantity for t in discoveries([sure, unsure], 2)], [t.quantity for t in discoveries([sure, unsure], 100)]
    (['loss', 'norm'], ['loss'])

    Args:
        found: the transitions of all curves.
        searched: how many curves were searched, with transitions or without.
        share: of the curves with a transition that may be nulls, 0 to 1.

    Raises ValueError for a share outside of 0 to 1, TypeError for what are no transitions.
    """
    if not (isinstance(found, Sequence) and all(isinstance(one, Transition) for one in found)):
        raise TypeError(not_made_by("find_transitions(curves)", "found", found))
    if not isinstance(searched, Real):
        raise TypeError(f"searched is how many curves were searched, such as len(curves.columns), not {searched!r:.60}")
    if not 0 <= share <= 1:
        raise ValueError(f"a share of false discoveries is 0 to 1, not {share}; None keeps every transition")
    least: dict[str, float] = {}
    for one in found:
        if np.isfinite(one.evidence.p):
            least[one.quantity] = min(least.get(one.quantity, 1.0), one.evidence.p)
    ordered = np.sort(np.array(list(least.values())))
    lines = share * np.arange(1, len(ordered) + 1) / max(searched, len(ordered), 1)
    below = np.flatnonzero(ordered <= lines)
    limit = float(lines[below[-1]]) if len(below) else 0.0
    return [one for one in found if not one.evidence.p > limit]
