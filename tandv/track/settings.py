"""What the `track` of every framework takes: which layers, which steps, where to; and what is wrong with it."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from tandv.exports.tensorboard import TensorBoard, tensorboard_problems
from tandv.exports.wandb import Wandb, wandb_problems
from tandv.track.common.budget import share
from tandv.track.common.saving import rule_problems
from tandv.track.common.writer import FORMATS, Export

Pattern = str | re.Pattern[str]
Every = int | Callable[[int], bool]


def selector(
    include: Pattern | None, exclude: Pattern | None, names: Sequence[str], kind: str = "layer"
) -> Callable[[str], bool]:
    """Return a test whether a dotted name is tracked; patterns are searched, as `re.search` does.

    Raises ValueError for a pattern that is no regular expression or that leaves nothing to track.
    """
    found = []
    patterns: dict[str, re.Pattern[str] | None] = {}
    for argument, pattern in (("include", include), ("exclude", exclude)):
        try:
            patterns[argument] = re.compile(pattern) if pattern is not None else None
        except (re.error, TypeError) as error:
            found.append(f"{argument}={pattern!r} is not a regular expression: {error}")
            continue
        if pattern is not None and not any(patterns[argument].search(name) for name in names):  # type: ignore[union-attr]
            found.append(f"{argument}={pattern!r} matches no {kind}; there are {_some(names)}")
    if found:
        raise ValueError("; ".join(found))

    def selects(name: str) -> bool:
        wanted, unwanted = patterns["include"], patterns["exclude"]
        return (wanted is None or bool(wanted.search(name))) and not (unwanted and unwanted.search(name))

    if not any(map(selects, names)):
        raise ValueError(f"include={include!r} and exclude={exclude!r} together leave no {kind} to track")
    return selects


def settings_problems(
    *,
    every: Any,
    offload_inc: Any,
    offload_type: Any,
    exponents: Any,
    init_step: Any,
    budget: Any = None,
    use_wandb: bool = False,
    tensorboard: Any = None,
    save: Any = None,
) -> list[str]:
    """Return what is wrong with the settings that every framework's `track` shares."""
    found = []
    if not callable(every) and not (isinstance(every, int) and every > 0):
        found.append(f"every={every!r} must be a positive number of steps or a function of the step")
    if budget is not None:
        try:
            share(budget)
        except ValueError as error:
            found.append(str(error))
        if every != 1:
            found.append(f"budget={budget!r} chooses the interval itself; give either budget or every, not both")
    found += rule_problems(save)
    if use_wandb:
        found += wandb_problems()
    if tensorboard is not None:
        found += tensorboard_problems(tensorboard)
    if not (isinstance(offload_inc, int) and offload_inc > 0):
        found.append(f"offload_inc={offload_inc!r} must be a positive number of tracked steps")
    if offload_type not in FORMATS:
        found.append(f"offload_type={offload_type!r} must be one of {', '.join(map(repr, FORMATS))}")
    if init_step is not None and not (isinstance(init_step, int) and init_step >= 0):
        found.append(f"init_step={init_step!r} must be a step number, 0 or more")
    if exponents is not None and not (
        isinstance(exponents, tuple)
        and len(exponents) == 2
        and all(isinstance(edge, int) for edge in exponents)
        and exponents[0] <= exponents[1]
    ):
        found.append(f"exponents={exponents!r} must be (lowest, highest), two whole numbers such as (-16, 16)")
    return found


def exports(use_wandb: bool, tensorboard: Any) -> list[Export]:
    """Return the other places that are told of each recorded step."""
    return [
        *([Wandb()] if use_wandb else []),
        *([TensorBoard(tensorboard)] if tensorboard is not None else []),
    ]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "")
