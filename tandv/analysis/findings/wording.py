"""Numbers and names as the sentences of findings write them."""

import math
from collections.abc import Sequence

from tandv.analysis.findings.finding import LOSS
from tandv.messages import some
from tandv.tensor_types import (
    ACTIVATION,
    ATTENTION,
    EXPERTS,
    GRADIENT,
    INPUT,
    OPTIMISER_STATE,
    ROUTER,
    WEIGHT,
    WEIGHT_GRADIENT,
    WEIGHT_UPDATE,
)

_TENSORS = {
    INPUT: "what goes into {}",
    ACTIVATION: "the output of {}",
    ATTENTION: "the largest logits of {}",
    EXPERTS: "the probability of {}",
    ROUTER: "the entropy of {}",
    GRADIENT: "the gradient of the output of {}",
    WEIGHT: "the weight {}",
    WEIGHT_GRADIENT: "the gradient of the weight {}",
    WEIGHT_UPDATE: "the update of the weight {}",
    LOSS: "the loss",
}


def tensor(tensor_type: str, layer: str) -> str:
    """Return what a tensor is, in words.

    >>> tensor("Gradient", "head"), tensor("Optimiser_State.exp_avg_sq", "head")
    ("the gradient of the output of 'head'", "exp_avg_sq of the weight 'head'")

    Args:
        tensor_type: its type.
        layer: its name.
    """
    if tensor_type.startswith(OPTIMISER_STATE):
        return f"{tensor_type.rpartition('.')[2]} of the weight {layer!r}"
    return _TENSORS[tensor_type].format(repr(layer))


def begun(words: str) -> str:
    """Return words as the beginning of a sentence.

    >>> begun("the output of 'Net'")
    "The output of 'Net'"

    Args:
        words: the words.
    """
    return words[:1].upper() + words[1:]


def power(value: float) -> str:
    """Return a magnitude as a power of two.

    >>> power(65504.0), power(0.0), power(float("inf"))
    ('2^16.0', '0', 'inf')

    Args:
        value: a number that is not negative.
    """
    if not math.isfinite(value) or value <= 0:
        return "0" if value == 0 else str(value)
    return f"2^{math.log2(value):.1f}"


def course(values: Sequence[float]) -> str:
    """Return magnitudes one after the other.

    >>> course([1.0, 2.0])
    '2^0.0, 2^1.0'

    Args:
        values: the magnitudes.
    """
    return ", ".join(power(float(value)) for value in values)


def percent(share: float) -> str:
    """Return a share in percent.

    >>> percent(0.25), percent(0.00012)
    ('25 %', '0.012 %')

    Args:
        share: from 0 to 1.
    """
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def others(layers: Sequence[str]) -> list[str]:
    """Return evidence that names further layers; none for none.

    >>> others(["a", "b"])
    ['The same in a, b.']

    Args:
        layers: their names.
    """
    return [f"The same in {some(layers, 5)}."] if layers else []
