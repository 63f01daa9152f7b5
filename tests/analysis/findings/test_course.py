"""What leaves the course of a run's last steps."""

import numpy as np
import pytest
from analysis.findings.made import from_step, log, told

from tandv.analysis.findings import Matrices, course
from tandv.log.files import write_parquet

N = 60
AT = 40


def of(rule, tensors, steps=N):
    return rule(Matrices(log(steps, tensors)))


def test_a_spike_of_an_output_and_of_the_typical_gradient():
    spike = np.where(np.arange(N) == AT, 8.1, 1.0)
    layers = {("Activation", "a"): {}, ("Activation", "b"): {"rm2": spike}}
    assert told(of(course.spike, layers)) == [("spike", "b", AT)]
    near = np.where(np.arange(N) == AT, 7.9, 1.0)
    assert of(course.spike, {("Activation", "b"): {"rm2": near}}) == []
    gradients = {("Weight", name): {} for name in "abc"} | {("Weight_Gradient", name): {"rm2": spike} for name in "ab"}
    assert told(of(course.spike, gradients | {("Weight_Gradient", "c"): {}})) == [("spike", "*", AT)]
    assert of(course.spike, gradients | {("Weight_Gradient", "b"): {}, ("Weight_Gradient", "c"): {}}) == []


def test_an_outlier_is_traced_back_to_where_it_began():
    growth = np.clip(np.arange(N) - 30, 0, 10)
    tails = 1.9 * 2.0 ** (0.06 * growth)  # +0.6 bits at step 40
    layer = {"rm8": tails, "max_abs": 2.0 ** (0.4 * growth)}
    tensors = {("Activation", "a"): layer, ("Weight", "a"): {}}
    assert told(of(course.outlier_feature, tensors)) == [("outlier_feature", "a", 32)]
    small = {("Activation", "a"): {**layer, "max_abs": 2.0 ** (0.2 * growth)}, ("Weight", "a"): {}}
    assert of(course.outlier_feature, small) == []


@pytest.fixture
def with_loss(tmp_path):
    """Return what writes a run with some losses and tensors."""

    def write(loss, tensors):
        write_parquet(log(N, tensors), tmp_path / "log.parquet")
        (tmp_path / "run.json").write_text("{}")
        lines = [f'{{"step": {step}, "loss": {value}}}\n' for step, value in enumerate(np.broadcast_to(loss, N))]
        (tmp_path / "curves.jsonl").write_text("".join(lines))
        return Matrices(tmp_path)

    return write


def test_of_several_losses_none_is_the_whole(with_loss, tmp_path):
    with_loss(1.0, {("Activation", "a"): {}})
    curves = tmp_path / "curves.jsonl"
    for names, known in (("g_loss d_loss", False), ("train/loss val_loss aux_loss", True), ("g_loss", True)):
        numbers = ", ".join(f'"{name}": 1.0' for name in names.split())
        curves.write_text("".join(f'{{"step": {step}, {numbers}}}\n' for step in range(N)))
        assert (Matrices(tmp_path).loss is not None) == known


@pytest.mark.parametrize(("end", "many"), [(2.1, 1), (1.9, 0), (0.1, 0)])
def test_a_loss_that_ends_twice_as_high(with_loss, end, many):
    m = with_loss(from_step(50, N, 1.0, end), {("Activation", "a"): {}})
    assert told(course.diverging(m)) == [("diverging", "*", 0)] * many  # from its lowest value on


def test_gradients_that_vanish_matter_where_the_loss_stands_still(with_loss):
    fades = {("Weight", "a"): {}, ("Weight_Gradient", "a"): {"rm2": 2.0 ** -np.clip(np.arange(N) - 25.0, 0, 11)}}
    assert told(course.in_time(with_loss(1.0, fades))) == [("vanishing_in_time", "*", 25)]
    assert course.in_time(with_loss(np.linspace(1, 0.1, N), fades)) == []
    grows = {("Weight", "a"): {}, ("Weight_Gradient", "a"): {"rm2": 2.0 ** np.clip(np.arange(N) - 25.0, 0, 9)}}
    assert told(of(course.in_time, grows)) == [("exploding_in_time", "*", 25)]
    less = {("Weight", "a"): {}, ("Weight_Gradient", "a"): {"rm2": 2.0 ** np.clip(np.arange(N) - 25.0, 0, 8)}}
    assert of(course.in_time, less) == []


@pytest.mark.parametrize(("bits", "layer", "severity"), [(7.6, "a", "warning"), (7.4, "a", "note"), (9.0, "b", "note")])
def test_an_extreme_outlier_is_a_warning_but_in_the_last_layer(bits, layer, severity):
    growth = np.clip((np.arange(N) - 30) / 10, 0, 1)
    tensors = {(kind, name): {} for kind in ("Activation", "Weight") for name in "ab"}
    tensors["Activation", layer] = {"rm8": 1.9 * 2.0 ** (0.8 * growth), "max_abs": 2.0 ** (bits * growth)}
    [found] = of(course.outlier_feature, tensors)
    assert (found.layer, found.severity) == (layer, severity)


def test_a_spike_of_the_first_output_whose_weight_stays_is_of_what_goes_in():
    spike = {"rm2": np.where(np.arange(N) == AT, 1024.0, 1.0)}
    outputs = {("Activation", "a"): spike, ("Activation", "b"): {}}
    [found] = of(course.spike, outputs | {("Weight", "a"): {"rm2": from_step(AT, N, 1.0, 1.9)}})
    assert (found.layer, found.numbers) == ("a", {"times": 1024.0, "of_input": 1})
    assert found.before == "Its weights have not grown: it is what goes into the model."
    [grown] = of(course.spike, outputs | {("Weight", "a"): {"rm2": from_step(AT, N, 1.0, 2.0)}})
    assert "of_input" not in grown.numbers
    later = {("Activation", "a"): {}, ("Activation", "b"): spike, ("Weight", "b"): {}}
    assert "of_input" not in of(course.spike, later)[0].numbers


def test_gradients_that_spike_below_those_of_the_start_are_a_note():
    for level, severity in ((0.1, "note"), (0.2, "warning")):
        sizes = np.where(np.arange(N) == AT, 9.0, 1.0) * from_step(15, N, 1.0, level)
        [found] = of(course.spike, {("Weight", "a"): {}, ("Weight_Gradient", "a"): {"rm2": sizes}})
        assert (found.step, found.severity) == (AT, severity)


def gradients(bits):
    return {("Weight", "a"): {}, ("Weight_Gradient", "a"): {"rm2": 2.0 ** np.asarray(bits, float)}}


def test_a_run_that_converges_within_its_first_steps_does_not_explode_there():
    steps = np.arange(N)
    converged = np.where(steps < 9, -7.0 - steps / 2, -25.0)  # the median of the first 20 is 2^-25
    assert of(course.in_time, gradients(converged)) == []
    noisy = np.where(steps >= 40, -14.0, converged)  # 11 bits more than then, but less than at the beginning
    assert of(course.in_time, gradients(noisy)) == []


@pytest.mark.parametrize(("begins_at", "step"), [(12, 11), (30, 29)])
def test_gradients_that_explode_are_told_from_where_they_left_the_first_steps(begins_at, step):
    [found] = of(course.in_time, gradients(from_step(begins_at, N, 0.0, 9.0)))
    assert told([found]) == [("exploding_in_time", "*", step)]
    until = max(begins_at, 20)
    assert found.what == f"The gradients of the typical weight grow by 2^9.0 from step {step} to {until}."
    assert found.before == "They were 2^0.0 in the first 20 recorded steps."


def around(level, noise):
    """Return a level with noise that has no course."""
    return level + noise * np.tile([1.0, -1.0, 0.3, -0.6, 0.8, -0.5], 2)


@pytest.mark.parametrize(
    ("start", "end", "many"),
    [
        (around(0.0, 0.1), -0.6, 0),  # a policy gradient, whose first 5 losses have a median of 0.03 by chance
        (around(0.0, 0.3), 0.9, 0),  # a contrastive loss between -1 and 1
        (around(2.3, 0.1), -900.0, 1),  # the wrong sign of a loss that was bounded by 0
        (np.geomspace(2.3, 1.0, 12), 7.0, 1),  # a likelihood that diverges after it was good
    ],
)
def test_a_loss_that_may_be_negative_is_looked_at_where_it_began_clearly_away_from_0(with_loss, start, end, many):
    loss = np.r_[start, np.linspace(start[-1], -0.5, 20), np.full(N - 32, end)]
    assert [one.kind for one in course.diverging(with_loss(loss, {("Activation", "a"): {}}))] == ["diverging"] * many
