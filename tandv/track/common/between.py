"""The check of steps that are not recorded: one number for each group of tensors, read when it has arrived."""

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tandv.analysis.findings.losses import whole_loss
from tandv.track.common.numbers import Reading

GRADIENTS, WEIGHTS, OUTPUT, LOSS = "gradients", "weights", "output", "loss"
_KEPT = 100  # steps that were not finite, in run.json
_WANTED = 20  # further steps that are recorded because of them
_WAITING = 64  # steps whose numbers have not arrived; older ones are given up, nothing waits

Sizes = Callable[[], Sequence[float]]  # of each tensor of a group; read only where the group is not finite


class Checked(NamedTuple):
    """One group of the tensors of a step.

    >>> Checked(lambda wait: 2.0).names
    ()

    Args:
        size: a number that is finite if and only if all of their values are.
        names: their names.
        sizes: that of each.
    """

    size: Reading
    names: Sequence[str] = ()
    sizes: Sizes | None = None


class BetweenSteps:
    """Knows which of the steps between those recorded were not finite.

    >>> from tandv.track.common.numbers import known
    >>> between = BetweenSteps()
    >>> between.add("gradients", Checked(known(float("nan")), ["fc", "head"], lambda: [float("nan"), 1.0]))
    >>> between.end_of_step(7)
    >>> between.wants_next
    True
    >>> between.facts()["between_steps"]["not_finite"]
    [{'step': 7, 'gradients': {'state': 'nan', 'names': ['fc'], 'of': 2}}]
    """

    def __init__(self) -> None:
        self._now: dict[str, list[Checked]] = {}  # of the step that goes on
        self._passes: Counter[Any] | None = None  # its forward passes by module, where they are counted
        self.ranks = 1  # processes whose gradients may be averaged, of which this one is checked
        self._waiting: deque[tuple[int, dict[str, list[Checked]], dict[str, int]]] = deque()
        self._steps = self._given_up = 0
        self._groups: dict[str, None] = {}
        self._found: list[dict[str, Any]] = []
        self._wanted = 0
        self._partly = 0  # steps of which only small tensors were checked
        self._fine = True  # the last step that was read
        self.wants_next = False  # whether the next step should be recorded

    def add(self, group: str, checked: Checked) -> None:
        """Take the check of a group in the current step; a group may be checked in several parts.

        Args:
            group: one of the groups' names.
            checked: its sums.
        """
        self._now.setdefault(group, []).append(checked)

    def has(self, group: str) -> bool:
        """Tell whether a group has been checked in the current step.

        Args:
            group: its name.
        """
        return group in self._now

    def add_loss(self, numbers: Mapping[str, Reading]) -> None:
        """Take the loss among the numbers of the current step, if there is one.

        Args:
            numbers: by name.
        """
        name = whole_loss(list(numbers))
        if name is not None:
            self.add(LOSS, Checked(numbers[name]))

    def count_passes(self) -> None:
        """Count the forward passes of each step from now on, of which the check of output and loss sees one."""
        self._passes = Counter()

    def note_pass(self, module: Any) -> None:
        """Count a forward pass of the current step.

        Args:
            module: identifies what was called; a wrapped model and its wrapper are one pass, not two.
        """
        if self._passes is not None:
            self._passes[module] += 1

    def note_part(self) -> None:
        """Note that only small tensors are checked in the current step."""
        self._partly += 1

    def forget(self) -> None:
        """Drop what was checked in the current step, which is recorded."""
        self._now = {}
        self._parts_seen()

    def end_of_step(self, step: int) -> None:
        """End a step, and read what has arrived.

        Args:
            step: its number.
        """
        now, self._now = self._now, {}
        parts = self._parts_seen()
        if now:
            self._waiting.append((step, now, parts))
        if len(self._waiting) > _WAITING:
            self._waiting.popleft()
            self._given_up += 1
        self.read()

    def read(self, wait: bool = False) -> None:
        """Read the numbers that have arrived, in the order of the steps.

        Args:
            wait: whether to wait for those that have not.
        """
        while self._waiting:
            step, groups, parts = self._waiting[0]
            sizes = {group: [one.size(wait) for one in parts] for group, parts in groups.items()}
            if any(size is None for of in sizes.values() for size in of):
                return
            self._waiting.popleft()
            self._steps += 1
            self._groups.update(dict.fromkeys(groups))
            found = {
                group: _described(groups[group], [float(size) for size in of if size is not None])
                for group, of in sizes.items()
            }
            # Of gradients after which the weights are finite, the update was skipped.
            without = {OUTPUT, GRADIENTS} if WEIGHTS in found else {OUTPUT}
            bad = any(_is_bad(one) for group, one in found.items() if group not in without)
            bad = bad or (found.keys() == {OUTPUT} and found[OUTPUT]["state"] == "nan")  # -inf may be a mask
            if bad and len(self._found) < _KEPT:
                self._found.append({"step": step, **parts, **found})
            if bad and self._fine and self._wanted < _WANTED:
                self._wanted += 1
                self.wants_next = True
            self._fine = not bad

    def _parts_seen(self) -> dict[str, int]:
        """Return, and count anew, how many forward passes and ranks a step had, where it is not one of each."""
        out = {"ranks": self.ranks} if self.ranks > 1 else {}
        if self._passes is not None:
            passes = max(self._passes.values(), default=0)
            out |= {"passes": passes} if passes != 1 else {}
            self._passes.clear()
        return out

    def facts(self) -> dict[str, Any]:
        """Return what run.json reports."""
        if not self._steps:
            return {}
        given_up = {"given_up": self._given_up} if self._given_up else {}
        given_up |= {"checked_in_part": self._partly} if self._partly else {}
        return {
            "between_steps": {
                "checked": self._steps, **given_up, "groups": list(self._groups), "not_finite": list(self._found),
            }
        }  # fmt: skip


def _described(parts: Sequence[Checked], sizes: Sequence[float]) -> dict[str, Any]:
    """Return whether a group is finite and, where it is not, the names of the tensors that are not."""
    bad = [size for size in sizes if not math.isfinite(size)]
    if not bad:
        return {"state": "finite"}
    out: dict[str, Any] = {"state": "nan" if any(map(math.isnan, bad)) else "inf"}
    each = [
        (name, size)
        for one in parts
        if one.sizes is not None
        for name, size in zip(one.names, one.sizes(), strict=True)
    ]
    if each:
        out |= {"names": [name for name, size in each if not math.isfinite(size)], "of": len(each)}
    return out


def _is_bad(described: Mapping[str, Any]) -> bool:
    return described["state"] != "finite"
