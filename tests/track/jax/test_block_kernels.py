"""Block formats inside compiled programs: what the host measures, by its kernel and by XLA's operations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from measure.test_blocks import DATA, TINY, every_bfloat16

from tandv.measure.blocks import BLOCK_FORMATS, block_measure
from tandv.track.jax import _native_blocks
from tandv.track.jax._block_kernels import axis_of_value, kernel_of, sums_of
from tandv.track.jax._tag import Mark

pytestmark = pytest.mark.slow

CASES = {
    "every bfloat16": (jnp.asarray(every_bfloat16(256, 1024)), -1),
    "ties": (DATA["ties"], -1),
    "short last block": (DATA["short last block"], -1),
    "not finite": (DATA["not finite"], -1),
    "subnormals": (TINY["subnormals"], -1),
    "near the smallest": (TINY["near the smallest"], -1),
    "first axis": (DATA["normal"], 0),
    "convolution": (DATA["normal"].reshape(4, 8, 64, 8), 2),
    "float16": (DATA["normal"].astype(np.float16), 1),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("one_cpu", [True, False], ids=["native", "xla"])
def test_programs_measure_what_the_host_does(one_cpu, name):
    assert _native_blocks.available()
    x, axis = CASES[name]
    kernel = kernel_of(BLOCK_FORMATS, axis, one_cpu)
    found = sums_of(len(BLOCK_FORMATS), np.asarray(jax.jit(lambda x: kernel.measure(x, ()))(x)))[0]
    expected = block_measure(np.asarray(x), BLOCK_FORMATS, axis)
    assert found[:, :2] == pytest.approx(expected[:, :2], rel=2e-6)
    assert found[:, 2:].tolist() == expected[:, 2:].tolist()


def test_two_measurements_add_up():
    kernel = kernel_of(("mxfp4", "nvfp4"), -1, True)
    parts = [np.float32([[1, 0.05, 3]]), 2.0**80 * np.float32([[1, 0.05, 3]]), np.zeros((1, 3), np.float32)]
    words = [jax.jit(lambda x: kernel.measure(x, ()))(part) for part in parts]
    found = sums_of(2, np.asarray(functools.reduce(kernel.merge, words, kernel.empty)))[0]
    expected = sum(block_measure(part, ["mxfp4", "nvfp4"]) for part in parts)
    assert found == pytest.approx(expected)
    assert sums_of(2, kernel.empty) == [None]  # of a branch that was not taken


def test_channels_of_equinox_lie_first():
    image, batch = np.ones((8, 16, 4, 4), np.float32), np.ones((8, 16), np.float32)
    assert axis_of_value(image, Mark(("conv",), "Conv2d", "Activation"), None) == 1
    assert axis_of_value(batch, Mark(("dense",), "Dense", "Gradient"), None) == 1
    assert axis_of_value(batch, Mark(("dense",), "Dense", "Gradient"), {"Gradient": 0}) == 0
    assert axis_of_value(batch[0], Mark(("dense",), "Dense", "Gradient"), None) is None
