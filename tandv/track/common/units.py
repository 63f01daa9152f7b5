"""Units of outputs, such as the channels of a layer: which give nothing for long, and which one gives far more.

Of each tensor with a channel axis a step yields two numbers for each unit. What the log keeps of them are columns of
the tensor's row: a unit is dead only if it was zero at all of the last steps, which is counted here from step to step.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tandv.track.common.measurements import Block

LASTING = 20  # recorded steps at all of which a dead unit is zero
_FEWEST = 8  # units that are not zero, of which a typical one can be told

Key = tuple[str, str, str]  # tensor type, name, phase


class Units(NamedTuple):
    """The units of a tensor in a step, over all samples and positions: two arrays [units]."""

    largest: np.ndarray  # magnitude
    squares: np.ndarray  # sum of the squares


class UnitHistory:
    """Counts for how many steps each unit has been zero.

    >>> one = Units(np.array([0.0, 2.0]), np.array([0.0, 4.0]))
    >>> UnitHistory().columns({("Activation", "act", ""): one})["zero_units"]
    [1.0]
    """

    def __init__(self) -> None:
        self._zero_for: dict[Key, np.ndarray] = {}  # recorded steps in a row, of each unit
        self._steps: dict[Key, int] = {}  # in which the tensor was recorded

    def columns(self, step: Mapping[Key, Units]) -> dict[str, list[float]]:
        """Return columns with a value for each tensor of a step, in their order.

        Args:
            step: the units of each tensor.
        """
        out: dict[str, list[float]] = {name: [] for name in NAMES}
        for key, units in step.items():
            for name, value in zip(NAMES, self._of(key, units), strict=True):
                out[name].append(value)
        return out

    def added_to(self, block: Block, step: Mapping[Key, Units]) -> Block:
        """Return the rows of a step with the columns of their units, NaN in rows of tensors without.

        Args:
            block: the rows.
            step: the units of each tensor.
        """
        if not step or not block.quantities:
            return block
        row = {(one.tensor_type, one.name, one.phase): at for at, one in enumerate(block.quantities)}
        known = {key: units for key, units in step.items() if key in row}
        more = {}
        for name, values in self.columns(known).items():
            more[name] = np.full(len(block.dtypes), np.nan, np.float32)
            more[name][[row[key] for key in known]] = values
        return block._replace(scalars=block.scalars | more)

    def _of(self, key: Key, units: Units) -> tuple[float, ...]:
        zero = units.largest == 0
        before = self._zero_for.get(key)
        if before is None or len(before) != len(zero):  # the layer was replaced by one of another width
            before, self._steps[key] = np.zeros(len(zero), np.int64), 0
        now = self._zero_for[key] = (before + 1) * zero
        self._steps[key] += 1
        dead = float((now >= LASTING).sum()) if self._steps[key] >= LASTING else np.nan
        return float(len(zero)), float(zero.sum()), dead, *_largest(units.squares)


NAMES = ("units", "zero_units", "dead_units", "largest_unit", "largest_unit_ratio")


def _largest(squares: np.ndarray) -> tuple[float, float]:
    """Return the unit with the largest rms, and that over the rms of the median of those that are not zero."""
    some = squares[squares > 0]
    if len(some) < _FEWEST or not np.isfinite(some).all() or np.isnan(squares).any():
        return np.nan, np.nan
    at = int(np.argmax(squares))
    return float(at), float(np.sqrt(squares[at] / np.median(some)))
