"""What a coordinate check has found."""

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tandv.log.store.layers import Tensor
from tandv.tensor_types import ACTIVATION


class CoordinateCheck(NamedTuple):
    """How sizes change with the width of a network: a slope for each tensor and step, a verdict for each tensor.

    >>> from tandv.analysis.widths import coordinate_check
    >>> from tandv.log.example import example_log
    >>> found = coordinate_check({width: example_log(layers=2) for width in (64, 128, 256)})
    >>> found.passes, found.table.columns.tolist()
    (True, ['tensor_type', 'layer', 'step', 'slope', 'low', 'high', 'verdict'])

    Args:
        widths: the width of each run, ascending; several of one width are repeats.
        statistic: which statistic is the size.
        tensors: tensor type and name of each tensor, in the order of execution.
        steps: the steps.
        sizes: [tensors, steps, runs]; NaN where it is unknown or not of all values.
        table: a row for each tensor and step: the slope of log(size) over log(width), its 95 % interval, and "grows",
            "constant", "vanishes", "zero", "not finite" or "undecided".
        verdicts: of each tensor, in one of these words.
        notes: what was left out, guessed or is otherwise worth knowing.
        words: all of it in sentences.
    """

    widths: list[float]
    statistic: str
    tensors: list[Tensor]
    steps: np.ndarray
    sizes: np.ndarray
    table: pd.DataFrame
    verdicts: dict[Tensor, str]
    notes: list[str]
    words: str

    @property
    def passes(self) -> bool:
        """Tell whether the size of no output changes with the width, as far as that can be decided."""
        return set(self.outputs.values()) <= {"constant", "zero"}

    @property
    def outputs(self) -> dict[str, str]:
        """Return the verdict of the output of each module, by its name."""
        return {name: verdict for (kind, name), verdict in self.verdicts.items() if kind == ACTIVATION}

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        steps = self.table.groupby(["tensor_type", "layer"], sort=False)
        return {
            "passes": self.passes,
            "widths": self.widths,
            "statistic": self.statistic,
            "steps": self.steps.tolist(),
            "tensors": [
                {
                    "tensor_type": kind,
                    "layer": name,
                    "verdict": self.verdicts[kind, name],
                    "steps": [
                        {key: _plain(value) for key, value in row.items() if key not in ("tensor_type", "layer")}
                        | {"sizes": [_plain(size) for size in sizes]}
                        for row, sizes in zip(
                            steps.get_group((kind, name)).to_dict("records"), self.sizes[i], strict=True
                        )
                    ],
                }
                for i, (kind, name) in enumerate(self.tensors)
            ],
            "notes": self.notes,
            "words": self.words,
        }


def _plain(value: Any) -> Any:
    """Return a value of a table as JSON has it; null for what is not finite."""
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
