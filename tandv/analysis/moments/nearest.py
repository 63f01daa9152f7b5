"""The checkpoint nearest to a moment, on its side of the transition."""

from collections.abc import Iterable

from tandv.analysis.moments.moment import CriticalMoment


class MissingCheckpoint(LookupError):
    """There is no checkpoint near enough; the message names the nearest."""


def nearest_checkpoint(moment: CriticalMoment | float, checkpoints: Iterable[float], *, within: float = 10) -> float:
    """Return the step of the checkpoint nearest to a moment or a step.

    For a moment before a jump that is the last one up to it, for one after a jump the first from it on, so that the
    jump lies between.

    >>> nearest_checkpoint(CriticalMoment("", 1200, "before_jump"), [1000, 1195, 1205])
    1195

    Args:
        moment: a moment, or a step.
        checkpoints: the steps of the checkpoints.
        within: how many steps away it may be at most.

    Raises MissingCheckpoint naming the nearest.
    """
    step, side = (moment.step, moment.moment_type[:6]) if isinstance(moment, CriticalMoment) else (moment, "")
    known = sorted(set(checkpoints))
    if not known:
        raise MissingCheckpoint(f"no checkpoint within {within:,} steps of {step:,}: there is none at all")
    allowed = {"before": [s for s in known if s <= step], "after_": [s for s in known if s >= step]}.get(side, known)
    near = min(allowed, key=lambda s: abs(s - step), default=None)
    if near is not None and abs(near - step) <= within:
        return near
    sides = [f"{s:,}" for s in [*[s for s in known if s <= step][-1:], *[s for s in known if s > step][:1]]]
    where = {"before": "before", "after_": "after"}.get(side, "of")
    raise MissingCheckpoint(
        f"no checkpoint within {within:,} steps {where} {step:,}; the nearest {'are' if len(sides) > 1 else 'is'} "
        f"{' and '.join(sides)}; allow more with within=, or save checkpoints closer together"
    )
