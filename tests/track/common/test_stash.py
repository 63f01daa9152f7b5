import math

import numpy as np
import pytest
import torch
from torch import nn

from tandv.track.torch import stash_all_stats_and_hist, stash_full_tensor, stash_hist, stash_scalar_stats, track

model = nn.Linear(2, 2, bias=False)


def forward(_):
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -4.0]]))
    return model(torch.tensor([[1.0, 1.0]]))


def test_what_the_ready_made_functions_return():
    tensor = torch.tensor([1.0, 1.5, 0.0, math.inf])
    assert stash_hist(tensor) == {"exp_hist": {"hist": [1, 2, 1], "bins": [-math.inf, 0, math.inf]}}
    scalars = stash_scalar_stats(tensor)["scalar_stats"]
    assert (scalars["numel"], scalars["infs"], scalars["mean"]) == (4, 1, pytest.approx(2.5 / 3))
    assert stash_all_stats_and_hist(tensor) == stash_scalar_stats(tensor) | stash_hist(tensor)
    with pytest.raises(TypeError, match="torch.int64 cannot be measured"):
        stash_hist(torch.arange(3))


def test_the_default_and_its_function_give_the_same_log(run):
    logs = [run(model, forward, stash_value=f) for f in (None, stash_all_stats_and_hist)]
    assert logs[0].equals(logs[1])


def test_named_scalars_and_a_histogram_of_ones_own(run, row):
    def stash(tensor):
        return {
            "scalar_stats": {"largest": tensor.max(), "size": tensor.numel()},
            "exp_hist": {"hist": [tensor.numel(), 1], "bins": [-3, -math.inf]},
        }

    log = run(model, forward, stash_value=stash)
    assert row(log, "Linear", "Activation") == {"largest": 1.0, "size": 2.0, "calls": 1}
    activation = log[log["metadata"]["tensor_type"] == "Activation"]["exponent_counts"].iloc[0]
    assert activation.to_dict() == {-math.inf: 1, -3: 2, math.inf: 0}


def test_a_flat_dict_and_the_last_of_several_calls(run, row):
    def update(_):
        forward(_)
        model(torch.tensor([[3.0, 0.0]]))

    log = run(model, update, stash_value=lambda tensor: {"top": tensor.max()}, track_weights=False)
    assert row(log, "Linear", "Activation") == {"top": 3.0, "calls": 2}


def test_whole_tensors_are_kept_beside_the_log(tmp_path):
    with track(model, stash_value=stash_full_tensor, path=tmp_path / "run") as tracker:
        forward(None)
        tracker.step()
    with np.load(tracker.path / "tensors" / "00000000.npz") as tensors:
        assert tensors["Weight/Linear"].tolist() == [[1, 0], [0, -4]]
        assert tensors["Activation/Linear"].tolist() == [[1, -4]]
    assert stash_full_tensor(torch.ones(2, dtype=torch.bfloat16))["full_tensor"].dtype == np.float32


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (3.0, "returned float 3.0; it must return named scalars"),
        ({"a": [1, 2]}, "returned what is not a number for 'a': list"),
        ({"exp_hist": {"hist": [1], "bins": []}}, "returned 1 counts for 0 exponents"),
    ],
)
def test_answers_of_the_wrong_shape_stop_tracking_with_the_layers_name(answer, words):
    def mine(_):
        return answer

    with pytest.warns(UserWarning) as said, track(model, stash_value=mine) as tracker:
        forward(None)
        tracker.step()
    assert "in the forward pass of 'Linear'" in str(said[0].message) and f"mine {words}" in str(said[0].message)
