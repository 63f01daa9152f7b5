"""What a log says of casts, against casts with ml_dtypes of tensors that are measured as a tracker measures them."""

import ml_dtypes
import numpy as np
import pandas as pd
import pytest

import tandv
from tandv import statistics
from tandv.analysis.whatif import whatif
from tandv.formats import custom_format, dtype, number_format
from tandv.log.files import write_parquet
from tandv.log.logframe import SchemaError, example_log, frame
from tandv.measure import measure
from tandv.messages import UnknownName

ALL = ("underflow", "overflow", "subnormal", "sqnr")


def log_of(*tensors, steps=None, kind="Activation") -> pd.DataFrame:
    """Return the log of these arrays, each a layer of its own named by its number, or all one layer at `steps`."""
    rows = measure([np.asarray(one) for one in tensors])
    lowest, highest = statistics.exponent_range(rows)
    n = len(tensors)
    text = {
        "name": ["fc"] * n if steps else [str(i) for i in range(n)],
        "type": ["Linear"] * n,
        "tensor_type": [kind] * n,
        "step": list(steps or [0] * n),
        "dtype": [str(one.dtype) for one in tensors],
    }
    counts = statistics.exponent_counts(rows, lowest, highest)
    return frame(text, statistics.summarise(rows), counts, list(range(lowest, highest + 1)))


def cast(x, name, scale):
    """Return underflow, overflow, subnormal and SQNR of an array, by casting it."""
    to = number_format(name)
    x = np.asarray(x, np.float64).ravel()
    largest = np.abs(x).max()
    s = {
        "none": 1.0,
        "power2": 2.0 ** min(np.floor(np.log2(to.max / largest)), 127),
        "max": min(to.max / largest, 3e38),
    }
    s = {name: float(np.float32(one)) for name, one in s.items()}
    y = x * s[scale]
    q = np.clip(y, -to.max, to.max).astype(np.float32).astype(dtype(to.name)).astype(np.float64)
    error = ((q / s[scale] - x) ** 2).sum()
    size = np.abs(y)
    small = (size > to.vanishes_at) & (size < to.smallest_normal)
    sqnr = 10 * np.log10((x**2).sum() / error) if error else np.inf
    return ((q == 0) & (x != 0)).mean(), (size > to.overflows_above).mean(), small.mean(), sqnr


@pytest.mark.parametrize("scale", ["none", "power2", "max"])
@pytest.mark.parametrize("name", ["e4m3", "e5m2", "e2m3", "e3m2", "e2m1", "fp16", "bf16"])
def test_predictions_are_near_and_bounds_hold_the_truth(name, scale):
    random = np.random.default_rng(0)
    tensors = [
        random.standard_normal(50_000).astype(np.float32),
        (random.standard_normal(20_000) * random.standard_normal(20_000) * 1e-3).astype(ml_dtypes.bfloat16),
        random.lognormal(0, 1, 30_000).astype(np.float16),
        np.maximum(random.standard_normal(20_000), 0).astype(np.float32) * 300,
    ]
    found = whatif(log_of(*tensors), name, scale)
    for x, row in zip(tensors, found.itertuples(), strict=True):
        for quantity, true in zip(ALL, cast(x, name, scale), strict=True):
            slack = 1e-3 if quantity == "sqnr" else 1e-6
            assert getattr(row, f"{quantity}_least") - slack <= true <= getattr(row, f"{quantity}_most") + slack
            near = {"sqnr": 1.0, "underflow": 0.02, "overflow": 0.01, "subnormal": 0.03}[quantity]
            assert getattr(row, quantity) == (pytest.approx(true, abs=near) if np.isfinite(true) else true)
            assert getattr(row, f"{quantity}_low") <= getattr(row, quantity) <= getattr(row, f"{quantity}_high")


def test_values_whose_magnitudes_are_equal_are_cast_exactly():
    x = np.float32([0.3, -0.3, 0.0, 0.3])
    row = whatif(log_of(x), "e4m3").iloc[0]
    assert row.sqnr == pytest.approx(20 * np.log10(0.3 / (0.3125 - np.float32(0.3))), abs=1e-4)
    assert row.sqnr_low == row.sqnr_high == row.sqnr_least == row.sqnr_most == row.sqnr
    gone = whatif(log_of(x), "e2m1", "none").iloc[0]  # 0.3 is nearer to 0.5 than to 0
    assert (gone.underflow, gone.subnormal) == (0, 0.75)
    assert (
        whatif(log_of(x / 2), "e2m1").iloc[0][["underflow", "underflow_least", "underflow_most"]].tolist() == [0.75] * 3
    )


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "float16", "bfloat16", "float32"])
def test_a_cast_to_the_own_type_loses_nothing(name):
    x = np.random.default_rng(0).lognormal(-3, 3, 5000).clip(0, 400).astype(dtype(name))
    row = whatif(log_of(x), [name]).iloc[0]
    assert [row.sqnr, row.sqnr_low, row.sqnr_least] == [np.inf] * 3
    assert (row.underflow, row.overflow) == (0, 0)


def test_a_type_has_only_its_own_values_in_a_power_of_two():
    # bfloat16 has 8 bits: of float16's 11 all are kept, of float8_e3m4's 5 as well, though its range is small
    x = np.random.default_rng(0).uniform(0.3, 15, 5000).astype(ml_dtypes.bfloat16)
    found = whatif(log_of(x), ["fp16", custom_format(5, 6, name="e5m6")])
    assert found.sqnr[0] == np.inf
    q = np.rint(x.astype(float) / 2.0 ** (np.frexp(x.astype(float))[1] - 7)) * 2.0 ** (np.frexp(x.astype(float))[1] - 7)
    true = 10 * np.log10((x.astype(float) ** 2).sum() / ((q - x.astype(float)) ** 2).sum())
    assert found.sqnr[1] == pytest.approx(true, abs=0.2)  # a density instead would say 3 dB more
    assert found.format.tolist() == ["fp16", "e5m6"]


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_the_range_of_few_distinct_values_under_a_scale_is_what_the_counts_allow(name):
    # of an untrained classifier: p - 1 at the true class is about -0.99, of which bfloat16 has but few values
    random = np.random.default_rng(0)
    p = np.exp(random.normal(0, 0.3, (256, 100)))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(256), random.integers(100, size=256)] -= 1
    gradient = p.astype(ml_dtypes.bfloat16)
    row = whatif(log_of(gradient, kind="Gradient"), name, "max").iloc[0]
    true = cast(gradient, name, "max")[3]
    assert true > row.sqnr + 8  # nothing in the log says so
    assert row.sqnr_low == row.sqnr_least < true < row.sqnr_high == row.sqnr_most


def test_the_range_of_casts_in_which_subnormal_values_alone_err_is_three_decibels_each_way():
    x = (2.0 ** np.random.default_rng(0).uniform(-30, 0, 5000)).astype(ml_dtypes.bfloat16)
    row = whatif(log_of(x), "fp16").iloc[0]
    assert abs(row.sqnr - cast(x, "fp16", "none")[3]) < 1
    assert [row.sqnr - row.sqnr_low, row.sqnr_high - row.sqnr] == pytest.approx([3.05, 3.05], abs=0.02)


def test_what_is_not_there_is_no_loss_and_what_is_not_finite_is_not_known():
    found = whatif(
        log_of(np.zeros(4, np.float32), np.full(4, np.nan, np.float32), np.float32([np.inf, 1, 1, 1])), "e4m3"
    )
    assert found.sqnr.tolist()[0] == np.inf and np.isnan(found.sqnr[1]) and found.sqnr[2] == np.inf
    assert found.overflow.tolist() == [0, 0, 0.25]


def test_values_beyond_the_largest_saturate_and_are_counted():
    x = np.float32([1, 2, 448, 464, 465, 1000])  # 464 is half a step above 448: the tie goes to the even 448
    row = whatif(log_of(x), "e4m3").iloc[0]
    assert row.overflow_least <= 2 / 6 <= row.overflow_most
    assert row.overflow_most <= 4 / 6 and row.overflow_least >= 1 / 6


def test_delayed_scales_come_from_the_logged_steps_before():
    random = np.random.default_rng(0)
    base = random.standard_normal(5000)
    base /= np.abs(base).max()
    steps = [0, 1, 2, 3]
    log = log_of(*[(base * m).astype(np.float32) for m in (1, 8, 1, 2)], steps=steps)
    found = whatif(log, "e4m3", ["max", "delayed:1", "delayed:2"])
    overflow = found.pivot_table(index="step", columns="scale", values="overflow", observed=False)
    assert (overflow["max"] == 0).all()
    assert overflow["delayed:1"][0] == 0  # no step before: a scale of 1
    assert overflow["delayed:1"][1] > 0.3  # eight times the largest of step 0
    assert overflow["delayed:1"][3] > 0 and overflow["delayed:2"][3] == 0  # step 1 was larger
    later = whatif(log, "e4m3", "delayed:1", step=3)
    assert later.overflow.item() == overflow["delayed:1"][3].astype(np.float32)


def test_a_log_that_lacks_most_statistics_is_read():
    log = log_of(np.random.default_rng(0).standard_normal(5000).astype(np.float32))
    bare = log[[one for one in log.columns if one[0] != "scalar_stats" or one[1] == "std"]]
    whole, row = whatif(log, "e4m3").iloc[0], whatif(bare, "e4m3").iloc[0]
    assert row.sqnr == pytest.approx(whole.sqnr, abs=1)
    assert row.sqnr_high - row.sqnr_low > whole.sqnr_high - whole.sqnr_low
    assert row.underflow_high >= whole.underflow


def test_a_log_is_read_where_it_lies_and_only_chosen_layers(tmp_path):
    log = example_log(steps=3)
    write_parquet(log, tmp_path / "log.parquet")
    found = whatif(tmp_path / "log.parquet", ["e4m3", "e5m2"], ["none", "max"], layers="head", tt="Weight")
    assert found[["layer", "step"]].drop_duplicates().values.tolist() == [["head", 0], ["head", 1], ["head", 2]]
    pd.testing.assert_frame_equal(
        found, tandv.whatif(log, ["e4m3", "e5m2"], ["none", "max"], layers="head", tt="Weight")
    )


def test_what_is_not_known_is_named_with_what_there_is():
    with pytest.raises(UnknownName, match="did you mean 'e4m3'"):
        whatif(example_log(steps=1), "e4m4")
    with pytest.raises(ValueError, match="'mean', 'delayed:0'; allowed are none, power2, max, delayed:K"):
        whatif(example_log(steps=1), "e4m3", ["mean", "max", "delayed:0"])
    for scale in (3, None, {"max": 1}, ["none", 2.0]):
        with pytest.raises(ValueError, match="; allowed are none, power2, max, delayed:K"):
            whatif(example_log(steps=1), "e4m3", scale)
    with pytest.raises(ValueError, match="formats is empty"):
        whatif(example_log(steps=1), [])


def test_a_table_without_counts_is_said_to_lack_them():
    log = example_log(steps=1)
    bare = log[[label for label in log.columns if label[0] != "exponent_counts"]]
    with pytest.raises(ValueError, match="this log has no exponent_counts, .* from which casts are predicted"):
        whatif(bare, "e4m3")


def test_a_log_whose_exponents_are_one_too_high_is_taken_as_what_it_is():
    # As tandv 0.1 wrote them: column n counts 2^(n - 1) <= |x| < 2^n, and column 0 the zeros as well.
    x = np.random.default_rng(0).standard_normal(5000).astype(np.float32) * 0.05
    log = log_of(np.append(x, np.float32([0] * 1000)))
    counts = {int(n) + 1: int(log["exponent_counts"][n].iloc[0]) for n in log["exponent_counts"] if np.isfinite(n)}
    counts = {n: counts.get(n, 0) for n in range(min(counts), 2)} | {0: 1000}
    old = frame(
        {name: log["metadata"][name].astype(object) for name in ("name", "type", "tensor_type", "step", "dtype")},
        {name: log["scalar_stats"][name].to_numpy() for name in ("max_abs", "mean_abs", "rm2", "rm4", "rm8")},
        np.array([[0, *counts.values(), 0]]),
        list(counts),
    )
    new, found = whatif(log, "e4m3").iloc[0], whatif(old, "e4m3").iloc[0]
    assert (found.sqnr, found.underflow) == pytest.approx((new.sqnr, new.underflow), abs=1e-3)


def test_sums_that_no_values_have_do_no_harm():
    log = log_of(np.random.default_rng(0).standard_normal(5000).astype(np.float32))
    log[("scalar_stats", "rm8")] = 1e-30
    assert 25 < whatif(log, "e4m3").sqnr.item() < 40


@pytest.mark.parametrize("bits", [-1.0, 3.5, np.inf, -np.inf])
def test_mantissa_bits_that_cannot_be_are_named(bits):
    log = example_log(layers=2, steps=3, tensor_types=["Weight"])
    log[("scalar_stats", "mantissa_bits")] = np.where(log[("metadata", "name")] == "head", bits, np.nan)
    with pytest.raises(SchemaError, match=f"is {bits!r} in 3 rows, first of 'head' at step 0; allowed are whole"):
        whatif(log, "e4m3")


def test_rows_that_are_there_twice_are_refused_and_not_listed_twice():
    log = example_log(layers=2, steps=3, tensor_types=["Weight"])
    with pytest.raises(SchemaError, match="6 rows repeat the name, tensor_type and step"):
        whatif(pd.concat([log, log]), "e4m3")


def test_formats_may_be_types_and_scales_of_blocks_are_refused():
    log = example_log(steps=1)
    assert set(whatif(log, [np.float16, np.dtype("float32")]).format) == {"float16", "float32"}
    assert set(whatif(log, np.float16).format) == {"float16"}
    with pytest.raises(UnknownName, match="'e8m0' has neither sign nor zero"):
        whatif(log, ["e4m3", "e8m0"])
    with pytest.raises(UnknownName, match="'mxfp4' has a scale for each block"):
        whatif(log, "mxfp4")


@pytest.mark.parametrize("bits", [5, 7])
def test_what_a_format_does_is_the_same_whatever_else_is_asked_for(bits):
    log = example_log(layers=2, steps=5, tensor_types=["Activation"])
    log[("scalar_stats", "mantissa_bits")] = float(bits)
    formats = ["e5m2", "e2m1", custom_format(5, 4), custom_format(5, 5)]
    together = whatif(log, formats, "max")
    for one in formats:
        alone = whatif(log, one, "max")
        beside = together[together["format"] == alone["format"].iloc[0]].reset_index(drop=True)
        pd.testing.assert_frame_equal(beside.iloc[:, 5:], alone.iloc[:, 5:], check_exact=True)
