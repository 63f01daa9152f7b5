"""Findings while a model of PyTorch trains: warn, save, stop, call a function; with no change to training."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

import tandv
from tandv.log.files import read_pickle
from tandv.track import FindingStop, SaveRule
from tandv.track.torch import track

BAD = 25  # the step whose batch has a NaN


def train(on_finding, bad=BAD, steps=30, **arguments):
    """Train a small model; return its tracker, the losses and the weights after the last step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    arguments = {"async_offload": False, "on_finding": on_finding} | arguments
    with track(model, optimizer=optimizer, **arguments) as tracker:
        for step in range(steps):
            x = torch.randn(16, 4)
            x[0, 0] = float("nan") if step == bad else x[0, 0]
            loss = (model(x) - x[:, :1]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            tracker.step(loss=loss)
    return tracker, losses, [p.detach().clone() for p in model.parameters()]


def about(path):
    return json.loads((Path(path) / "run.json").read_text())


def test_a_warning_says_what_where_since_when_and_what_to_do():
    with pytest.warns(UserWarning) as seen:
        tracker, losses, _ = train("warn")
    (message,) = [str(one.message) for one in seen]
    assert message.startswith("tandv: error, not_finite at step 25, Activation of '0': The output of '0' (Linear,")
    assert "Its largest magnitude was" in message
    assert "To do: Check what goes into '0'" in message
    assert len(losses) == 30
    (kept,) = about(tracker.path)["findings_while_training"]
    assert (kept["kind"], kept["layer"], kept["step"], kept["told_at"]) == ("not_finite", "0", BAD, BAD)


@pytest.mark.parametrize("asynchronous", [False, True, None])
def test_warnings_that_are_errors_never_reach_training(asynchronous, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, losses, _ = train("warn", async_offload=asynchronous)
    assert len(losses) == 30
    assert "tandv: error, not_finite at step 25" in capsys.readouterr().err


def test_stop_raises_at_the_next_step_with_the_log_written():
    torch.manual_seed(0)
    with pytest.raises(FindingStop, match=r"error, not_finite at step 25, Activation of '0'") as caught:
        train("stop", path="stopped")
    assert caught.value.finding.layer == "0"
    said = about("stopped")
    assert (said["status"], said["log"]) == ("ended by FindingStop", "log.pkl")
    log = read_pickle("stopped/log.pkl")
    assert log["metadata", "step"].max() == BAD
    assert [(one.kind, one.step) for one in tandv.findings("stopped")] == [("not_finite", BAD)]


@pytest.mark.parametrize("asynchronous", [True, None])
def test_a_thread_that_writes_stops_a_run_too(asynchronous):
    with pytest.raises(FindingStop, match="step 25"):
        train("stop", steps=5000, async_offload=asynchronous, path="stopped")
    steps = read_pickle("stopped/log.pkl")["metadata", "step"]
    assert set(steps) == set(range(steps.max() + 1))


def test_stop_without_a_block_closes_the_tracker():
    model = nn.Linear(2, 1)
    tracker = track(model, on_finding="stop", async_offload=False, path="stopped").start()
    with pytest.raises(FindingStop):
        for step in range(3):
            model(torch.full((1, 2), float("nan") if step else 1.0)).sum().backward()
            tracker.step()
    assert not tracker.is_on
    assert about("stopped")["log"] == "log.pkl"
    tracker.close()


def test_what_only_warns_does_not_stop():
    found = []
    _, losses, _ = train(["stop", found.append], bad=None)
    assert (found, len(losses)) == ([], 30)


def test_a_function_gets_each_finding_once():
    found = []
    _, losses, _ = train(found.append)
    assert [(one.kind, one.layer, one.step) for one in found] == [("not_finite", "0", BAD)]
    assert len(losses) == 30


def test_a_function_that_raises_is_reported_once_and_training_goes_on():
    def broken(found):
        raise LookupError("no network")

    with pytest.warns(
        UserWarning, match=r"on_finding: broken raised LookupError: no network; training goes on"
    ) as seen:
        _, losses, _ = train([broken, broken])
    assert (len(seen), len(losses)) == (1, 30)


@dataclass
class Broken:
    """A function without a hash, as those of data classes are."""

    calls: int = 0

    def __call__(self, found):
        self.calls += 1
        raise LookupError("no network")


def test_a_function_without_a_hash_that_raises_does_not_end_the_log():
    broken = Broken()
    with pytest.warns(UserWarning, match="on_finding: Broken raised LookupError: no network; training goes on") as seen:
        tracker, losses, _ = train([broken, broken])
    assert (len(seen), broken.calls, len(losses)) == (1, 2, 30)
    assert read_pickle(tracker.out_path)["metadata", "step"].max() == 29


def train_with(function, **arguments):
    """Train with a function of the tracker and the finding; return the tracker and how many steps the loop had."""
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    tracker = track(
        model, on_finding=lambda found: function(tracker, found), async_offload=False, path="by_function", **arguments
    )
    steps = 0
    with tracker:
        for step in range(8):
            model(torch.full((2, 4), float("nan") if step == 3 else 1.0)).sum().backward()
            tracker.step(loss=1.0)
            steps += 1
    return tracker, steps


def test_a_function_that_ends_the_step_is_refused_and_the_log_is_whole():
    said = r"a function called tracker.step\(\) at step 3, which is ending already; what it passed is not kept"
    with pytest.warns(UserWarning, match=said) as seen:
        tracker, steps = train_with(lambda tracker, found: (tracker.step(loss=2.0), tracker.step()))
    assert (len(seen), steps, tracker.steps) == (1, 8, 8)
    log = read_pickle(tracker.out_path)
    assert sorted(set(log["metadata", "step"])) == list(range(8))
    assert not log["metadata"].duplicated(["step", "tensor_type", "name"]).any()
    assert about(tracker.path)["status"] == "finished"


@pytest.mark.parametrize("arguments", [{}, {"save": SaveRule(every=2)}, {"every": 3}])
def test_a_function_may_close_the_tracker_and_training_goes_on(arguments):
    said = r"a function called tracker.close\(\) at step 3: what was recorded is written; training goes on"
    with pytest.warns(UserWarning, match=said) as seen:
        tracker, steps = train_with(lambda tracker, found: tracker.close(), **arguments)
    assert (len(seen), steps, tracker.is_on) == (1, 8, False)
    assert read_pickle(tracker.out_path)["metadata", "step"].max() == 3
    tracker.close()


def test_outside_of_a_function_a_closed_tracker_takes_no_steps():
    tracker = track(nn.Linear(1, 1), on_finding="warn", path="closed").start()
    tracker.close()
    with pytest.raises(RuntimeError, match="outside its block"):
        tracker.step()


def test_save_keeps_the_weights_from_before():
    with pytest.warns(UserWarning, match=r"\(Being saved: the weights of step 0, 20, from before it"):
        tracker, *_ = train("save")
    saved = about(tracker.path)["checkpoints"]
    assert saved == [{"step": step, "why": "not_finite at step 25"} for step in (0, 20)]
    weights = load_file(Path(tracker.path) / "checkpoints" / "step_000020.safetensors")
    assert all(np.isfinite(array).all() for array in weights.values())


def test_save_by_a_rule_of_the_user_and_stop():
    with pytest.raises(FindingStop), pytest.warns(UserWarning, match="the weights of step 24, 25"):
        train(["save", "stop"], save=SaveRule(before=2), path="stopped")
    assert [one["step"] for one in about("stopped")["checkpoints"]] == [24, 25]


def test_what_could_not_be_saved_is_never_said_to_be(monkeypatch):
    def refuse(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", refuse)
    with pytest.warns(UserWarning) as seen:
        tracker, *_ = train("save")
    messages = [str(one.message) for one in seen]
    assert not any("Saved" in one for one in messages)
    assert any("could not save the weights of step 0 to" in one for one in messages)
    assert "tandv: the weights of these steps could not be saved: 0, 20" in messages
    assert about(tracker.path)["checkpoints"] == []


def test_what_is_found_too_late_to_stop_is_told_once():
    with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning) as seen:
        interrupted(["save", "stop"])
    (message,) = [str(one.message) for one in seen]
    assert "from before it.) (Found where the run ended, too late to stop it.)" in message


def test_what_only_stops_is_told_where_it_is_too_late_to():
    with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning, match="Found where the run ended") as seen:
        interrupted("stop")
    assert len(seen) == 1


def interrupted(on_finding):
    """Train; the user interrupts the step that has gone bad."""
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    with track(model, on_finding=on_finding, async_offload=False) as tracker:
        for step in range(4):
            model(torch.full((2, 4), float("nan") if step == 3 else 1.0)).sum().backward()
            if step == 3:
                raise KeyboardInterrupt
            tracker.step()


class Adapted(nn.Module):
    """A frozen linear layer, and beside it two small ones that train."""

    def __init__(self):
        super().__init__()
        self.base, self.down, self.up = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(2, 4)
        self.base.requires_grad_(False)

    def forward(self, x):
        return self.base(x) + self.up(self.down(x))


def frozen_first():
    backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
    return backbone.requires_grad_(False)


@pytest.mark.parametrize("steps", [6, 9, 40])
@pytest.mark.parametrize("beginning", [frozen_first, Adapted])
@pytest.mark.parametrize("arguments", [{"async_offload": True, "offload_inc": 1}, {"every": 2}])
def test_what_is_frozen_on_purpose_is_no_warning_while_it_trains(beginning, steps, arguments):
    torch.manual_seed(0)
    model = nn.Sequential(beginning(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    found = []
    by_severity = dict.fromkeys(["error", "warning", "note"], found.append)
    with track(model, optimizer=optimizer, on_finding=by_severity, **arguments) as tracker:
        for _ in range(steps):
            x = torch.randn(16, 4)
            loss = (model(x) - x[:, :1]).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            tracker.step(loss=loss)
    afterwards = [(one.severity, one.kind, one.layer) for one in tandv.findings(tracker.path)]
    assert [(one.severity, one.kind, one.layer) for one in found] == afterwards
    assert {(one.severity, one.kind) for one in found} <= {("note", "not_trained")}


def test_what_is_found_at_the_end_is_still_acted_on():
    found = []
    tracker, *_ = train(found.append, bad=29, async_offload=None)
    assert [one.step for one in found] == [29]
    assert about(tracker.path)["findings_while_training"][0]["step"] == 29


@pytest.mark.parametrize("on_finding", ["warn", "save", ["save", "stop"], print])
def test_training_is_bit_for_bit_the_same(on_finding):
    _, losses, weights = train(on_finding, bad=None, async_offload=None)
    _, bare_losses, bare = train(None, bad=None)
    assert losses == bare_losses
    assert all(torch.equal(one, other) for one, other in zip(weights, bare, strict=True))


def test_a_skipped_step_of_a_scaler_is_no_finding():
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)  # overflows until it is halved often enough
    found = []
    with track(model, optimizer=optimizer, on_finding=found.append, async_offload=False) as tracker:
        for _ in range(6):
            optimizer.zero_grad()
            scaler.scale(model(torch.ones(8, 4)).square().mean() * 16).backward()
            scaler.step(optimizer)
            scaler.update()
            tracker.step()
    log = read_pickle(tracker.out_path)
    assert log["scalar_stats", "skipped"].max() == 1
    assert found == []


def test_a_run_that_is_continued_is_watched_as_any_other():
    with pytest.raises(FindingStop, match="not_finite at step 125"):
        train("stop", init_step=100)


def test_what_is_wrong_is_said_at_the_door():
    with pytest.raises(ValueError, match="on_finding='halt' is not one of what it may be"):
        track(nn.Linear(1, 1), on_finding="halt")
    with pytest.raises(ValueError, match="save: it says neither"):
        track(nn.Linear(1, 1), on_finding="warn", save=SaveRule(before=2))
