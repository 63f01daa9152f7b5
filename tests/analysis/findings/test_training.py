"""Weights that a run does not train, and why not."""

import json

import numpy as np
import pytest
from analysis.findings.made import from_step, log, told

from tandv.analysis.findings import Matrices, training
from tandv.log.files import write_parquet

N = 30
MOVES = {"mean": np.linspace(0, 1, N), "rm2": np.linspace(1, 2, N)}
LAYERS = {("Activation", name): {} for name in "abc"} | {("Gradient", name): {} for name in "abc"}
WEIGHTS = {("Weight", name): MOVES for name in "abc"} | {("Weight_Gradient", name): {} for name in "abc"}


def of(rule, tensors, without=()):
    return rule(Matrices(log(N, {key: one for key, one in tensors.items() if key not in without})))


def test_a_weight_with_a_gradient_that_never_moves_is_not_in_the_optimiser():
    [found] = of(training.not_trained, LAYERS | WEIGHTS | {("Weight", "b"): {}})
    assert told([found]) == [("not_trained", "b", 0)]
    assert (found.severity, found.numbers["gradient"]) == ("warning", "flows")
    assert of(training.not_trained, LAYERS | WEIGHTS) == []
    one_step = {("Weight", "b"): {"mean": from_step(N - 1, N, 0.0, 1e-6)}}
    assert of(training.not_trained, LAYERS | WEIGHTS | one_step) == []


def test_no_weight_at_all_moves():
    still = LAYERS | WEIGHTS | {("Weight", name): {} for name in "abc"}
    [found] = of(training.not_trained, still)
    assert told([found]) == [("not_trained", "*", 0)]
    assert (found.severity, found.what) == (
        "note", "No weight changes, from step 0 on, though gradients are not zero."
    )  # fmt: skip
    [found] = of(training.not_trained, still | {("Optimiser_State.exp_avg", "a"): {}})
    assert (found.severity, found.numbers["parameters"]) == ("warning", 3)
    assert "rounded away" not in found.advice
    narrow = {("Weight_Gradient", "a"): {"dtype": "bfloat16"}, ("Weight", "a"): {"dtype": "bfloat16"}}
    assert "rounded away" in of(training.not_trained, still | narrow)[0].advice
    assert of(training.not_trained, still | {("Weight_Gradient", name): {"rm2": 0.0} for name in "abc"}) == []
    first = Matrices(log(N, still)).until(20)
    assert (len(first.steps), training.not_trained(first)) == (20, [])


def test_a_bias_whose_gradient_is_rounding_is_not_reported():
    tensors = LAYERS | WEIGHTS | {("Weight", "b.bias"): {}}
    assert of(training.not_trained, tensors | {("Weight_Gradient", "b.bias"): {"rm2": 1e-9}}) == []


def test_what_has_its_update_rounded_away_is_not_left_out_of_the_optimiser():
    known = {key: {**one, "rounded_away": 0.0} for key, one in WEIGHTS.items()}
    still = LAYERS | known | {("Weight", "b"): {}}
    assert len(of(training.not_trained, still)) == 1
    assert of(training.not_trained, still | {("Weight_Gradient", "b"): {"rounded_away": 1.0}}) == []


@pytest.fixture
def run(tmp_path):
    """Return what writes a run of a log in which a and b have no gradient, and what its run.json says of them."""

    def write(never_seen):
        tensors = LAYERS | WEIGHTS | {("Weight", "a"): {}, ("Weight", "b"): {}}
        lost = [(kind, name) for kind in ("Weight_Gradient", "Gradient") for name in "ab"]
        df = log(N, {key: one for key, one in tensors.items() if key not in lost})
        write_parquet(df, tmp_path / "log.parquet")
        about = {"framework": "torch 2", "coverage": {"gradients_never_seen": never_seen}}
        (tmp_path / "run.json").write_text(json.dumps(about))
        return tmp_path

    return write


def test_a_gradient_that_is_required_and_never_comes_is_a_cut_behind_the_last_such_layer(run):
    [found] = training.not_trained(Matrices(run(["a", "b"])))
    assert told([found]) == [("not_trained", "b", 0)]
    assert (found.severity, found.numbers["gradient"]) == ("warning", "none")
    assert list(found.evidence) == ["The same in a."]


def test_what_does_not_require_one_is_frozen_which_is_a_note(run):
    [found] = training.not_trained(Matrices(run([])))
    assert (found.severity, found.numbers["gradient"]) == ("note", "not required")


def test_without_the_run_a_weight_whose_output_gets_a_gradient_counts_as_frozen():
    still = LAYERS | WEIGHTS | {("Weight", "b"): {}}
    [found] = of(training.not_trained, still, without=[("Weight_Gradient", "b")])
    assert (found.severity, found.layer) == ("note", "b")
    [found] = of(training.not_trained, still, without=[("Weight_Gradient", "b"), ("Gradient", "b")])
    assert (found.severity, found.layer) == ("warning", "b")


def test_a_gradient_of_zero_at_all_steps_is_a_cut_in_jax():
    [found] = of(training.not_trained, LAYERS | WEIGHTS | {("Weight", "b"): {}, ("Weight_Gradient", "b"): {"rm2": 0.0}})
    assert (found.layer, found.numbers["gradient"]) == ("b", "zero")


def parameters(tmp_path, still, in_optimizer, framework="torch 2", zero=()):
    """Write a run of four layers, some of which never change, and what its run.json says of the optimiser."""
    layers = "abcd"
    tensors = {(kind, name): {} for kind in ("Activation", "Gradient", "Weight_Gradient") for name in layers}
    tensors |= {("Weight", name): {} if name in still else MOVES for name in layers}
    tensors |= {("Weight_Gradient", name): {"rm2": 0.0} for name in zero}
    write_parquet(log(N, tensors), tmp_path / "log.parquet")
    told_of = {name: {"requires_grad": True, "in_optimizer": held} for name, held in in_optimizer.items()}
    (tmp_path / "run.json").write_text(json.dumps({"framework": framework, "parameters": told_of}))
    return training.not_trained(Matrices(tmp_path))


@pytest.mark.parametrize(
    ("still", "severity"), [("ab", "note"), ("a", "warning"), ("bc", "warning"), ("d", "warning"), ("abc", "note")]
)
def test_first_layers_that_the_optimiser_was_not_given_are_a_choice_and_any_other_layer_is_forgotten(
    tmp_path, still, severity
):
    [found] = parameters(tmp_path, still, {name: name not in still for name in "abcd"})
    assert (found.severity, found.layer) == (severity, still[0])
    assert ("requires_grad_(False)" in found.advice) == (severity == "note")


def test_what_an_optimiser_has_and_does_not_move_is_no_choice(tmp_path):
    [found] = parameters(tmp_path, "ab", dict.fromkeys("abcd", True))
    assert found.severity == "warning" and "learning rate of its group" in found.advice


@pytest.mark.parametrize(("held", "severity"), [(False, "note"), (True, "warning"), (None, "warning")])
def test_a_gradient_of_zero_is_a_cut_but_where_the_optimiser_of_jax_leaves_the_parameter_out(tmp_path, held, severity):
    [found] = parameters(tmp_path, "b", {"b": held}, "jax 0.10.2", zero="b")
    assert (found.severity, found.layer) == (severity, "b")


def test_requires_grad_of_the_run_tells_frozen_from_cut(tmp_path):
    tensors = {key: one for key, one in (LAYERS | WEIGHTS).items() if key != ("Weight_Gradient", "b")}
    write_parquet(log(N, tensors | {("Weight", "b"): {}}), tmp_path / "log.parquet")
    for required, severity in ((True, "warning"), (False, "note")):
        (tmp_path / "run.json").write_text(json.dumps({"parameters": {"b": {"requires_grad": required}}}))
        [found] = training.not_trained(Matrices(tmp_path))
        assert (found.severity, found.layer) == (severity, "b")
