"""Limits of number formats, and the fate of values whose powers of two are known exactly."""

import ml_dtypes
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from tandv import formats, measure
from tandv.formats import cast_shares, custom_format, exponent, number_format
from tandv.log.logframe import frame
from tandv.messages import UnknownName


def row(values, lowest=-20, highest=20, dtype="float32", **scalars) -> pd.DataFrame:
    """Return a log of one tensor with these values, counted the way the tracker counts them."""
    values = np.abs(np.asarray(values, float))
    nonzero = values[(values > 0) & np.isfinite(values)]
    counts = np.zeros((1, highest - lowest + 3), int)
    for value in nonzero:
        counts[0, min(max(exponent(value) - lowest + 1, 0), counts.shape[1] - 1)] += 1
    counts[0, 0] += (values == 0).sum()
    counts[0, -1] += np.isinf(values).sum()
    stats = {
        "max_abs": nonzero.max(initial=0),
        "min_abs": nonzero.min(initial=np.inf),
        "zeros": (values == 0).sum(),
        "nans": np.isnan(values).sum(),
        "infs": np.isinf(values).sum(),
    } | scalars
    meta = {"name": ["fc"], "type": [""], "tensor_type": ["Activation"], "step": [0], "dtype": [dtype]}
    kept = {name: np.array([float(value)]) for name, value in stats.items() if value is not None}
    return frame(meta, kept, counts, list(range(lowest, highest + 1)))


@pytest.mark.parametrize(
    ("name", "largest", "normal", "subnormal"),
    [
        ("float8_e4m3fn", 1.75 * 2**8, 2**-6, 2**-9),
        ("float8_e5m2", 1.75 * 2**15, 2**-14, 2**-16),
        ("float4_e2m1fn", 6, 1, 0.5),
        ("bfloat16", (2 - 2**-7) * 2.0**127, 2**-126, 2**-133),
        ("float16", 65504, 2**-14, 2**-24),
        ("float32", (2 - 2**-23) * 2.0**127, 2**-126, 2**-149),
    ],
)
def test_limits_are_exact(name, largest, normal, subnormal):
    to = number_format(name)
    assert (to.max, to.smallest_normal, to.smallest_subnormal) == (largest, normal, subnormal)


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "float16", "bfloat16", "float8_e4m3", "float8_e3m4"])
def test_thresholds_are_those_of_a_real_cast(name):
    to, dtype = number_format(name), np.dtype(getattr(ml_dtypes, name, name))
    edge = [to.overflows_above * 0.9999, to.overflows_above * 1.001, to.vanishes_at, to.vanishes_at * 1.001]
    with np.errstate(over="ignore"):
        kept, over, lost, small = np.array(edge).astype(dtype).astype(float)
    assert kept == to.max
    assert not np.isfinite(over)
    assert (lost, small) == (0, to.smallest_subnormal)


def test_every_format_and_float64_has_finite_limits():
    for name in formats.FORMATS:
        to = number_format(name)
        assert 0 < to.vanishes_at < to.smallest_subnormal <= to.smallest_normal < to.max <= to.overflows_above or (
            name == "float64"
        )
        assert number_format(to.short) is not None and number_format(to.short).name == name


def test_an_unknown_format_names_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'float8_e4m3fn'"):
        number_format("float8_e4m3fm")
    with pytest.raises(UnknownName, match="there are 'float8_e4m3fn', 'float8_e5m2'"):
        number_format("zzz")
    with pytest.raises(UnknownName, match="in short e4m3, e5m2, .*, fp16, bf16, fp32, fp64$"):
        number_format("zzz")
    with pytest.raises(UnknownName, match="there are 'float6_e2m3fn', 'float6_e3m2fn', in short e2m3, e3m2$"):
        number_format("fp6")


def test_each_power_of_two_meets_its_fate_in_e4m3():
    for n in range(-20, 20):
        shares = cast_shares(row([2.0**n]), "float8_e4m3fn")
        fate = [tuple(interval[0]) for interval in shares]
        overflow = (1.0, 1.0) if n >= 9 else (0.0, 0.0)
        subnormal = (1.0, 1.0) if -10 <= n < -6 else (0.0, 0.0)  # 2^-10 is the tie that is documented
        to_zero = (1.0, 1.0) if n < -10 else (0.0, 0.0)
        assert fate == [overflow, subnormal, to_zero], n


def test_the_bin_of_the_largest_value_is_an_interval():
    shares = cast_shares(row([300.0, 470.0, 1.0, 600.0]), "float8_e4m3fn")
    assert shares.overflow.tolist() == [[0.25, 0.75]]  # 600 for sure; 300 and 470 share a bin


def test_max_abs_narrows_the_interval():
    assert cast_shares(row([300.0, 464.0]), "float8_e4m3fn").overflow.tolist() == [[0.0, 0.0]]
    assert cast_shares(row([300.0, 465.0]), "float8_e4m3fn").overflow.tolist() == [[0.5, 1.0]]
    assert cast_shares(row([300.0, 464.0], max_abs=None), "float8_e4m3fn").overflow.tolist() == [[0.0, 1.0]]
    assert cast_shares(row([300.0, 464.0], max_abs=np.nan), "float8_e4m3fn").overflow.tolist() == [[0.0, 1.0]]


def test_infinities_overflow_zeros_do_not_vanish_and_nans_count_as_values():
    shares = cast_shares(row([np.inf, 0.0, np.nan, 1.0]), "float8_e4m3fn")
    assert [s.tolist() for s in shares] == [[[0.25, 0.25]], [[0.0, 0.0]], [[0.0, 0.0]]]


def test_values_beyond_the_counted_range_make_an_interval_where_they_can_matter():
    wide = cast_shares(row([2.0**30, 1.0], highest=10, max_abs=None), "bfloat16")
    assert wide.overflow.tolist() == [[0.0, 0.5]]
    narrow = cast_shares(row([2.0**30, 2.0**8], highest=10, max_abs=None), "float8_e4m3fn")
    assert narrow.overflow.tolist() == [[0.5, 1.0]]
    unknown = cast_shares(row([2.0**-30, 0.0], lowest=-12, zeros=None, min_abs=None), "float8_e4m3fn")
    assert unknown.to_zero.tolist() == [[0.0, 1.0]]  # zeros or underflow: the log cannot tell


def test_a_scale_shifts_the_bins():
    shares = cast_shares(row([2.0**9, 2.0**-12]), "float8_e4m3fn", shift=-2)
    assert [s.tolist() for s in shares] == [[[0.0, 0.0]], [[0.0, 0.0]], [[0.5, 0.5]]]


def test_intervals_hold_what_a_real_cast_does():
    rng = np.random.default_rng(0)
    for scale in (2.0**-8, 1.0, 2.0**7, 2.0**14):
        values = (rng.standard_normal(4000) * scale).astype(np.float32)
        for name in ("float8_e4m3fn", "float8_e5m2", "float16"):
            dtype = np.dtype(getattr(ml_dtypes, name, name))
            with np.errstate(over="ignore"):
                cast = np.abs(values.astype(dtype).astype(np.float64))
            truth = (~np.isfinite(cast)).mean(), ((cast == 0) & (values != 0)).mean()
            shares = cast_shares(row(values, -40, 40), name)
            for (low, high), share in zip((shares.overflow[0], shares.to_zero[0]), truth, strict=True):
                assert low - 1e-12 <= share <= high + 1e-12, (name, scale)


def test_every_format_is_called_the_same_by_all_that_have_it():
    for name in formats.FORMATS:
        assert formats.dtype(name).name == name
        assert formats.is_format(name) and not formats.is_format(formats.SHORT[name])
        assert number_format(formats.SHORT[name]) == number_format(name)


def test_formats_of_one_byte_are_those_that_can_be_looked_up():
    assert all(formats.dtype(name).itemsize == 1 for name in formats.EIGHT_BITS)
    assert set(formats.EIGHT_BITS) <= set(measure.MEASURED)


def test_safetensors_write_formats_by_these_names(tmp_path):
    for code, name in formats.SAFETENSORS.items():
        safetensors.torch.save_file({"x": torch.ones(2).to(getattr(torch, name))}, tmp_path / name)
        with safetensors.safe_open(tmp_path / name, framework="pt") as file:
            assert file.get_slice("x").get_dtype() == code


def test_a_format_of_ones_own_is_made_of_whole_numbers_of_any_kind():
    assert custom_format(np.int64(4), np.int8(3), largest=np.float32(448)) == custom_format(4, 3, largest=448)
    with pytest.raises(ValueError, match="mantissa_bits=True: allowed are whole numbers from 0 to 23"):
        custom_format(4, True)
    said = r"exponent_bits=4.5: .*; bias=inf: allowed are .* -700 to 1000, and None; largest='448': allowed are numbers"
    with pytest.raises(ValueError, match=said):
        custom_format(4.5, 3, "448", float("inf"))  # type: ignore[arg-type]
