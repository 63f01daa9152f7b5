"""How `tracker.step` is called: numbers are given by their names, and no compiler enters it."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from tandv.track.torch._compiled import not_compiled_alone

_Step = TypeVar("_Step", bound=Callable[..., None])


def by_name(step: _Step) -> _Step:
    """Have a tracker's `step` say that numbers are given by their names, where they are not."""

    @functools.wraps(step)
    def named(self: Any, /, *unnamed: Any, **numbers: Any) -> None:
        if unnamed:
            raise TypeError(
                f"tracker.step() was given {type(unnamed[0]).__name__} without a name; give numbers by their names, "
                "such as tracker.step(loss=loss, lr=1e-3)"
            )
        step(self, **numbers)

    not_compiled_alone(named)  # where the user compiles the whole step
    vars(named)["_torchdynamo_disable"] = True  # nor as a part of it; what torch.compiler.disable does, without Dynamo
    return cast(_Step, named)
