"""Values at the ends of their own number format, and loss scales."""

import numpy as np
import pandas as pd
import pytest
from analysis.findings.made import from_step, log, told

from tandv.analysis.findings import Matrices, ranges
from tandv.log.files import write_parquet

N = 20


def of(rule, tensors, **more):
    return rule(Matrices(log(N, tensors, **more)))


def test_half_of_the_largest_value_is_near_the_end():
    def model(largest, dtype="float16"):
        return {("Activation", "a"): {"dtype": dtype, "max_abs": largest}}

    assert told(of(ranges.near_overflow, model(from_step(4, N, 1.0, 32_752.0)))) == [("near_overflow", "a", 4)]
    assert of(ranges.near_overflow, model(from_step(4, N, 1.0, 32_751.0))) == []
    assert of(ranges.near_overflow, model(32_752.0, "bfloat16")) == []


def gradients(share, dtype="float16", scale=None, exponents=(-19, -18, 0)):
    """Two layers of whose gradients a share lies at the lowest of some exponents, and the rest at the highest."""
    more = {} if scale is None else {"loss_scale": scale}
    one = {"dtype": dtype, "min_abs": 2.0 ** exponents[0], **more}
    tensors = {("Gradient", name): one for name in "ab"}
    tensors |= {("Activation", name): {"dtype": "float16", **more} for name in "ab"}
    counts = {("Gradient", name): [round(100 * share), 0, round(100 * (1 - share))] for name in "ab"}
    return of(ranges.underflow, tensors, counts=counts, exponents=exponents)


def test_a_quarter_in_the_lowest_six_binades_is_underflow():
    # The smallest subnormal of float16 is 2^-24: its lowest six binades end below 2^-18.
    assert told(gradients(0.26)) == [("underflow", "*", 0)]
    assert gradients(0.25) == []
    assert gradients(0.26, exponents=(-18, -17, 0)) == []


def test_only_narrow_formats_are_looked_at():
    assert gradients(0.9, dtype="float32") == []
    assert gradients(0.9, dtype="bfloat16") == []


def test_with_a_loss_scale_the_edge_is_that_of_the_scaled_gradient_in_the_format_of_the_output():
    # 2^-19 / 2^8 after the scale was taken out again
    assert told(gradients(0.26, dtype="float32", scale=256.0, exponents=(-27, -26, 0))) == [("underflow", "*", 0)]
    assert gradients(0.26, dtype="float32", scale=256.0, exponents=(-26, -25, 0)) == []


def test_the_format_of_a_scaled_gradient_is_that_which_its_row_says():
    assert told(gradients(0.26, scale=256.0, exponents=(-27, -26, 0))) == [("underflow", "*", 0)]
    assert gradients(0.26, scale=256.0, exponents=(-26, -25, 0)) == []


@pytest.mark.parametrize(("loss", "many"), [(2.3, 1), (None, 0)])
def test_gradients_that_are_all_zero_are_underflow_where_the_loss_says_that_there_should_be_some(tmp_path, loss, many):
    tensors = {("Gradient", name): {"dtype": "float16", "zeros": 100, "min_abs": 0.0} for name in "ab"}
    write_parquet(log(N, tensors), tmp_path / "log.parquet")
    if loss is not None:
        pd.DataFrame({"step": range(N), "loss": loss}).to_parquet(tmp_path / "curves.parquet")
    assert told(ranges.underflow(Matrices(tmp_path))) == [("underflow", "*", 0)] * many


def test_scaled_gradients_are_meant_to_come_near_the_end_of_their_format():
    tensors = {("Gradient", "a"): {"dtype": "float16", "max_abs": 40_000.0, "loss_scale": from_step(10, N, 2.0, 1.0)}}
    assert told(of(ranges.near_overflow, tensors)) == [("near_overflow", "a", 10)]


@pytest.mark.parametrize(("steps", "many"), [(4, 1), (3, 0)])
def test_a_scaler_that_skips_four_steps_in_a_row(steps, many):
    skipped = ((np.arange(N) >= 9) & (np.arange(N) < 9 + steps)).astype(float)
    tensors = {("Weight_Gradient", "a"): {"skipped": skipped, "loss_scale": 2.0**12}}
    assert told(of(ranges.loss_scale_collapse, tensors)) == [("loss_scale_collapse", "*", 9)] * many


def test_the_first_search_for_a_scale_is_no_collapse_until_the_scale_is_below_one():
    skipped, scale = from_step(8, N, 1.0, 0.0), np.maximum(2.0 ** (16 - np.arange(N)), 2.0**8)
    assert of(ranges.loss_scale_collapse, {("Weight_Gradient", "a"): {"skipped": skipped, "loss_scale": scale}}) == []
    endless = {"skipped": 1.0, "loss_scale": 2.0 ** (5 - np.arange(N, dtype=float)), "nans": 3}
    [found] = of(ranges.loss_scale_collapse, {("Weight_Gradient", "a"): endless})
    assert found.step == 6
    assert found.evidence == ["NaN, which no scale removes, is first in the gradient of the weight 'a'."]
