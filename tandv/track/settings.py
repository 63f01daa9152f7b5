"""The arguments that `track` of every framework has, and what is wrong with them."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from tandv.exports.mlflow import Mlflow, mlflow_problems
from tandv.exports.tensorboard import TensorBoard, tensorboard_problems
from tandv.exports.trackio import Trackio, trackio_problems
from tandv.exports.wandb import Wandb, wandb_problems
from tandv.messages import choice_problems
from tandv.place import Unreachable, place_of
from tandv.track.common.budget import share
from tandv.track.common.exporting import Export
from tandv.track.common.finished_log import LogFormat
from tandv.track.common.on_finding import OnFinding, on_finding_problems, saves
from tandv.track.common.save_rule import SaveRule, rule_problems
from tandv.track.insight import numbers

Pattern = str | re.Pattern[str]
Every = int | Callable[[int], bool]

_BEFORE, _APART = 3, 20  # copies of the weights for findings, and the steps between them


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The arguments that both `track` functions have, by the same names and with the same defaults.

    >>> Settings(every=0, offload_type=".h5").problems()[1]
    "offload_type='.h5' is not one of '.pkl', '.parquet'"
    """

    track_gradients: bool | None = True  # None: as far as gradients are given
    track_weights: bool = True
    track_updates: bool = False
    include: Pattern | None = None
    exclude: Pattern | None = None
    stash_value: Callable[[Any], Any] | None = None
    every: Every = 1
    budget: str | float | None = None
    exponents: tuple[int, int] | None = None
    init_step: int | None = None
    name: str | None = None
    path: str | Path | None = None
    offload_inc: int = 10
    offload_type: LogFormat = ".pkl"
    async_offload: bool | None = None
    use_wandb: bool | Literal["rows"] = False
    tensorboard: Any = None
    mlflow: Any = None
    trackio: Any = None
    save: SaveRule | None = None
    insight: Any = False
    inputs: bool = False
    on_finding: OnFinding | None = None
    units: bool = False
    attention: bool = False
    experts: bool = False

    def selects(self, name: str) -> bool:
        """Tell whether a module or parameter of this dotted name is tracked; patterns are searched in it."""
        if self.include is not None and not re.search(self.include, name):
            return False
        return self.exclude is None or not re.search(self.exclude, name)

    def save_rule(self) -> SaveRule | None:
        """Return the rule by which checkpoints are saved, None for none.

        Where findings save them, copies of 3 steps that are 20 apart are kept, if `save` does not say otherwise.
        """
        if not saves(self.on_finding):
            return self.save
        rule = self.save or SaveRule()
        return rule if rule.before else replace(rule, before=_BEFORE, apart=_APART)

    def insight_asked(self) -> numbers.InsightSettings | None:
        """Return the settings of `insight=`; None where it is off."""
        return numbers.settings(self.insight)

    def exports(self, title: str) -> list[Export]:
        """Return the exports of each recorded step, such as W&B; `title` is the class of the model."""
        return [
            *([Wandb(self.name, title, self.use_wandb == "rows")] if self.use_wandb else []),
            *([TensorBoard(self.tensorboard, self.name, title)] if self.tensorboard is not None else []),
            *([Mlflow(self.mlflow, self.name, title)] if self.mlflow not in (None, False) else []),
            *([Trackio(self.trackio, self.name, title)] if self.trackio is not None else []),
        ]

    def problems(self, names: Sequence[str] | None = None) -> list[str]:
        """Return everything that is wrong; patterns are held against the names of modules and parameters, if known."""
        found = [
            *truth_problems({name: getattr(self, name) for name in _TRUTHS}),
            *truth_problems({name: value for name in _OPEN if (value := getattr(self, name)) is not None}),
            *every_problems("every", self.every),
            *self._budget_problems(),
            *choice_problems(offload_type=(self.offload_type, LogFormat)),
            *rule_problems(self.save, saves(self.on_finding)),
            *on_finding_problems(self.on_finding),
            *(wandb_problems() if self.use_wandb in (True, "rows") else []),
            *(tensorboard_problems(self.tensorboard) if self.tensorboard is not None else []),
            *(mlflow_problems(self.mlflow) if self.mlflow not in (None, False) else []),
            *(trackio_problems(self.trackio) if self.trackio is not None else []),
            *numbers.problems(self.insight),
            *self._pattern_problems(names),
        ]
        if not isinstance(self.use_wandb, bool) and self.use_wandb != "rows":
            found.append(f"use_wandb={_shortened(self.use_wandb)} must be True, False or 'rows'")
        if self.insight and self.track_gradients is False:
            found.append("insight= is about gradients; leave track_gradients=True with it")
        if self.stash_value is not None and not callable(self.stash_value):
            found.append(f"stash_value={self.stash_value!r} must be a function of one tensor or array")
        if not _is_whole(self.offload_inc, 1):
            found.append(f"offload_inc={self.offload_inc!r} must be a positive number of tracked steps")
        if self.init_step is not None and not _is_whole(self.init_step, 0):
            found.append(f"init_step={self.init_step!r} must be a step number, 0 or more")
        if self.name is not None and not isinstance(self.name, str):
            found.append(f"name={self.name!r} must be a word for the run's folder")
        if self.path is not None and not isinstance(self.path, str | os.PathLike):
            found.append(f"path={self.path!r} must be the path of the run's folder")
        elif self.path is not None:
            try:
                place_of(self.path)
            except (Unreachable, TypeError) as error:
                found.append(f"path={str(self.path)!r}: {error}")
        if self.exponents is not None and not _are_edges(self.exponents):
            found.append(f"exponents={self.exponents!r} must be (lowest, highest), two whole numbers such as (-16, 16)")
        return found

    def _budget_problems(self) -> list[str]:
        if self.budget is None:
            return []
        found = []
        try:
            share(self.budget)
        except ValueError as error:
            found.append(str(error))
        if self.every != 1:
            found.append(f"budget={self.budget!r} chooses the interval itself; give either budget or every, not both")
        return found

    def _pattern_problems(self, names: Sequence[str] | None) -> list[str]:
        found = []
        for argument in ("include", "exclude"):
            pattern = getattr(self, argument)
            try:
                matches = pattern is None or names is None or any(re.search(pattern, name) for name in names)
                re.search(pattern or "", "")
            except (re.error, TypeError) as error:
                found.append(_no_pattern(argument, pattern, error))
                continue
            if not matches:
                found.append(f"{argument}={pattern!r} matches no module or parameter; there are {_some(names or ())}")
        if not found and names is not None and not any(map(self.selects, names)):
            both = f"include={self.include!r} and exclude={self.exclude!r}"
            found.append(f"{both} together leave no module or parameter to track")
        return found


_TRUTHS = tuple(field.name for field in fields(Settings) if field.type is bool)
_OPEN = ("track_gradients", "async_offload")  # True, False, or None: the tracker chooses


def _no_pattern(argument: str, pattern: Any, error: Exception) -> str:
    if isinstance(pattern, list | tuple | set):
        one = "|".join(map(str, pattern))
        return f"{argument}={pattern!r} is several; give one regular expression that finds all of them, such as {one!r}"
    if not isinstance(pattern, str | re.Pattern):
        return f"{argument}={pattern!r} must be a regular expression, such as 'attention'"
    return (
        f"{argument}={pattern!r} is not a regular expression: {error}; it is searched in the dotted names, so that "
        "'attention' finds all that have it, and .* stands for any text"
    )


def truth_problems(given: Mapping[str, Any]) -> list[str]:
    """Return which of some arguments, by name, are neither True nor False.

    >>> truth_problems({"track_weights": True, "track_gradients": "yes"})
    ["track_gradients='yes' must be True or False; give other arguments by name"]
    """
    return [
        f"{name}={_shortened(value)} must be True or False; give other arguments by name"
        for name, value in given.items()
        if not isinstance(value, bool)
    ]


def every_problems(argument: str, every: Any) -> list[str]:
    """Return what is wrong with an interval of steps."""
    if callable(every) or _is_whole(every, 1):
        return []
    return [f"{argument}={every!r} must be a positive number of steps or a function of the step"]


def refuse(problems: Sequence[str]) -> None:
    """Raise ValueError naming all problems, if there are any."""
    if problems:
        raise ValueError("cannot track this run:\n  " + "\n  ".join(problems))


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _are_edges(value: Any) -> bool:
    whole = isinstance(value, tuple) and len(value) == 2 and all(isinstance(edge, int) for edge in value)
    return whole and value[0] <= value[1]


def _shortened(value: Any) -> str:
    """Return a value as one line of text; of an object only its class."""
    simple = isinstance(value, str | int | float | list | tuple | dict) or value is None
    text = repr(value) if simple else f"<{type(value).__name__}>"
    return text if len(text) <= 60 else text[:60] + "…"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "")
