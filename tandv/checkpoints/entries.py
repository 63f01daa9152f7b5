"""A tensor of a checkpoint before it is read."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tandv.names import Framework

Shape = tuple[int, ...]


class Entry(NamedTuple):
    """A tensor of a checkpoint that has not been read yet."""

    dtype: str
    shape: Shape
    read: Callable[[], np.ndarray]
    storage: Any = None  # equal for tied tensors; None if the format cannot tie
    framework: Framework | None = None  # None where the file does not say
    layer: str | None = None  # its layer in a log, "" for a buffer; None where the file does not say
