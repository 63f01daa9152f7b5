"""Block formats against a plain reference of NumPy and ml_dtypes, written from the specifications."""

import ml_dtypes
import numpy as np
import pytest

from tandv.formats import dtype
from tandv.measure.blocks import BLOCK_FORMATS, block_format, block_measure
from tandv.messages import UnknownName

RANDOM = np.random.default_rng(0)


def saturating(y, element):
    top = np.float32(element.max)
    return np.clip(y, -top, top).astype(dtype(element.name)).astype(np.float64)


def reference(x, name):
    """Return squared error, squares, values that become zero, and those that are not finite; blocks along rows."""
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
            q = np.ldexp(saturating(np.ldexp(b.astype(np.float64), -e).astype(np.float32), one.element), e)
        elif one.scale == "nv":
            tensor = np.float32(np.abs(b).max() / np.float32(6 * 448)) or np.float32(1)
            s = np.clip((largest / np.float32(6)) / tensor, np.float32(one.floor), np.float32(448))
            s = s.astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
            y = np.where(s > 0, b * ((np.float32(1) / tensor) / s), np.float32(0)).astype(np.float32)
            q = saturating(y, one.element) * (s.astype(np.float64) * np.float64(tensor))
        else:
            s = largest / np.float32(one.element.max)
            y = np.where(s > 0, b * (np.float32(1) / s), np.float32(0)).astype(np.float32)
            q = saturating(y, one.element) * s.astype(np.float64)
    b = b.astype(np.float64)
    return ((q - b) ** 2).sum(), (b**2).sum(), ((q == 0) & (b != 0)).sum(), (~known).sum()


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


@pytest.mark.parametrize("name", BLOCK_FORMATS)
@pytest.mark.parametrize("data", DATA)
def test_sums_are_those_of_the_reference(name, data):
    x = DATA[data]
    error, squares, zeros, bad = reference(x, name)
    found = block_measure(x, [name])[0]
    assert found[[0, 1]] == pytest.approx([error, squares], rel=2e-6)
    assert found[[2, 4]].tolist() == [zeros, bad]


@pytest.mark.parametrize("name", MX)
@pytest.mark.parametrize("within", [64, 1024, 65536])
def test_every_bfloat16_in_random_blocks(name, within):
    x = every_bfloat16(256, within)
    error, squares, zeros, _ = reference(x, name)
    found = block_measure(x, [name])[0]
    assert found[[0, 1]] == pytest.approx([error, squares], rel=2e-6)
    assert found[2] == zeros


def test_subnormals_of_float32_are_values():
    x = RANDOM.integers(0, 2**23, (16, 64), dtype=np.uint32).view(np.float32)
    for name in MX:
        error, squares, zeros, _ = reference(x, name)
        assert block_measure(x, [name])[0][:3].tolist() == pytest.approx([error, squares, zeros], rel=2e-6)


def test_blocks_lie_along_the_axis_that_is_chosen():
    x = RANDOM.standard_normal((96, 40)).astype(np.float32)
    assert block_measure(x, ["mxfp4"], axis=0)[0] == pytest.approx(block_measure(x.T.copy(), ["mxfp4"])[0])


def test_parts_of_whole_blocks_add_up():
    x = RANDOM.standard_normal((8, 64)).astype(np.float32)
    parts = sum(block_measure(part, MX) for part in (x[:3], x[3:]))
    assert parts == pytest.approx(block_measure(x, MX))


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(UnknownName, match="did you mean 'mxfp4'"):
        block_measure(np.ones(4, np.float32), ["mxfp5"])
    with pytest.raises(TypeError, match="float64"):
        block_measure(np.ones(4), ["mxfp4"])
