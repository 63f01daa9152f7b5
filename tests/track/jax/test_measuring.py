"""Both ways to measure inside a compiled program against the oracle: XLA's operations, and the native kernel."""

import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from reference import reference, reference_bits, reference_counts
from tandv import statistics
from tandv.track.jax import _kernels, _native

pytestmark = pytest.mark.slow

NORMAL = np.random.default_rng(0).standard_normal((40, 64))
VALUES = {
    "normal": NORMAL,
    "1e30": NORMAL * 1e30,
    "1e-30": NORMAL * 1e-30,
    "subnormal": NORMAL * 1e-41,
    "all of the smallest": np.full(5, 1e-45),
    "huge": np.array([3e38, -3e38, 1e-40, 0]),
    "far from zero": NORMAL + 1000,
    "zeros": np.zeros((3, 4)),
    "three axes": NORMAL.reshape(4, 10, 64),
    "four axes, empty": np.zeros((2, 0, 3, 0)),
    "0-d": np.array(-2.5),
    "empty": np.zeros((0, 3)),
    "nan and infinity": np.array([np.nan, np.inf, -np.inf, 1.0, -3.0]),
    "nothing finite": np.full(3, np.nan),
    "long": np.random.default_rng(1).standard_normal(1 << 18),
    "large and positive": np.random.default_rng(2).random((512, 1024)),
}
DTYPES = ("float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


@pytest.fixture(params=["native", "native, matrices", "xla"])
def kernel(request):
    assert _native.available()
    way = request.param
    return lambda dtype: _kernels.xla(np.dtype(dtype)) if way == "xla" else _kernels.native("matrices" in way)


def check(row: np.ndarray, x: np.ndarray, where: str = "") -> None:
    expected = reference(x) | {"mantissa_bits": reference_bits(x)}
    for name, values in statistics.summarise(row).items():
        if name == "calls":
            continue
        tolerance = 2e-6 * (expected["mean_abs"] if name == "mean" and np.isfinite(expected["mean"]) else 0)
        assert values[0] == pytest.approx(expected[name], rel=2e-6, abs=tolerance, nan_ok=True), (where, name)
    assert statistics.counts_of(row[0]) == reference_counts(x), where


def cast(values: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(getattr(ml_dtypes, dtype, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_compiled_program_measures_as_the_oracle_does(kernel, dtype):
    arrays = [cast(values, dtype) for values in VALUES.values()]
    with_kernel = kernel(arrays[0].dtype)
    measured = jax.jit(lambda arrays: [with_kernel.measure(x, ()) for x in arrays])(arrays)
    for name, x, words in zip(VALUES, arrays, measured, strict=True):
        assert words.size == with_kernel.empty.size
        check(with_kernel.rows_of(np.asarray(words)), x, name)


def test_parts_merge_into_the_whole_inside_the_program(kernel):
    arrays = [cast(values, "float32").reshape(-1) for values in VALUES.values()]
    with_kernel = kernel(np.float32)

    @jax.jit
    def merged(arrays):
        empty, out = jnp.asarray(with_kernel.empty), []
        for x in arrays:
            parts = [with_kernel.measure(part, ()) for part in (x[: len(x) // 3], x[len(x) // 3 :])]
            out.append(with_kernel.merge(with_kernel.merge(empty, parts[0]), parts[1]))
        return out

    for name, x, words in zip(VALUES, arrays, merged(arrays), strict=True):
        row = with_kernel.rows_of(np.asarray(words))
        check(row, x, name)
        assert row["calls"][0] == 2


@pytest.mark.parametrize("values", [[1e308, -1.7e308], [5e-324, 3e-310, -2e-308], [0.0, 1.5, np.nan]])
def test_float64_keeps_its_range(values):
    with (jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64)(True):  # the latter until 0.7
        x = np.array(values)
        row = _kernels.xla(x.dtype).rows_of(np.asarray(jax.jit(lambda x: _kernels.xla(x.dtype).measure(x, ()))(x)))
    check(row, x)


def test_the_native_kernel_is_no_host_callback():
    text = jax.jit(_native.measure).lower(jnp.ones(3)).compile().as_text()
    assert re.findall('custom_call_target="(.*?)"', text) == ["tandv_measure"]


def test_what_a_product_reads_is_not_computed_again_for_the_native_kernel(optimised):
    def layer(x, w):
        y = jnp.cos(x)
        return y @ w, _native.measure(y, as_matrix=True)

    text = jax.jit(layer).lower(jnp.ones((4, 8, 16)), jnp.ones((16, 16))).compile().as_text()
    assert text.count(" cosine(") == 1
