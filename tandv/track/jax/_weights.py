"""A JAX model's weights at a step: copied without waiting, written by the keys of their pytree."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tandv.track.common.saving import Snapshot, Source
from tandv.track.jax import _names


def source(latest: Callable[[], Any], called: Callable[[str], str]) -> Source:
    """Return how the parameters of the tree (or nnx object) that `latest` gives are copied and written.

    `called` gives the model itself its name, as in the log.
    """
    return Source(lambda: _copy(_names.parameter_arrays(latest()), called), _write)


def _copy(leaves: dict[str, _names.Leaf], called: Callable[[str], str]) -> Snapshot | None:
    found = {key: leaf.array for key, leaf in leaves.items()}
    if not found or any(isinstance(array, jax.ShapeDtypeStruct) for array in found.values()):
        return None  # outside of step() only their shapes are kept
    # On the device first: the arrays may be donated to the next step.
    on_device = {name: jax.numpy.copy(array) for name, array in found.items() if isinstance(array, jax.Array)}
    on_host = {name: np.array(array) for name, array in found.items() if name not in on_device}
    for array in on_device.values():
        array.copy_to_host_async()

    reading = threading.Lock()  # the thread that writes reads the arrays while training settles them

    def read() -> dict[str, np.ndarray]:
        for name in list(on_device):
            on_host[name] = np.asarray(on_device[name])
            del on_device[name]
        return on_host

    def arrays() -> dict[str, np.ndarray]:
        with reading:
            return read()

    def settle() -> None:
        if reading.acquire(blocking=False):
            try:
                if all(array.is_ready() for array in on_device.values()):  # pyright: ignore
                    read()
            finally:
                reading.release()

    nbytes = sum(array.nbytes for array in found.values())
    return Snapshot(nbytes, {key: called(leaf.name) for key, leaf in leaves.items()}, arrays, settle)


def _write(path: Path, arrays: dict[str, Any], about: dict[str, str]) -> None:
    from safetensors.numpy import save_file

    save_file({name: np.array(array, order="C", copy=None) for name, array in arrays.items()}, path, about)
