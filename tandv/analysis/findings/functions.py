"""Activation functions among the modules of a model, and what brings back the units that one of them has ended."""

from collections.abc import Sequence

from tandv.analysis.findings.matrices import Matrices
from tandv.tensor_types import ACTIVATION

_FUNCTIONS = ("relu", "gelu", "silu", "tanh", "sigmoid", "elu", "mish", "hardswish", "softplus")
_LEAKY = ("leaky", "prelu", "rrelu")  # which let through what is below 0
_PASSING = ("dropout", "identity", "flatten", "pool")  # have no units of their own
_RECURRENT = ("lstm", "gru", "rnn")


def is_function(kind: str) -> bool:
    """Tell whether a kind of module is an activation function.

    >>> is_function("LeakyReLU"), is_function("Linear")
    (True, False)

    Args:
        kind: the class of the module.
    """
    return any(name in kind.lower() for name in _FUNCTIONS)


def revives(m: Matrices, name: str) -> str:
    """Return what to do for units that are zero, by the activation function that they go through.

    Args:
        m: the log.
        name: the layer: the function itself, or one whose output goes into it.
    """
    kinds = [m.types.get((ACTIVATION, one), "") for one in m.in_order(ACTIVATION)]
    at = m.in_order(ACTIVATION).index(name) if name in m.layers(ACTIVATION) else len(kinds)
    if kinds[at:] and any(one in kinds[at].lower() for one in _RECURRENT):
        return "look at the biases and the scale of its gates, and normalise what goes into it"
    through = _function_after(kinds[at:])
    if through and ("relu" not in through.lower() or any(one in through.lower() for one in _LEAKY)):
        return f"normalise what goes into the {through}"
    return "use LeakyReLU or GELU"


def only_passes(kind: str) -> bool:
    """Tell whether a kind of module gives zeros only where it is given zeros, or drops by chance.

    >>> only_passes("Dropout"), only_passes("ReLU")
    (True, False)

    Args:
        kind: the class of the module.
    """
    return any(one in kind.lower() for one in _PASSING)


def _function_after(kinds: Sequence[str]) -> str:
    """Return the activation function that the first of some modules is, or goes into; "" if none is known."""
    for at, kind in enumerate(kinds):
        if is_function(kind):
            return kind
        if at and not only_passes(kind) and "norm" not in kind.lower():
            break
    return ""
