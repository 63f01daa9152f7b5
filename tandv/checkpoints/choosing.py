"""Which group of checkpoints is measured, where names differ in more than their step.

>>> is_average("ema_0.9999_*"), is_average("schema_*")
(True, False)
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from tandv.checkpoints.discovery import NoCheckpoints
from tandv.checkpoints.grouping import Group
from tandv.checkpoints.warnings import Remark
from tandv.messages import UnknownName, some, unknown

_AVERAGE = re.compile(r"(?<![a-z])(ema|swa|avg|averaged?|polyak|shadow|teacher|target)(?![a-z])", re.IGNORECASE)


class SeveralGroups(NoCheckpoints):
    """The names differ in more than their step, so that one curve would mix models; the message lists the groups."""


def is_average(name: str) -> bool:
    """Tell whether a name is of an average of a model over training, or of a copy that follows it."""
    return _AVERAGE.search(name) is not None


def chosen(groups: Sequence[Group], wanted: str | None, place: str) -> list[Group]:
    """Return the groups to measure: the one that is asked for, the only one, or the model beside its averages.

    >>> from tandv.checkpoints.grouping import grouped
    >>> [one.name for one in chosen(grouped(["model_1.pt", "ema_1.pt"])[0], None, "runs/a")]
    ['model_*']

    Args:
        groups: all groups of a place.
        wanted: the name of a group, a part of it, or a glob that fits several; None if the user did not say.
        place: where they are, for messages.

    Raises SeveralGroups and UnknownName.
    """
    names = [one.name for one in groups]
    if wanted is not None:
        for fits in (wanted.__eq__, lambda name: fnmatchcase(name, wanted), lambda name: wanted in name):
            if taken := [one for one in groups if fits(one.name)]:
                if len(taken) > 1 and not set(wanted) & set("*?["):
                    raise SeveralGroups(f"group={wanted!r} fits {_listed(taken)}; give the whole name of one")
                if _share_steps(taken):
                    raise SeveralGroups(f"group={wanted!r} fits groups with equal steps: {_listed(taken)}; give one")
                return taken
        raise UnknownName(unknown("group", wanted, names, place))
    models = [one for one in groups if not is_average(one.name)]
    if len(groups) == 1:
        return list(groups)
    if len(models) == 1:
        return models
    together = "" if _share_steps(groups) else " or group='*' for all together"
    raise SeveralGroups(
        f"the names in {place} differ in more than their step, and one curve would mix {_listed(groups)}. Give "
        f"group={names[0]!r} (--group) for one of them{together}, include= or exclude= (--include, --exclude) with "
        "globs, or step_pattern= (--step-pattern) if it is the step that was misread"
    )


def _share_steps(groups: Sequence[Group]) -> bool:
    steps = [step for one in groups for step in set(one.steps)]
    return len(set(steps)) < len(steps)


def _listed(groups: Sequence[Group]) -> str:
    return some([f"{one.name} ({_span(one)})" for one in groups], 8)


def _span(group: Group) -> str:
    low, high = min(group.steps), max(group.steps)
    if len(group.members) == 1:
        return f"1 file, step {low:,}"
    return f"{len(group.members):,} files, steps {low:,} to {high:,}"


def left_out(groups: Sequence[Group], measured: Group, names: Sequence[str]) -> list[Remark]:
    """Return what is said of the groups that are left out beside the measured one.

    Args:
        groups: all groups.
        measured: the group that is measured.
        names: the names that the members of groups are places of.
    """
    return [
        Remark(
            "LeftOut",
            f"averages of the model, of the group {one.name}; measured is {measured.name}, and group={one.name!r} "
            "(--group) measures these",
            names[member],
        )
        for one in groups
        if one != measured
        for _, member in sorted(zip(one.steps, one.members, strict=True))
    ]
