"""What to do about the first tensor that is not finite."""

import numpy as np
import pytest
from analysis.findings.made import from_step, log

from tandv.analysis.findings import Matrices
from tandv.analysis.findings.not_finite import not_finite

N = 10


def advised(tensors):
    [found] = not_finite(Matrices(log(N, tensors)))
    return found.advice


def between_a_and_b(**changed):
    """Return a log of a layer of 32 inputs and weights up to 1/8, after one that reaches 256: sums of at most 2^10."""
    one = {
        "reaches": 256.0, "weights": 0.125, "infs": 64, "largest": 2.0**14, "dtype": "float16", "inputs": False,
    } | changed  # fmt: skip
    values = {"dtype": one["dtype"], "infs": from_step(6, N, 0, one["infs"])}
    return {
        ("Activation", "a"): {"dtype": one["dtype"], "max_abs": one["reaches"]},
        ("Activation", "b"): values | {"max_abs": np.full(N, one["largest"])},
        ("Weight", "b"): {"numel": 32 * 4, "max_abs": one["weights"]},
        ("Weight", "b.bias"): {"numel": 4, "max_abs": 1.0},
    } | ({("Input", "a"): {}} if one["inputs"] else {})


def test_a_layer_that_cannot_make_infinities_of_what_came_before_was_given_them():
    advice = advised(between_a_and_b())
    assert advice.startswith("Look between 'a' and 'b': no finite value is near the end of float16")
    assert "keep the output of 'a' smaller; track(inputs=True)" in advice


@pytest.mark.parametrize(
    "changed",
    [
        {"weights": 4.0},  # 32 inputs · 4 · 256 = 2^15: half of what float16 holds
        {"reaches": 2.0**13},
        {"largest": 40_000.0},  # in the last binade, as the tail of values that outgrow the format is
        {"inputs": True},  # the rows of inputs would tell
    ],
)
def test_a_layer_whose_own_sums_may_have_overflowed_is_to_be_computed_in_a_wider_format(changed):
    assert advised(between_a_and_b(**changed)).startswith("Compute 'b' in bfloat16 or float32")


def of_state(zeros, dtype="float16", gradient_zeros=0):
    bad = {"infs": from_step(1, N, 0, 100), "dtype": dtype}
    return {
        ("Weight", "a"): bad,
        ("Weight_Gradient", "a"): {"zeros": gradient_zeros, "dtype": dtype},
        ("Optimiser_State.exp_avg_sq", "a"): {"zeros": zeros, "dtype": dtype},
    }


def test_a_weight_whose_second_moment_is_zero_where_its_gradient_is_not_was_divided_by_zero():
    advice = advised(of_state(zeros=from_step(1, N, 30, 0)))
    assert advice.startswith("exp_avg_sq of it is zero in float16 for values whose gradient is not")
    assert "float32" in advice and "bfloat16" in advice


@pytest.mark.parametrize(
    "tensors", [of_state(0), of_state(30, gradient_zeros=30), of_state(30, dtype="bfloat16"), of_state(30, "float32")]
)
def test_other_weights_that_are_not_finite_were_set_between_two_steps(tensors):
    assert advised(tensors).startswith("The weight was set to it between two steps")


@pytest.mark.parametrize(("largest", "name"), [(448.0, "float8_e4m3fn"), (57344.0, "float8_e5m2"), (447.0, "")])
def test_values_that_end_where_a_narrower_format_does_were_cast_to_it(largest, name):
    advice = advised({("Activation", "a"): {"nans": from_step(6, N, 0, 4), "max_abs": from_step(6, N, 300.0, largest)}})
    assert (f"is that of {name}: if it is cast to it" in advice) == bool(name)
    assert ("If not, check what goes into 'a'" if name else "Check what goes into 'a'") in advice
    ends = {"dtype": "float8_e4m3fn", "max_abs": 448.0, "nans": from_step(6, N, 0, 4)}  # in the format itself
    assert "cast" not in advised({("Activation", "a"): ends})
