"""What bad input gets: an error that says what is wrong, what is allowed and what to do."""

import importlib
import re

import pytest
import torch
from torch import nn

import tandv.track.torch
from tandv.track.common import read_pickle
from tandv.track.torch import track

model = nn.Sequential(nn.Linear(1, 2), nn.ReLU())


def test_what_is_not_a_module():
    with pytest.raises(TypeError, match=r"needs a torch.nn.Module, not dict .*; pass the model itself"):
        track({"a": 1})  # type: ignore[arg-type]


def test_every_wrong_argument_is_named_at_once():
    other = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    with pytest.raises(ValueError) as error:
        track(
            model,
            optimizer=[other, "adam"],  # type: ignore[list-item]
            include="encoder",
            exclude="(",
            every=0,
            offload_inc=0,
            offload_type=".h5",
            exponents=(3, 1),
            init_step=-1,
            stash_value=3,  # type: ignore[arg-type]
        )
    for words in (
        "the SGD given as optimizer has none of the model's parameters; pass the one made with this model's",
        "optimizer=str 'adam' must be a torch.optim.Optimizer",
        "include='encoder' matches no module or parameter; there are Sequential, 0, 1, 0.bias",
        "exclude='(' is not a regular expression",
        "every=0 must be a positive number of steps or a function",
        "offload_inc=0 must be a positive number",
        "offload_type='.h5' is not one of '.pkl', '.parquet'",
        "exponents=(3, 1) must be (lowest, highest)",
        "init_step=-1 must be a step number",
        "stash_value=3 must be a function",
    ):
        assert words in str(error.value)


@pytest.mark.parametrize("several", [False, True])
def test_optimisers_in_the_second_place_are_understood(run, row, several):
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with track(model, [optimizer] if several else optimizer) as tracker:  # type: ignore[arg-type]
        model(torch.ones(1, 1)).sum().backward()
        optimizer.step()
        tracker.step()
    log = read_pickle(tracker.out_path)
    assert (
        row(log, "Linear", "Weight_Gradient")["mean"] == row(log, "Linear", "Optimiser_State.momentum_buffer")["mean"]
    )


@pytest.mark.parametrize(
    "argument", ["track_gradients", "track_weights", "track_updates", "only_stash_during_training"]
)
@pytest.mark.parametrize("value", [1, "yes", None, [], model])
def test_what_is_neither_true_nor_false_is_refused(argument, value):
    with pytest.raises(ValueError, match=f"{argument}=.* must be True or False"):
        track(model, **{argument: value})


def test_patterns_that_leave_nothing():
    with pytest.raises(ValueError, match="together leave no module or parameter to track"):
        track(model, include="^0$", exclude="0")


def test_step_outside_the_block_and_a_second_block():
    tracker = track(model)
    with pytest.raises(RuntimeError, match=r"write `with track\(...\) as tracker:` around the loop"):
        tracker.step()
    with tracker:
        model(torch.ones(1, 1))
        tracker.step()
    with pytest.raises(RuntimeError, match="outside its block"):
        tracker.step()
    with pytest.raises(RuntimeError, match=r"has been used; call track\(...\) again"), tracker:
        pass


def test_parameters_without_a_shape():
    model = nn.Sequential(nn.LazyLinear(2), nn.LazyLinear(1))
    with pytest.raises(ValueError, match=r"'0' is a parameter of a lazy module .* run the model on a batch"):
        track(model, insight={"raster": True})


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OSError, match=r"cannot create the run's folder .*; give track\(path=...\)"),
        track(model, path=tmp_path / "file" / "run"),
    ):
        pass


def test_step_never_called_is_said_and_what_was_measured_is_kept():
    with pytest.warns(UserWarning, match=r"tracker.step\(\) was not called"), track(model) as tracker:
        model(torch.ones(1, 1))
    assert set(read_pickle(tracker.out_path)["metadata"]["step"]) == {0}


def test_an_interval_that_fails_in_training_stops_tracking_only():
    def every(step):
        return 1 / (2 - step)

    tracker = track(model, every=every)
    with pytest.warns(UserWarning, match="the start of a step: ZeroDivisionError"), tracker:
        for _ in range(4):
            model(torch.ones(1, 1))
            tracker.step()
    assert set(read_pickle(tracker.out_path)["metadata"]["step"]) == {0, 1}


def test_what_fails_at_the_first_step_stops_tracking_only():
    tracker = track(model, every=lambda step: 1 / step)
    with (
        pytest.warns(UserWarning, match="stopped at step 0, the first step: ZeroDivisionError.*Training goes"),
        tracker,
    ):
        for _ in range(2):
            model(torch.ones(1, 1))
            tracker.step()
    assert not tracker.is_on


@pytest.mark.parametrize("version", ["2.6.0+cu124", "1.13.1", "2.12.1"])
def test_a_torch_that_is_older_than_tested_is_named(version, monkeypatch):
    monkeypatch.setattr(torch, "__version__", version)
    told = f"tandv.track.torch needs torch 2.13 or newer, and {version} is installed: pip install -U torch"
    with pytest.raises(ImportError, match=re.escape(told)):
        importlib.reload(tandv.track.torch)


@pytest.mark.parametrize("version", ["2.13.0", "2.13.0a0+git1234", "2.20.1", "3.0.0"])
def test_a_torch_that_is_new_enough_is_taken(version, monkeypatch):
    monkeypatch.setattr(torch, "__version__", version)
    importlib.reload(tandv.track.torch)


def test_wrapped_optimisers_are_taken_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Wrapper:  # as of Lightning
        def __init__(self, optimizer):
            self.optimizer = optimizer

    class Container(torch.optim.SGD):  # as of torchtitan
        def __init__(self, model):
            self.optimizers = [torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)]
            super().__init__(model.parameters(), lr=0.1)

        def step(self, closure=None):
            for one in self.optimizers:
                one.step()

    for wrap in (lambda of: Wrapper(Container(of).optimizers[0]), Container):
        model = torch.nn.Linear(2, 1)
        optimizer = wrap(model)
        with track(model, optimizer=optimizer) as tracker:
            model(torch.ones(1, 2)).sum().backward()
            getattr(optimizer, "optimizer", optimizer).step()
            tracker.step()
        log = read_pickle(tracker.out_path)
        assert (log["metadata", "tensor_type"] == "Optimiser_State.momentum_buffer").sum() == 2
