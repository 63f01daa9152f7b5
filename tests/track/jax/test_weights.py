"""Copies of a JAX model's weights are read by one thread at a time."""

import threading

import jax.numpy as jnp
import numpy as np

from tandv.track.jax import _weights


def test_a_copy_that_is_being_written_is_settled_by_nobody_else(monkeypatch):
    snapshot = _weights.source(lambda: {"a": jnp.ones(3), "b": jnp.zeros(2)}, str).copy()
    real, settled = np.asarray, []

    def meanwhile(array):
        if not settled:  # while the thread that writes reads the first array, training begins its next step
            settled.append(True)
            training = threading.Thread(target=snapshot.settle)
            training.start()
            training.join()
        return real(array)

    monkeypatch.setattr(np, "asarray", meanwhile)
    assert {name: array.tolist() for name, array in snapshot.arrays().items()} == {"a": [1, 1, 1], "b": [0, 0]}
    assert settled
