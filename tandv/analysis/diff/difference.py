"""The nouns of a comparison: a gap of one tensor, and what two runs have in common and not."""

import math
from typing import Any, NamedTuple

from tandv.analysis.diff.aligned import Aligned
from tandv.log.store.layers import Tensor


class Gap(NamedTuple):
    """How far a tensor of one run is from that of the other.

    >>> Gap("Activation", "head", 3, "rm2", 0.5, 0.51, 0.02, 5000.0).beyond
    True

    Args:
        tensor_type: its type.
        layer: its name in A.
        step: the step.
        statistic: the statistic that is furthest off; "zeros share" for the share of zeros.
        a: its value in A.
        b: its value in B.
        size: their difference as a share of the tensor's size; of repeats, log2 of the ratio of sizes.
        score: how many times what rounding may give, or what repeats of A give: above 1 is beyond it.
    """

    tensor_type: str
    layer: str
    step: int
    statistic: str
    a: float
    b: float
    size: float
    score: float

    @property
    def beyond(self) -> bool:
        """Tell whether it is beyond rounding, or beyond the spread of repeats."""
        return self.score > 1

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold, where what is not finite is text."""
        return {
            name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in self._asdict().items()
        }


class Difference(NamedTuple):
    """Where two runs part.

    >>> from tandv.analysis.diff import diff
    >>> from tandv.log.example import example_log
    >>> found = diff(example_log(), example_log())
    >>> found.first, found.words.split(":")[0]
    (None, 'A and B are the same to the last bit')

    Args:
        repeats: how many repeats of A gave the spread; 0 where the same computation was asked for.
        first: the first gap beyond rounding: of the first step that has one, the first in the order of execution. Of
            repeats the largest.
        first_bit: the first tensor of which any statistic differs at all.
        by_type: of the step of `first`, the first gap of each tensor type that has one.
        ranked: a gap for each tensor that is beyond, its largest, the largest first.
        nearest: the largest gap where none is beyond.
        aligned: the tensors and steps that both have, and the statistics compared.
        scores: [tensors, steps] how many times what rounding or repeats give; NaN where it was not compared.
        notes: what was left out, guessed or is otherwise worth knowing.
        words: all of it in sentences.
    """

    repeats: int
    first: Gap | None
    first_bit: Gap | None
    by_type: dict[str, Gap]
    ranked: list[Gap]
    nearest: Gap | None
    aligned: Aligned
    scores: Any
    notes: list[str]
    words: str

    @property
    def parts(self) -> bool:
        """Tell whether anything is beyond rounding, or beyond the spread of repeats."""
        return self.first is not None

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "parts": self.parts,
            "mode": "same experiment" if self.repeats else "same computation",
            "repeats": self.repeats,
            "first": self.first and self.first.as_dict(),
            "first_bit": self.first_bit and self.first_bit.as_dict(),
            "by_type": {name: gap.as_dict() for name, gap in self.by_type.items()},
            "ranked": [gap.as_dict() for gap in self.ranked],
            "nearest": self.nearest and self.nearest.as_dict(),
            "tensors": len(self.aligned.tensors),
            "steps": len(self.aligned.steps),
            "only_in_a": _listed(self.aligned.only_a),
            "only_in_b": _listed(self.aligned.only_b),
            "notes": self.notes,
            "words": self.words,
        }


def _listed(tensors: list[Tensor]) -> list[list[str]]:
    return [list(one) for one in tensors]
