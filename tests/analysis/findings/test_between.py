"""Values that were not finite at a step that is not recorded."""

import numpy as np
import pytest
from analysis.findings.made import from_step, log, told

from tandv.analysis.findings import Matrices
from tandv.analysis.findings.not_finite import not_finite

STEPS = [0, 10, 20, 28, 30]
NAN, FINE = {"state": "nan"}, {"state": "finite"}


def gradients(*names, of=2):
    return {"state": "nan", "names": list(names), "of": of}


def found(seen, bad_from=3, more=None, steps=STEPS, weights=("Weight", "Weight_Gradient")):
    """Return the findings of a run of two layers whose check has seen some steps, with weights that go bad."""
    bad = {"nans": from_step(bad_from, len(steps), 0, 100)}
    tensors = {(kind, name): bad for kind in weights for name in ("a", "b")}
    tensors |= {("Activation", name): bad for name in ("a", "b")} | (more or {})
    m = Matrices(log(steps, tensors))
    m.facts = {"between_steps": {"checked": 20, "not_finite": seen}}
    return not_finite(m)


def test_the_step_is_that_of_the_check_and_the_layer_the_first_whose_gradient_was_bad_in_backward():
    [one] = found([{"step": 27, "loss": FINE, "output": FINE, "gradients": gradients("a")}])
    assert told([one]) == [("not_finite", "a", 27)]
    assert (one.severity, one.tensor_type) == ("error", "Weight_Gradient")
    assert one.what == (
        "1 of 2 gradients are not finite (a) at step 27, which is not recorded. The first of them in the backward pass "
        "is the gradient of the weight 'a'."
    )
    assert one.before == "At step 20, the last recorded one before it, every tensor was finite."
    assert one.numbers["recorded_next"] == 28
    assert one.evidence[0].startswith("Of the next recorded step: The weight 'a'")


def test_of_all_gradients_the_last_layer_is_the_first_where_the_loss_was_finite():
    [one] = found([{"step": 27, "loss": FINE, "gradients": gradients("a", "b")}])
    assert told([one]) == [("not_finite", "b", 27)]


def test_where_the_forward_pass_went_bad_the_tensor_is_said_to_be_unknown():
    [one] = found([{"step": 27, "loss": NAN, "output": NAN, "gradients": gradients("a", "b")}])
    assert told([one]) == [("not_finite", "*", 27)]
    assert one.what == (
        "The loss is NaN, the model's output is not finite, 2 of 2 gradients are not finite (all) at step 27, which is "
        "not recorded. Which tensor was first is not known: no step was recorded in which others were finite still."
    )


def test_where_it_is_not_known_which_pass_went_bad_no_layer_is_blamed_for_all():
    [one] = found([{"step": 27, "gradients": gradients("a", "b")}])
    assert told([one]) == [("not_finite", "*", 27)]


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"passes": 4}, "one of 4 forward passes was checked, and another may have spoilt all gradients"),
        ({"ranks": 2}, "one of 2 ranks was checked, and another may have spoilt the gradients of all"),
        ({"passes": 0}, "no forward pass of the whole model was seen, and one of several may have spoilt all"),
    ],
)
def test_where_the_check_saw_a_part_of_the_step_no_layer_is_blamed_for_all(part, why):
    [one] = found([{"step": 27, **part, "loss": FINE, "output": FINE, "gradients": gradients("a", "b")}])
    assert told([one]) == [("not_finite", "*", 27)]
    assert one.what.endswith(f"Which tensor was first is not known: {why}.")
    [one] = found([{"step": 27, **part, "loss": FINE, "output": FINE, "gradients": gradients("a")}])
    assert told([one]) == [("not_finite", "a", 27)]  # the gradients of 'b' are finite on all of them


def test_the_output_nearest_to_the_end_of_its_format_is_told_with_its_course():
    course = np.array([2.0**12, 2.0**14.2, 2.0**15.9, np.nan, np.nan])
    near = {("Activation", "a"): {"dtype": "float16", "max_abs": course, "nans": from_step(3, 5, 0, 100)}}
    [one] = found([{"step": 27, "loss": NAN, "gradients": gradients("a", "b")}], more=near)
    assert told([one]) == [("overflow", "a", 27)]
    assert "was 2^12.0, 2^14.2, 2^15.9 in the 3 recorded steps before, where float16 ends at 2^16.0." in one.before


def test_what_happens_again_while_weights_are_finite_is_told():
    fine = {("Weight", name): {} for name in ("a", "b")}
    [one] = found([{"step": 27, "loss": NAN}], more=fine)
    assert told([one]) == [("not_finite", "a", 27)]
    assert "It was most likely the output of 'a', which is the first at the next recorded step." in one.what


def test_weights_that_were_bad_after_a_step_say_so():
    seen = [{"step": 27, "weights": {"state": "nan", "names": ["a"], "of": 2}, "loss": FINE}]
    [one] = found(seen)
    assert one.what.startswith("1 of 2 new weights are not finite (a) at step 27")


def test_a_step_after_which_all_is_finite_is_a_note():
    [one] = found([{"step": 12, "loss": FINE, "gradients": gradients("b")}], bad_from=5)
    assert (one.severity, one.kind, one.step) == ("note", "not_finite", 12)
    assert one.before == "All tensors of the next recorded step, 20, are finite."


def test_one_after_the_last_recorded_step_is_an_error():
    [one] = found([{"step": 33, "loss": FINE, "gradients": gradients("b")}], bad_from=5)
    assert (one.severity, one.layer, one.step) == ("error", "b", 33)


def test_a_loss_that_was_not_computed_is_none():
    assert found([{"step": 12, "loss": NAN, "gradients": FINE}], bad_from=5) == []


def test_an_earlier_step_that_did_no_harm_is_not_blamed():
    seen = [{"step": 5, "gradients": gradients("b")}, {"step": 27, "loss": FINE, "gradients": gradients("a")}]
    assert told(found(seen)) == [("not_finite", "a", 27)]


@pytest.mark.parametrize(("state", "words"), [("nan", "NaN"), ("inf", "infinite")])
def test_a_loss_that_alone_is_bad_is_the_cause(state, words):
    [one] = found([{"step": 27, "loss": {"state": state}, "output": FINE, "gradients": gradients("a", "b")}])
    assert told([one]) == [("not_finite", "*", 27)]
    assert (one.severity, one.tensor_type) == ("error", "loss")
    assert one.what == (
        f"The loss is {words}, 2 of 2 gradients are not finite (all) at step 27, which is not recorded. The model's "
        "output was finite: it is the loss."
    )
    assert one.advice.startswith("Look at how the loss is computed from the model's output")


def test_of_several_forward_passes_a_finite_output_does_not_blame_the_loss():
    seen = {"step": 27, "passes": 4, "loss": NAN, "output": FINE, "gradients": gradients("a", "b")}
    [one] = found([seen])
    assert "it is the loss" not in one.what and one.tensor_type == "Activation"


@pytest.mark.parametrize(("names", "layer"), [(("a",), "a"), (("a", "b"), "*")])
def test_weights_that_are_bad_after_finite_gradients_were_set_to_it(names, layer):
    seen = {"step": 27, "gradients": FINE, "weights": gradients(*names, of=3), "loss": FINE}
    [one] = found([seen])
    assert told([one]) == [("not_finite", layer, 27)]
    assert one.tensor_type == "Weight"
    assert "The gradients were finite: it is not the backward pass." in one.what
    assert "set to it between two steps: check what loads or changes weights, and the optimiser." in one.advice
    assert "backward pass of" not in one.advice
