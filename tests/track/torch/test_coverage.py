"""What a run says of itself: what was recorded and what not, and calls of `tracker.step()` at the wrong place."""

import json
import warnings

import pytest
import torch
from torch import nn
from torch.optim import SGD

from tandv.track.common import read_pickle
from tandv.track.torch import track
from tandv.track.torch._coverage import EARLY, EVAL, FIRST, LATE, TWICE, Seen, mistake

ones = torch.ones(2, 2)
training = Seen(outputs=True, gradients=True, stepped=True)
nothing = Seen()


@pytest.mark.parametrize(
    "steps, said",
    [
        ([training] * 8, None),
        ([nothing] * 8, None),
        ([training] * 7 + [nothing], None),  # one more after the loop
        ([training, nothing] * 2, TWICE),
        ([training, nothing, nothing] * 2, TWICE),
        ([nothing, training] * 4, None),  # the next call will tell
        ([Seen(outputs=True), nothing._replace(recorded=False)] * 4, None),  # what others showed is not known
        ([training, nothing._replace(recorded=False)] * 4, TWICE),
        ([Seen(outputs=True), *[Seen(outputs=True, gradients=True, only_before=True)] * 2], EARLY),
        ([Seen(outputs=True), Seen(outputs=True, gradients=True, only_before=True), training], None),
        ([training, *[training._replace(late=True)] * 2], LATE),
        ([Seen(evaluated=True, gradients=True)], EVAL),
        ([Seen(evaluated=True)], None),  # a validation pass
        ([Seen(evaluated=True, outputs=True, gradients=True)], None),
    ],
)
def test_mistakes_are_recognised_for_what_they_are(steps, said):
    assert mistake(steps) == said


def net():
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))


def twice(model, optimizer, tracker):
    fine(model, optimizer, tracker)
    tracker.step()


def early(model, optimizer, tracker):
    loss = model(ones).sum()
    tracker.step()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def late(model, optimizer, tracker):
    optimizer.zero_grad()
    model(ones).sum().backward()
    tracker.step()
    optimizer.step()


def fine(model, optimizer, tracker):
    optimizer.zero_grad()
    model(ones).sum().backward()
    optimizer.step()
    tracker.step()


def validating(model, optimizer, tracker):
    model.eval()
    with torch.no_grad():
        model(ones)
    model.train()
    fine(model, optimizer, tracker)


def first(model, optimizer, tracker):
    tracker.step()
    optimizer.zero_grad()
    model(ones).sum().backward()
    optimizer.step()


def skipping_the_first(model, optimizer, tracker):
    if tracker.steps:
        fine(model, optimizer, tracker)
    else:
        tracker.step()


def accumulating(model, optimizer, tracker):
    model(ones).sum().backward()
    if tracker.steps % 2:
        optimizer.step()
        optimizer.zero_grad()
    tracker.step()


def tracked(model, loop, steps=4, compiled=False, **arguments):
    """Return what a run warns of, and its information."""
    optimizer = SGD(model.parameters(), lr=0.1)
    call = torch.compile(model, backend="eager") if compiled else model
    with warnings.catch_warnings(record=True) as said, track(model, optimizer=optimizer, **arguments) as tracker:
        warnings.simplefilter("always")
        for _ in range(steps):
            loop(call, optimizer, tracker)
    about = json.loads((tracker.path / "run.json").read_text())
    return [str(one.message) for one in said if "tandv" in str(one.message)], about


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("loop", [fine, validating, skipping_the_first, accumulating])
def test_nothing_is_said_of_a_run_that_is_as_it_should_be(loop, every, compiled):
    said, about = tracked(net(), loop, every=every, compiled=compiled)
    assert said == []
    assert about["coverage"]["gradients_never_seen"] == []
    assert (about["coverage"]["modules"], about["coverage"]["modules_with_outputs"]) == (4, 4)
    assert (about["coverage"]["parameters_that_train"], about["coverage"]["parameters_with_gradients"]) == (6, 6)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("loop, words", [(twice, TWICE), (early, EARLY), (late, LATE), (first, FIRST)])
def test_steps_that_end_at_the_wrong_place(loop, words, compiled):
    said, _ = tracked(net(), loop, compiled=compiled)
    assert said == [f"tandv: {words}"]


@pytest.mark.parametrize(
    "arguments", [{"track_gradients": False}, {"track_weights": False}, {"every": 2}, {"init_step": 5}], ids=str
)
def test_a_step_at_the_top_of_the_loop_is_told_whatever_is_recorded(arguments):
    assert tracked(net(), first, **arguments)[0] == [f"tandv: {FIRST}"]


def test_the_last_iteration_is_kept_where_none_ended_it():
    model = nn.Linear(2, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = SGD(model.parameters(), lr=0.125)
    with pytest.warns(UserWarning, match="at the top of the loop"), track(model, optimizer=optimizer) as tracker:
        for _ in range(3):
            first(model, optimizer, tracker)
    log = read_pickle(tracker.out_path)
    outputs = log[log["metadata", "tensor_type"] == "Activation"]
    assert outputs["metadata", "step"].tolist() == [1, 2, 3]
    assert outputs["scalar_stats", "mean"].tolist() == [2.0, 1.5, 1.0]  # each step takes 2 * 0.125 off both weights


@pytest.mark.parametrize("left", [lambda model: model(ones), lambda model: model(ones).sum().backward()])
def test_what_is_computed_after_the_last_step_is_no_mistake(left):
    model = net()
    with warnings.catch_warnings(record=True) as said, track(model) as tracker:
        for _ in range(3):
            fine(model, SGD(model.parameters(), lr=0.1), tracker)
        left(model)
    assert [one for one in said if "tandv" in str(one.message)] == []
    log = read_pickle(tracker.out_path)
    assert sorted(set(log["metadata", "step"])) == [0, 1, 2]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_step_that_ends_ahead_of_the_optimisers_has_the_weights_of_its_forward_pass(compiled):
    model = nn.Linear(2, 1, bias=False)
    nn.init.ones_(model.weight)
    call = torch.compile(model, backend="eager") if compiled else model
    optimizer = SGD(model.parameters(), lr=0.125)
    with pytest.warns(UserWarning, match="between backward"), track(model, optimizer=optimizer) as tracker:
        for _ in range(3):
            late(call, optimizer, tracker)
    log = read_pickle(tracker.out_path)
    weights = log[log["metadata", "tensor_type"] == "Weight"]["scalar_stats", "mean"]
    outputs = log[log["metadata", "tensor_type"] == "Activation"]["scalar_stats", "mean"]
    assert (weights.tolist(), outputs.tolist()) == ([1.0, 0.75, 0.5], [2.0, 1.5, 1.0])


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_model_left_in_eval_mode(compiled):
    said, about = tracked(net().eval(), fine, compiled=compiled)
    assert said == [f"tandv: {EVAL}"]
    assert about["coverage"]["steps_with_outputs"] == 0


def test_outputs_of_every_mode_leave_nothing_to_say():
    said, _ = tracked(net().eval(), fine, only_stash_during_training=False)
    assert said == []


def test_a_model_that_only_answers_in_eval_mode():
    def answers(model, optimizer, tracker):
        model(ones)
        tracker.step()

    (said,), _ = tracked(net().eval(), answers)
    assert "no module outputs were recorded: the model was in eval mode" in said


def test_parameters_that_no_backward_pass_reaches_are_counted_and_named():
    model = net()
    model.unused = nn.Linear(1, 1)

    def loop(model, optimizer, tracker):
        optimizer.zero_grad()
        model[2](model[1](model[0](ones))).sum().backward()
        optimizer.step()
        tracker.step()

    (said,), about = tracked(model, loop)
    words = "gradients of 2 of 8 parameters were never seen: no backward pass reached them ('unused', 'unused.bias')"
    assert words in said
    assert about["coverage"]["gradients_never_seen"] == ["unused", "unused.bias"]


def test_frozen_parameters_are_not_missing():
    model = net()
    model[0].requires_grad_(False)
    said, about = tracked(model, fine)
    assert (said, about["coverage"]["parameters_that_train"]) == ([], 4)


def test_the_runs_information_has_every_parameter():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.frozen, self.used, self.unused = (
                nn.Linear(2, 3),
                nn.Linear(3, 1, bias=False),
                nn.Linear(4, 5, bias=False),
            )
            self.frozen.requires_grad_(False)

        def forward(self, x):
            return self.used(self.frozen(x))

    model = Net()
    optimizer = SGD([model.used.weight], lr=0.1)
    with track(model, optimizer=optimizer, offload_inc=1, async_offload=False) as tracker:
        for _ in range(2):
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            tracker.step()
            meanwhile = json.loads((tracker.path / "run.json").read_text())["parameters"]
    found = json.loads((tracker.path / "run.json").read_text())["parameters"]
    assert (
        found
        == meanwhile
        == {
            "frozen": {"shape": [3, 2], "requires_grad": False, "in_optimizer": False, "had_gradient": False},
            "frozen.bias": {"shape": [3], "requires_grad": False, "in_optimizer": False, "had_gradient": False},
            "used": {"shape": [1, 3], "requires_grad": True, "in_optimizer": True, "had_gradient": True},
            "unused": {"shape": [5, 4], "requires_grad": True, "in_optimizer": False, "had_gradient": False},
        }
    )


def test_without_an_optimiser_nothing_is_said_of_it():
    model = nn.Linear(2, 1, bias=False)
    with track(model) as tracker:
        model(torch.ones(1, 2)).sum().backward()
        tracker.step()
    found = json.loads((tracker.path / "run.json").read_text())["parameters"]
    assert [one["in_optimizer"] for one in found.values()] == [None]


def test_what_became_of_the_model_is_kept_in_the_runs_information(capsys):
    model = net()

    def loop(model, optimizer, tracker):
        if tracker.steps == 2:
            model[2] = nn.Linear(2, 3)
        fine(model, optimizer, tracker)
        if tracker.steps == 4:
            model.append(nn.ReLU())  # after the step has been counted: in the next one

    _, about = tracked(model, loop, steps=6, every=2)
    assert about["events"] == [
        {"step": 2, "event": "module '2' was replaced"},
        {"step": 4, "event": "module '3' was added"},
    ]
    assert capsys.readouterr().err.count("tandv: step 2: module '2' was replaced") == 1


@pytest.mark.filterwarnings("ignore:tandv. tensors inside torch.func:UserWarning")
def test_modules_that_ran_inside_a_transform_alone_are_not_said_to_have_never_run(tmp_path):
    model = nn.Linear(2, 1)
    with (
        pytest.warns(UserWarning, match="its modules ran inside of torch.func or vmap alone"),
        track(model, path=tmp_path / "run") as tracker,
    ):
        torch.func.vmap(model)(torch.ones(3, 2))
        tracker.step()
