"""Models of one class in several programs of a step, whose rows hold all of them: said where they are surely several.

Parameters that differ between two programs may be those of one model, before and after an update. They are those of two
where the ones of the later program were there when the earlier one ran.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tandv.messages import some
from tandv.track.jax._shared_rows import ModelCalls, are_apart, of_several


class _Call(NamedTuple):
    """A call of a model in a program of the current step."""

    time: int  # of the program, in programs
    parameters: dict[int, tuple[int, ...]]  # the shapes of the arrays, by their ids
    program: str


class ParameterSets:
    """The arrays that models were called on, and since when each is known; no array is kept alive.

    Args:
        say: is given a sentence, and what it is about.
    """

    def __init__(self, say: Callable[[str, str], None]):
        self._say = say
        self._time = 0
        self._known: dict[int, tuple[weakref.ref[Any], int]] = {}  # by id: the array, and when it was first met
        self._many = 0  # arrays that were alive when dead ones were last removed
        self._calls: dict[tuple[str, str], list[_Call]] = {}  # of this step, by phase and model

    def begin_step(self, weights: Iterable[Any]) -> None:
        """Begin a step, with the weights of the tracked model."""
        self._calls = {}
        if len(self._known) > 2 * self._many + 100:
            self._known = {key: entry for key, entry in self._known.items() if entry[0]() is not None}
            self._many = len(self._known)
        self.met(weights)

    def met(self, arrays: Iterable[Any]) -> None:
        """Note arrays that are there from now on, such as the results of a program."""
        self._time += 1
        for array in arrays:
            self._since(array)

    def note(self, calls: Mapping[str, ModelCalls], inputs: Sequence[Any], program: str, phase: str) -> None:
        """Note that a program runs, and say which models it shares rows of with one before it.

        Args:
            calls: what `calls_of` returned for the program.
            inputs: arrays, the program's arguments and then its constants.
            program: its name.
            phase: that it runs in; each has rows of its own.
        """
        self._time += 1
        for model, found in calls.items():
            before = self._calls.setdefault((phase, model), [])
            for numbers in found.inputs:
                arrays = [inputs[i] for i in numbers]
                since = max(map(self._since, arrays))
                call = _Call(self._time, {id(x): x.shape for x in arrays}, program)
                other = next((c for c in before if since <= c.time < call.time and _are_apart(c, call, found)), None)
                if other is not None:
                    self._say(
                        *of_several(model, f"in the jitted {some(list(dict.fromkeys((other.program, program))))}")
                    )
                before.append(call)

    def _since(self, array: Any) -> int:
        """Return when an array was first met."""
        entry = self._known.get(id(array))
        if entry is None or entry[0]() is not array:
            try:
                entry = self._known[id(array)] = weakref.ref(array), self._time
            except TypeError:  # a number of Python
                return self._time
        return entry[1]


def _are_apart(one: _Call, other: _Call, found: ModelCalls) -> bool:
    shapes = one.parameters | other.parameters
    return are_apart(one.parameters, other.parameters, shapes.__getitem__, found.shapes)
