"""Block formats against a plain reference of NumPy and ml_dtypes, written from the specifications."""

import ml_dtypes
import numpy as np
import pytest

from tandv.formats import dtype
from tandv.measure.blocks import BLOCK_FORMATS, block_format, block_measure
from tandv.messages import UnknownName

RANDOM = np.random.default_rng(0)


def saturating(y, element):
    """Return values of an element type, and how many lay beyond its largest value after rounding."""
    top = np.float32(element.max)
    power = np.frexp(np.maximum(np.abs(y).astype(np.float64), element.smallest_normal))[1] - 1
    step = np.ldexp(1.0, power - element.mantissa_bits)
    beyond = np.abs(np.rint(y / step) * step) > top
    return np.clip(y, -top, top).astype(dtype(element.name)).astype(np.float64), beyond.sum()


def reference(x, name):
    """Return what is measured of blocks along rows (PARTS)."""
    one = block_format(name)
    x = np.asarray(x).astype(np.float32)
    pad = [(0, -x.shape[0] % one.rows), (0, -x.shape[1] % one.columns)]
    b = np.pad(x, pad).reshape(-(-x.shape[0] // one.rows), one.rows, -1, one.columns).swapaxes(1, 2)
    known = np.isfinite(b)
    b = np.where(known, b, np.float32(0))
    largest = np.abs(b).max((-2, -1), keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if one.scale == "mx":
            emax = int(np.frexp(one.element.max)[1]) - 1
            e = np.maximum(np.where(largest == 0, -127, np.frexp(largest.astype(np.float64))[1] - 1 - emax), -127)
            q, beyond = saturating(np.ldexp(b.astype(np.float64), -e).astype(np.float32), one.element)
            q = np.ldexp(q, e)
        elif one.scale == "nv":
            tensor = max(np.float32(np.abs(b).max() / np.float32(6 * 448)), np.float32(2.0**-112))
            s = np.clip((largest / np.float32(6)) / tensor, np.float32(one.floor), np.float32(448))
            s = s.astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
            y = np.where(s > 0, b * ((np.float32(1) / tensor) / s), np.float32(0)).astype(np.float32)
            q, beyond = saturating(y, one.element)
            q = q * (s.astype(np.float64) * np.float64(tensor))
        else:
            s = largest / np.float32(one.element.max)
            s = np.where(s < 2.0**-126, np.float32(0), s)  # whose inverse would be no float32
            y = np.where(s > 0, b * (np.float32(1) / s), np.float32(0)).astype(np.float32)
            q, beyond = saturating(y, one.element)
            q = q * s.astype(np.float64)
    b = b.astype(np.float64)
    return ((q - b) ** 2).sum(), (b**2).sum(), ((q == 0) & (b != 0)).sum(), beyond, (~known).sum()


def every_bfloat16(columns, within):
    """Return every pattern of bfloat16, those of similar size near each other, in random order there."""
    x = np.arange(65536, dtype=np.uint16).view(ml_dtypes.bfloat16)
    x = x[np.isfinite(x.astype(np.float32))]
    x = x[np.argsort(np.abs(x.astype(np.float32)), kind="stable")].copy()
    for start in range(0, len(x), within):
        RANDOM.shuffle(x[start : start + within])
    return x[: len(x) // columns * columns].reshape(-1, columns)


MX = [name for name in BLOCK_FORMATS if name.startswith("mx")]
DATA = {
    "normal": RANDOM.standard_normal((64, 256)).astype(np.float32),
    "ties": (RANDOM.integers(-64, 65, (64, 256)) / 8).astype(np.float32),
    "heavy tails": (RANDOM.standard_t(2, (64, 256)) * 1e-3).astype(np.float32),
    "short last block": RANDOM.standard_normal((70, 100)).astype(np.float32),
    "zeros": np.zeros((4, 64), np.float32),
    "not finite": np.where(RANDOM.random((8, 64)) < 0.05, np.nan, RANDOM.standard_normal((8, 64))).astype(np.float32),
}


def assert_is_that_of_the_reference(found, x, name):
    error, squares, *counts = reference(x, name)
    assert found[:2] == pytest.approx([error, squares], rel=2e-6)
    assert found[2:].tolist() == counts


@pytest.mark.parametrize("name", BLOCK_FORMATS)
@pytest.mark.parametrize("data", DATA)
def test_sums_are_those_of_the_reference(name, data):
    x = DATA[data]
    assert_is_that_of_the_reference(block_measure(x, [name])[0], x, name)


@pytest.mark.parametrize("name", BLOCK_FORMATS)
@pytest.mark.parametrize("within", [64, 1024, 65536])
def test_every_bfloat16_in_random_blocks(name, within):
    x = every_bfloat16(256, within)
    assert_is_that_of_the_reference(block_measure(x, [name])[0], x, name)


TINY = {
    "subnormals": RANDOM.integers(0, 2**23, (16, 64), dtype=np.uint32).view(np.float32),
    "near the smallest": np.ldexp(RANDOM.standard_normal((64, 256)), RANDOM.integers(-150, -80, (64, 256))).astype(
        "f4"
    ),
}


@pytest.mark.parametrize("data", TINY)
@pytest.mark.parametrize("name", BLOCK_FORMATS)
def test_subnormals_of_float32_are_values(name, data):
    assert_is_that_of_the_reference(block_measure(TINY[data], [name])[0], TINY[data], name)


def test_a_processor_that_takes_subnormals_for_zeros_counts_the_same():
    usual = [block_measure(x, BLOCK_FORMATS) for x in TINY.values()]
    import torch  # which JAX's tests of blocks, that share this file's values, run without

    torch.set_flush_denormal(True)
    try:
        flushed = [block_measure(x, BLOCK_FORMATS) for x in TINY.values()]
    finally:
        torch.set_flush_denormal(False)
    assert np.array_equal(usual, flushed)


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "e4m3@1x128", "e4m3@128x128"])
@pytest.mark.parametrize(
    "shape, axis", [((96, 40), 0), ((5, 70, 3, 3), 1), ((2, 33, 20), -2), ((300, 7, 2), 0), ((40,), 0)]
)
def test_blocks_lie_along_the_axis_that_is_chosen(name, shape, axis):
    x = RANDOM.standard_normal(shape).astype(np.float32)
    rows = np.moveaxis(x, axis, -1).reshape(-1, shape[axis])
    assert_is_that_of_the_reference(block_measure(x, [name], axis)[0], rows, name)


def test_parts_of_whole_blocks_add_up():
    x = RANDOM.standard_normal((8, 64)).astype(np.float32)
    parts = sum(block_measure(part, MX) for part in (x[:3], x[3:]))
    assert parts == pytest.approx(block_measure(x, MX))


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(UnknownName, match="did you mean 'mxfp4'"):
        block_measure(np.ones(4, np.float32), ["mxfp5"])
    with pytest.raises(TypeError, match="float64"):
        block_measure(np.ones(4), ["mxfp4"])
    with pytest.raises(ValueError, match="axis=2 of an array of 1 axes; allowed are -1 to 0"):
        block_measure(np.ones(4, np.float32), ["mxfp4"], axis=2)
