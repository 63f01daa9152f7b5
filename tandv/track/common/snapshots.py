"""What saving needs of a framework: copies of the weights, and how they are written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Snapshot(NamedTuple):
    """A copy of the weights at one step, which may still be on its way from a device.

    >>> import numpy as np
    >>> snapshot = Snapshot(8, {"fc.bias": "fc"}, lambda: {"fc.bias": np.zeros(2, np.float32)})
    >>> snapshot.arrays()["fc.bias"].tolist()
    [0.0, 0.0]

    Args:
        nbytes: size of all arrays.
        layers: the name in the log of each array, None for a buffer.
        arrays: waits for the arrays, and returns them on the host by name.
        settle: frees their memory on the device, if the copy has ended; it does not wait.
    """

    nbytes: int
    layers: dict[str, str | None]
    arrays: Callable[[], dict[str, Any]]
    settle: Callable[[], object] = lambda: None


class Source(NamedTuple):
    """The functions of a framework that saving needs.

    >>> import numpy as np
    >>> snapshot = Snapshot(8, {"fc.bias": "fc"}, lambda: {"fc.bias": np.zeros(2, np.float32)})
    >>> source = Source(lambda: snapshot, lambda path, arrays, about: None)
    >>> source.copy().nbytes
    8

    Args:
        copy: begins a copy of the weights without waiting for it; returns None where there are none at present.
        write: writes a file, given its path, the arrays by name, and text about them.
    """

    copy: Callable[[], Snapshot | None]
    write: Callable[[Path, dict[str, Any], dict[str, str]], None]
