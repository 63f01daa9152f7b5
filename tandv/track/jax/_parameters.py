"""What is known of each parameter of a JAX model: its shape and, as far as JAX lets it be known, whether it trains.

An array has no flag that says so. What the loss is differentiated with respect to shows in the tree of gradients, what
an optimiser updates in its state, and in the parameter itself, which changes.
"""

import threading
from collections.abc import Iterable
from typing import Any

from tandv.tensor_types import OPTIMISER_STATE, WEIGHT, WEIGHT_GRADIENT
from tandv.track.common.measurements import Block

_TELLING = ("mean", "rm2", "rm4", "max_abs")  # statistics of a parameter that has not changed are the same


class ParametersSeen:
    """What the rows of a run have shown of its parameters; the thread that writes notes them, training asks."""

    def __init__(self) -> None:
        self._alone = threading.Lock()  # held while the rows of a step are noted, of which half tell nothing
        self._first: dict[str, tuple[float, ...]] = {}  # statistics at the first row
        self._again: set[str] = set()  # parameters with a second row
        self._changed: set[str] = set()
        self._differentiated: set[str] = set()
        self._with_gradient: set[str] = set()  # one that is not zero throughout
        self._with_state: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._again)

    def note(self, block: Block) -> None:
        """Take the rows of a step.

        Args:
            block: the rows; those of a function of the user's own tell which tensors there are.
        """
        with self._alone:
            self._note(block)

    def _note(self, block: Block) -> None:
        statistics = [block.scalars[name] for name in _TELLING if name in block.scalars]
        zeros, numel = block.scalars.get("zeros"), block.scalars.get("numel")
        for row, (kind, name) in enumerate((one.tensor_type, one.name) for one in block.quantities):
            if kind == WEIGHT:
                if name not in self._changed and statistics:
                    self._compare(name, tuple(float(values[row]) for values in statistics))
            elif kind == WEIGHT_GRADIENT:
                self._differentiated.add(name)
                if zeros is not None and numel is not None and zeros[row] < numel[row]:
                    self._with_gradient.add(name)
            elif kind.startswith(OPTIMISER_STATE):
                self._with_state.add(name)

    def _compare(self, name: str, now: tuple[float, ...]) -> None:
        if name not in self._first:
            self._first[name] = now
            return
        self._again.add(name)
        if self._first[name] != now:
            self._changed.add(name)

    def facts(self, shapes: Iterable[tuple[str, tuple[int, ...]]]) -> dict[str, dict[str, Any]]:
        """Return for each parameter its shape, and whether it requires gradients, is in an optimiser, had a gradient.

        `requires_grad` is whether the loss was differentiated with respect to it, `had_gradient` whether that was not
        exactly zero, which is what JAX computes where nothing depends on a parameter. `in_optimizer` is true where a
        state was kept for it or it changed, false where others have a state and it has none and never changed. None is
        what the run does not show: without gradients, or of an optimiser without a state.

        Args:
            shapes: name and shape of each parameter.
        """
        shapes = list(shapes)
        with self._alone:
            return self._facts(shapes)

    def _facts(self, shapes: list[tuple[str, tuple[int, ...]]]) -> dict[str, dict[str, Any]]:
        kept_of_others = any(name in self._with_state for name, _ in shapes)
        return {
            name: {
                "shape": list(shape),
                "requires_grad": name in self._differentiated if self._differentiated else None,
                "in_optimizer": self._is_in_optimizer(name, kept_of_others),
                "had_gradient": name in self._with_gradient if self._differentiated else None,
            }
            for name, shape in shapes
        }

    def _is_in_optimizer(self, name: str, kept_of_others: bool) -> bool | None:
        if name in self._with_state or name in self._changed:
            return True
        return False if kept_of_others and name in self._again else None
