"""CriticalMoment, a step before, during or after a transition, and what is needed of a transition for one."""

from typing import Any, Literal, NamedTuple, Protocol

MomentType = Literal["before_jump", "during_jump", "after_jump"]


class CriticalMoment(NamedTuple):
    """A step before, during or after a transition.

    >>> CriticalMoment("grok", 1200, "before_jump").step
    1200

    Args:
        experiment_name: the name of the run.
        step: the step.
        moment_type: "before_jump", "during_jump" or "after_jump".
        jump_info: the transition as a dict; see `identify_moments`.
    """

    experiment_name: str
    step: float
    moment_type: MomentType
    jump_info: dict[str, Any] | None = None


class TransitionLike(Protocol):
    """The fields that are needed of a transition; those of `tandv.analysis.transitions` have them.

    >>> from tandv.analysis.transitions import Evidence, Transition
    >>> one: TransitionLike = Transition("loss", 10, 12, 14, 2.0, 0.5, Evidence())
    """

    @property
    def quantity(self) -> str: ...
    @property
    def start(self) -> float: ...
    @property
    def step(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def before(self) -> float: ...
    @property
    def after(self) -> float: ...
