"""What a run has recorded, what not, and why; and calls of `tracker.step()` at the wrong place.

Of each step it uses only whether outputs, gradients and an optimiser occurred in it, and in which order.
"""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from tandv.track.common.loops import TOP_OF_LOOP
from tandv.track.torch.values import INSIDE

_REMEMBERED = 8  # steps
_NAMED_AT_MOST, _LISTED_AT_MOST = 3, 100  # names in a sentence, and in run.json

EVAL = (
    "the model is in eval mode (model.training is False) while it trains, so that no module outputs are recorded; call "
    "model.train(), or track(..., only_stash_during_training=False)"
)
UNSEEN = (
    "no module output was seen in a step that has gradients: its modules were not called (a scripted or exported model "
    "has none), so only weights, their gradients and optimiser states are recorded"
)
TWICE = (
    "tracker.step() is called more than once for each step of training: nothing happens between the calls; call it "
    "once, after optimizer.step()"
)
EARLY = (
    "tracker.step() is called between the forward pass and backward(), so that gradients get into the step after that "
    "of their outputs; call it after optimizer.step()"
)

LATE = (
    "tracker.step() is called between backward() and optimizer.step(), so that what the optimiser does (its states and "
    "updates, clipped gradients, skipped steps) gets into the step after that of its gradients; call it after "
    "optimizer.step()"
)

FIRST = TOP_OF_LOOP + "after optimizer.step()"


class Seen(NamedTuple):
    """What occurred in a step."""

    recorded: bool = True
    outputs: bool = False  # of the model in training, or in any mode where those are asked for
    evaluated: bool = False  # the model was called in eval mode, and outputs are only recorded in training
    gradients: bool = False  # have arrived
    only_before: bool = False  # they have arrived before the forward pass, and none after
    stepped: bool = False  # an optimiser
    late: bool = False  # it has stepped ahead of the forward pass, with gradients of the step before

    @property
    def trains(self) -> bool:
        """Tell whether a gradient or a step of an optimiser is known of it that may follow its own forward pass."""
        return (self.gradients or self.stepped) and not self.only_before


def seen_now(recorded: bool, outputs: Any, parameters: Any) -> Seen:
    """Return what has occurred in the current step.

    Args:
        recorded: whether the step is recorded.
        outputs: what records the outputs of the model.
        parameters: what records its parameters.
    """
    return Seen(
        recorded=recorded,
        outputs=outputs.saw_outputs,
        evaluated=outputs.evaluated or outputs.is_evaluated,
        gradients=parameters.has_gradients,
        only_before=parameters.arrivals.only_before_forward,
        stepped=parameters.optimizer_stepped,
        late=parameters.late,
    )


def mistake(steps: Sequence[Seen]) -> str | None:
    """Return the mistake of use that the last steps show, as a sentence; None without one.

    >>> mistake([Seen(evaluated=True, gradients=True)]) == EVAL
    True
    """
    last = steps[-1]
    if last.recorded and last.evaluated and not last.outputs and (last.gradients or last.stepped):
        return EVAL
    if len(steps) > 2 and all(one.recorded and one.outputs and one.only_before for one in steps[-2:]):
        return EARLY
    if len(steps) > 2 and all(one.recorded and one.late for one in steps[-2:]):
        return LATE
    active = _active(steps)
    followed = [after for one, after in pairwise(active) if one]
    if len(followed) > 1 and not active[-1] and not any(followed):
        return TWICE
    return None


def _active(steps: Sequence[Seen]) -> list[bool]:
    """Return for each step whether anything happened in it; outputs are known of recorded steps only."""
    outputs = all(one.recorded for one in steps)
    return [one.gradients or one.stepped or (outputs and (one.outputs or one.evaluated)) for one in steps]


class Coverage:
    """Counts what occurred in the steps of a run."""

    def __init__(self) -> None:
        self._last: deque[Seen] = deque(maxlen=_REMEMBERED)
        self._recorded = self._with_outputs = self._evaluated = self._learning = 0
        self._all_but_first: bool | None = None  # each step so far has trained but the first, which was empty

    def add(self, seen: Seen) -> str | None:
        """Add a step; return the mistake in calling `tracker.step()` as a sentence, if there is one."""
        self._last.append(seen)
        empty_first = self._all_but_first
        self._all_but_first = seen == Seen() if empty_first is None else empty_first and seen.trains
        if seen.recorded:
            self._recorded += 1
            self._with_outputs += seen.outputs
            self._evaluated += seen.evaluated
            self._learning += seen.gradients or seen.stepped
        return mistake(list(self._last))

    def is_called_first(self, left: Seen) -> bool:
        """Tell whether `tracker.step()` was called at the top of the loop, and not after the optimiser.

        A step that is skipped is empty as well: then the last iteration has an end.

        Args:
            left: what has occurred since the last call, where the run ends.
        """
        return bool(self._all_but_first and left.trains and (self._with_outputs or left.outputs))

    @property
    def has_trained(self) -> bool:
        """Tell whether a recorded step had gradients or a step of an optimiser."""
        return self._learning > 0

    def facts(self, modules: "Part", gradients: "Part", unread: Collection[str]) -> dict[str, Any]:
        """Return what run.json reports: how many modules and parameters there are, and were recorded."""
        return {
            "steps": self._recorded,
            "steps_with_outputs": self._with_outputs,
            "modules": len(modules.all),
            "modules_with_outputs": len(modules.seen),
            "parameters_that_train": len(gradients.all),
            "parameters_with_gradients": len(gradients.seen),
            "gradients_never_seen": gradients.missing[:_LISTED_AT_MOST],
            **({"gradients_cleared_before_they_could_be_read": sorted(unread)} if unread else {}),
        }

    def summary(self, modules: "Part", gradients: "Part | None", already: Collection[str] = ()) -> str | None:
        """Return one line on what was recorded, what not, and why; None where nothing is missing.

        `already` are the sentences that were reported during the run.
        """
        if not self._recorded:
            return None
        missing = []
        if modules.all and not modules.seen and not {EVAL, UNSEEN} & set(already):
            why = (
                "the model was in eval mode (model.training is False); call model.train(), or track(..., "
                "only_stash_during_training=False)"
                if self._evaluated
                else "its modules ran inside of torch.func or vmap alone"
                if INSIDE in already
                else "none of its modules was called between the beginning of a step and its end"
            )
            missing.append(f"no module outputs were recorded: {why}")
        if gradients is not None and gradients.missing and self._learning:
            few, all_of = gradients.missing, len(gradients.all)
            missing.append(
                f"gradients of {len(few)} of {all_of} parameters were never seen: no backward pass reached them "
                f"({_some(few)})"
            )
        if not modules.all and not (gradients and gradients.all):
            missing.append("the model has neither modules nor parameters that are selected")
        if not missing:
            return None
        covered = f"{self._recorded} steps, outputs of {len(modules.seen)} of {len(modules.all)} modules"
        return f"recorded {covered}; {'; '.join(missing)}"


class Part(NamedTuple):
    """Names of modules or parameters: all of them, and those that were recorded."""

    all: list[str]
    seen: set[str]

    @property
    def missing(self) -> list[str]:
        """Return the names that were never recorded."""
        return [name for name in self.all if name not in self.seen]


def parameter_facts(
    names: Mapping[nn.Parameter, str], optimizers: Sequence[torch.optim.Optimizer], with_gradients: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return for each parameter its shape, and whether it requires gradients, is in an optimiser, and had a gradient.

    `in_optimizer` is None where no optimiser is known.
    """
    held = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    return {
        name: {
            "shape": list((p.values() if p.is_nested else p).shape),  # a nested one has no shape
            "requires_grad": p.requires_grad,
            "in_optimizer": id(p) in held if optimizers else None,
            "had_gradient": name in with_gradients,
        }
        for p, name in names.items()
        if not is_lazy(p)
    }


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(map(repr, names[:_NAMED_AT_MOST])) + more
