"""What JSON can hold."""

import math
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: NaN becomes None, an infinity becomes text.

    >>> plain({"p": float("nan"), "lift": float("inf"), "steps": (1, 2)})
    {'p': None, 'lift': 'inf', 'steps': [1, 2]}

    Args:
        value: dicts and lists of numbers, text and None.
    """
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
