"""The first tensor that is not finite, in the order of execution."""

import numpy as np
import pytest
from analysis.findings.made import from_step, log, told

from tandv.analysis.findings import Matrices
from tandv.analysis.findings.not_finite import not_finite
from tandv.log.files import write_parquet

N = 10
PLAIN = {
    (kind, name): {}
    for kind in ("Activation", "Gradient", "Weight", "Weight_Gradient")
    for name in (("Net", "a", "b") if kind in ("Activation", "Gradient") else ("a", "b"))
}
for kind in ("Activation", "Gradient"):
    PLAIN[kind, "Net"] = {"type": "Net"}


def of(tensors, steps=N):
    return not_finite(Matrices(log(steps, PLAIN | tensors)))


def test_the_first_in_the_order_of_execution_is_told_not_the_first_by_name():
    bad = {"nans": from_step(6, N, 0, 2)}
    after = {"nans": from_step(6, N, 0, 100)}
    everywhere = {
        key: {**one, **after} for key, one in PLAIN.items() if key[0] in ("Activation", "Gradient", "Weight_Gradient")
    }
    weights = {("Weight", name): {"nans": from_step(7, N, 0, 100)} for name in ("a", "b")}
    [found] = of(everywhere | weights | {("Activation", "a"): {}, ("Activation", "b"): bad})
    assert told([found]) == [("not_finite", "b", 6)]
    assert (found.severity, found.tensor_type) == ("error", "Activation")
    assert found.what == "The output of 'b' (Linear, float32) has 2 NaN among 100 values first at step 6."
    assert "before it came the output of 'a', which reaches 2^1.6 and is finite" in found.before
    assert found.evidence[1] == "Of the 3 recorded steps after it 3 have NaN or infinity somewhere."


def test_a_backward_pass_is_in_reverse_and_a_weight_gradient_after_its_output():
    bad = {"nans": from_step(4, N, 0, 1)}
    weights = {("Weight", name): {"nans": from_step(5, N, 0, 1)} for name in ("a", "b")}
    in_a = weights | {("Gradient", "a"): bad, ("Weight_Gradient", "a"): bad}
    assert told(of(in_a | {("Weight_Gradient", "b"): bad})) == [("not_finite", "b", 4)]
    assert told(of(in_a)) == [("not_finite", "a", 4)]
    assert of(in_a)[0].tensor_type == "Gradient"


@pytest.mark.parametrize(
    ("dtype", "largest", "kind"),
    [("float16", 30_000.0, "overflow"), ("float16", 500.0, "not_finite"), ("float32", 30_000.0, "not_finite")],
)
def test_infinities_are_an_overflow_where_finite_values_are_near_the_end_of_the_format(dtype, largest, kind):
    course = np.array([1.0] * 5 + [largest] * 5)
    [found] = of({("Activation", "b"): {"dtype": dtype, "infs": from_step(5, N, 0, 7), "max_abs": course}})
    assert told([found]) == [(kind, "b", 5)]
    assert found.numbers["infs"] == 7
    assert found.before.startswith("Its largest magnitude was 2^0.0, 2^0.0, 2^0.0 in the 3 recorded steps before")


def test_gradients_that_a_scaler_skipped_are_how_it_finds_its_scale():
    search = {"infs": from_step(3, N, 5, 0), "skipped": from_step(3, N, 1.0, 0.0)}
    rest = {key: {**one, "skipped": search["skipped"]} for key, one in PLAIN.items()}
    assert of(rest | {("Weight_Gradient", "a"): search}) == []
    assert told(of(rest | {("Activation", "a"): search})) == [("not_finite", "a", 0)]


def test_gradients_after_which_all_is_finite_are_a_note_and_at_the_end_an_error():
    once = {"infs": np.arange(N) == 4}
    [found] = of({("Weight_Gradient", "a"): once})
    assert (found.severity, found.step) == ("note", 4)
    [found] = of({("Weight_Gradient", "a"): {"infs": np.arange(N) == N - 1}})
    assert (found.severity, found.step) == ("error", N - 1)


def test_a_mask_of_infinities_is_a_note_and_infinities_that_begin_later_are_an_error():
    mask = {"infs": 50}
    assert [(one.severity, one.layer) for one in of({("Activation", "a"): mask})] == [("note", "a")]
    late = {"infs": from_step(2, N, 0, 50)}
    assert [(one.severity, one.step) for one in of({("Activation", "a"): late})] == [("error", 2)]
    reaches = {("Activation", "a"): mask, ("Gradient", "a"): {"nans": 1}}
    assert [(one.severity, one.step) for one in of(reaches)] == [("error", 0)]


def test_a_finite_log_has_none():
    assert of({}) == []


def test_of_modules_in_another_order_than_declared_the_one_with_far_fewer_such_values_is_first():
    tensors = {("Activation", "a"): {"nans": 90}, ("Activation", "b"): {"nans": 2}}
    assert told(of(tensors | {("Activation", "Net"): {"type": "Net", "nans": 100}})) == [("not_finite", "b", 0)]
    half = {("Activation", "a"): {"nans": 4}, ("Activation", "b"): {"nans": 2}}  # what a ReLU lets through
    assert told(of(half)) == [("not_finite", "a", 0)]


def test_nan_comes_of_infinities_but_not_the_other_way_round():
    both = {("Activation", "a"): {"nans": 5, "infs": 5}, ("Activation", "b"): {"infs": 9}}
    gradients = {("Gradient", "a"): {"nans": 100}}
    assert told(of(both | gradients)) == [("not_finite", "b", 0)]


def test_a_module_that_is_called_in_several_places_is_not_blamed_for_another():
    shared = {("Gradient", "b"): {"nans": 9, "calls": 2}, ("Gradient", "a"): {"nans": 9, "calls": 1}}
    assert told(of(shared | {("Weight", "a"): {"nans": from_step(1, N, 0, 9)}})) == [("not_finite", "a", 0)]


def test_a_gradient_of_a_weight_overflows_in_the_format_of_its_output_under_autocast():
    tensors = {
        ("Activation", "a"): {"dtype": "float16"},
        ("Weight_Gradient", "a"): {"infs": 3, "max_abs": 40_000.0},
        ("Weight", "a"): {"nans": from_step(1, N, 0, 9)},
    }
    assert told(of(tensors)) == [("overflow", "a", 0)]


def test_of_a_wide_format_no_wider_one_is_advised():
    found, *_ = of(
        {("Gradient", "a"): {"infs": from_step(6, N, 0, 9), "max_abs": from_step(6, N, 1.0, 1e308), "dtype": "float64"}}
    )
    assert found.kind == "overflow"
    assert found.advice.startswith("No usual format reaches further than float64")


@pytest.mark.parametrize(("scale", "kind"), [(2.0**12, "overflow"), (2.0**2, "not_finite")])
def test_a_scaled_gradient_overflows_in_its_format_with_its_scale(scale, kind):
    # Values of 2^3 are recorded without the scale: times 2^12 they were within 2^6 of the end of float16.
    bad = {"infs": from_step(6, N, 0, 9), "max_abs": 8.0, "dtype": "float16", "loss_scale": scale}
    weights = {("Weight", name): {"nans": from_step(7, N, 0, 9)} for name in ("a", "b")}
    [found] = of(weights | {("Gradient", "b"): bad})
    assert told([found]) == [(kind, "b", 6)]
    assert f"without the loss scale of {'2^12.0' if scale > 9 else '2^2.0'}" in found.before


def test_with_a_gradient_that_overflows_the_output_that_grew_is_told():
    grows = {("Activation", "a"): {"max_abs": 4.0 ** np.arange(N)}, ("Activation", "b"): {"max_abs": 2.0}}
    bad = {("Weight_Gradient", "b"): {"infs": from_step(6, N, 0, 3), "max_abs": 60_000.0, "dtype": "float16"}}
    weights = {("Weight", "b"): {"nans": from_step(7, N, 0, 9)}}
    [found] = of(grows | bad | weights)
    assert told([found]) == [("overflow", "b", 6)]
    assert found.evidence[0] == "The output of 'a' grew from 2^6.0 to 2^12.0 in the 3 recorded steps before."


@pytest.fixture
def lost(tmp_path):
    """Return what writes a run whose loss and gradients are not finite from a step on, and finds what was first."""

    def write(value, at, more=(), facts=(), given=range(N)):
        write_parquet(log(N, PLAIN | BACKWARD_LOST | dict(more)), tmp_path / "log.parquet")
        (tmp_path / "run.json").write_text("{}")
        lines = [f'{{"step": {step}, "loss": {1.0 if step < at else value}}}\n' for step in given]
        (tmp_path / "curves.jsonl").write_text("".join(lines))
        m = Matrices(tmp_path)
        m.facts = dict(facts)
        return not_finite(m)

    return write


# The backward pass of step 6, and from 7 on all that was trained on it.
BACKWARD_LOST = {
    (kind, name): {**of_it, "nans": from_step(6 if "Gradient" in kind else 7, N, 0, 9)}
    for (kind, name), of_it in PLAIN.items()
}


@pytest.mark.parametrize(("value", "words", "seen"), [("NaN", "NaN", "nan"), ("Infinity", "infinite", "inf")])
def test_where_the_output_of_the_model_is_finite_the_loss_is_the_first(lost, value, words, seen):
    [found] = lost(value, 6)
    assert (found.kind, found.severity, found.tensor_type) == ("not_finite", "error", "loss")
    assert (found.layer, found.step, str(found.numbers["loss"])) == ("*", 6, seen)
    assert found.what == (f"The loss is {words} first at step 6, though the model's output is finite: it is the loss.")
    assert found.before == (
        "Every recorded output of that step is finite; the loss was 1, 1, 1 in the 3 recorded steps before."
    )
    assert found.advice.startswith("Look at how the loss is computed")
    assert found.evidence[0] == "The first tensor that is not finite is the gradient of the output of 'Net'."
    assert found.evidence[-1] == f"The loss is {words} in that step."


def test_a_loss_is_not_blamed_for_an_output_nor_where_it_was_not_given_nor_where_the_output_has_no_row(lost):
    output = {("Activation", "Net"): {"type": "Net", "nans": from_step(6, N, 0, 9)}}
    assert [(one.tensor_type, one.layer) for one in lost("NaN", 6, output)] == [("Activation", "Net")]
    assert [one.tensor_type for one in lost("NaN", 6, given=range(0, N, 4))] == ["Gradient"]
    partly = {("Activation", "Net"): {"type": "Other"}}  # not the model itself
    assert [one.tensor_type for one in lost("NaN", 6, partly)] == ["Gradient"]


def test_a_loss_that_fails_again_at_the_next_recorded_step_is_told_as_the_likely_one(lost):
    between = {"between_steps": {"checked": 5, "not_finite": [{"step": 5.5, "loss": {"state": "nan"}}]}}
    [found] = lost("NaN", 6, facts=between)
    assert (found.tensor_type, found.layer) == ("loss", "*")
    assert "It was most likely the loss, which is the first at the next recorded step." in found.what
