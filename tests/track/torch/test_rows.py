"""Which rows a step has, and what is in them, worked out by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tandv.track.common import read_parquet
from tandv.track.common.measurements import StepMeasurements
from tandv.track.torch import track


class Two(nn.Module):
    """y = relu(x·[[1], [-2]]) · 3 + 1, with a scale that belongs to no layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(1, 2, bias=False)
        self.second = nn.Linear(2, 1)
        self.scale = nn.Parameter(torch.tensor(2.0))
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([[1.0], [-2.0]]))
            self.second.weight.copy_(torch.tensor([[3.0, 3.0]]))
            self.second.bias.fill_(1.0)

    def forward(self, x):
        return self.scale * self.second(torch.relu(self.first(x)))


@pytest.fixture
def log(run):
    model = Two()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)

    def update(_):
        optimizer.zero_grad()
        model(torch.tensor([[1.0], [2.0]])).sum().backward()
        optimizer.step()

    return run(model, update, steps=2, optimizer=optimizer, track_updates=True)


def test_a_step_has_exactly_these_rows_in_model_order(log, quantities):
    parameters = ["scale", "first", "second", "second.bias"]
    assert quantities(log) == [
        *[("Activation", name) for name in ("Two", "first", "second")],
        *[("Gradient", name) for name in ("Two", "first", "second")],
        *[("Weight", name) for name in parameters],
        *[("Weight_Gradient", name) for name in parameters],
        *[("Weight_Update", name) for name in parameters],
        *[("Optimiser_State.momentum_buffer", name) for name in parameters],
    ]
    assert log["metadata"]["type"].astype(str)[:3].tolist() == ["Two", "Linear", "Linear"]
    assert set(log["metadata"]["dtype"]) == {"float32"} and set(log["metadata"]["step"]) == {0, 1}


def test_values_of_the_first_step(log, row):
    # x = [1, 2]; first = [[1, -2], [2, -4]]; second = [4, 7]; output = [8, 14]
    assert row(log, "first", "Activation") == {
        "mean": pytest.approx(-0.75),
        "std": pytest.approx(math.sqrt((1 + 4 + 4 + 16) / 4 - 0.75**2)),
        "mean_abs": 2.25,
        "max_abs": 4.0,
        "min_abs": 1.0,
        "rm2": 2.5,
        "rm4": pytest.approx(((1 + 16 + 16 + 256) / 4) ** 0.25),
        "rm8": pytest.approx(((1 + 256 + 256 + 4**8) / 4) ** 0.125),
        "numel": 4,
        "zeros": 0,
        "nans": 0,
        "infs": 0,
        "calls": 1,
        "mantissa_bits": 0,  # all are powers of two
    }
    assert row(log, "Two", "Activation")["mean"] == 11.0
    assert row(log, "second", "Activation")["mean"] == 5.5
    # Gradients: output 1; second scale = 2; first 2·3 where relu passes, else 0
    assert row(log, "Two", "Gradient")["mean"] == 1.0
    assert row(log, "second", "Gradient")["mean"] == 2.0
    assert (row(log, "first", "Gradient")["mean"], row(log, "first", "Gradient")["zeros"]) == (3.0, 2)
    # d/dscale = 4 + 7; d/dfirst = 6·(1 + 2), 0; d/dsecond = 2·(1 + 2), 0; d/dbias = 4
    grads = {name: row(log, name, "Weight_Gradient")["max_abs"] for name in ("scale", "first", "second")}
    assert grads == {"scale": 11.0, "first": 18.0, "second": 6.0}
    assert row(log, "second.bias", "Weight_Gradient")["mean"] == 4.0


def test_weights_are_of_the_forward_pass_and_states_and_updates_of_the_step(log, row):
    assert row(log, "scale", "Weight", 0)["mean"] == 2.0
    assert row(log, "scale", "Weight_Update", 0)["mean"] == -5.5
    assert row(log, "scale", "Optimiser_State.momentum_buffer", 0)["mean"] == 11.0
    assert row(log, "scale", "Weight", 1)["mean"] == -3.5
    # then first is [-8, -2], relu gives 0, second is its bias 1 - 2 = -1: d/dscale = -2, momentum 0.9·11 - 2
    assert row(log, "scale", "Weight_Gradient", 1)["mean"] == -2.0
    assert row(log, "scale", "Optimiser_State.momentum_buffer", 1)["mean"] == pytest.approx(7.9)
    assert row(log, "scale", "Weight_Update", 1)["mean"] == pytest.approx(-3.95)


def test_exponents_are_columns_and_counts_add_up(log):
    first = log[(log["metadata"]["name"] == "first") & (log["metadata"]["tensor_type"] == "Activation")]
    counts = first["exponent_counts"].iloc[0]
    assert counts[counts > 0].to_dict() == {0: 1, 1: 2, 2: 1}
    total = log["exponent_counts"].sum(axis=1) + log["scalar_stats"]["nans"]
    assert (total == log["scalar_stats"]["numel"]).all()


def test_a_narrow_range_of_exponents(run):
    model = nn.Linear(1, 1, bias=False)
    log = run(model, lambda _: model(torch.tensor([[2.0**-9]])), exponents=(-2, 2))
    assert set(log["exponent_counts"].columns) <= {-np.inf, -2, -1, 0, 1, 2, np.inf}
    activation = log[log["metadata"]["tensor_type"] == "Activation"]
    assert activation[("exponent_counts", -np.inf)].tolist() == [1]


def test_micro_batches_merge_into_one_row_of_the_whole(run, row):
    x = torch.randn(8, 3)
    model = nn.Sequential(nn.Linear(3, 4), nn.GELU())

    def in_parts(_):
        for part in x.split(2):
            (model(part).square().sum() / 8).backward()

    def at_once(_):
        (model(x).square().sum() / 8).backward()

    parts, whole = run(model, in_parts, name="parts"), (model.zero_grad(), run(model, at_once, name="whole"))[1]
    for name, kind in (("0", "Activation"), ("1", "Gradient"), ("Sequential", "Activation"), ("0", "Weight_Gradient")):
        one, other = row(parts, name, kind), row(whole, name, kind)
        assert one.pop("calls") == (1 if kind == "Weight_Gradient" else 4) and other.pop("calls") == 1
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)  # of products of other sizes
    same = parts["metadata"]["tensor_type"] == "Activation"
    assert parts[same]["exponent_counts"].to_numpy().sum() == 3 * 8 * 4
    assert (parts[same]["exponent_counts"].max() == whole[same]["exponent_counts"].max()).all()


def test_a_module_called_several_times_is_one_row(run, row):
    class Thrice(nn.Module):
        def __init__(self):
            super().__init__()
            self.halve = nn.Linear(1, 1, bias=False)
            nn.init.constant_(self.halve.weight, 0.5)

        def forward(self, x):
            return self.halve(self.halve(self.halve(x)))

    model = Thrice()
    log = run(model, lambda _: model(torch.tensor([[8.0]])).backward())
    halve = row(log, "halve", "Activation")
    assert (halve["calls"], halve["numel"], halve["max_abs"], halve["min_abs"]) == (3, 3, 4.0, 1.0)
    # The root returns the third output, not all three.
    assert (row(log, "Thrice", "Activation")["mean"], row(log, "Thrice", "Activation")["calls"]) == (1.0, 1)
    assert row(log, "halve", "Gradient")["mean"] == pytest.approx((1 + 0.5 + 0.25) / 3)
    assert row(log, "Thrice", "Gradient")["mean"] == 1.0


def test_thousands_of_calls_merge_within_the_buffer(run, row, monkeypatch):
    monkeypatch.setattr(StepMeasurements, "at_most", 10)
    model = nn.Sequential(nn.Identity())

    def update(_):
        for value in range(101):
            model(torch.tensor([float(value)]))

    log = run(model, update)
    for name in ("0", "Sequential"):
        assert (row(log, name, "Activation")["calls"], row(log, name, "Activation")["mean"]) == (101, 50.0)


def test_every_nth_step_is_numbered_as_training_is(run):
    model = nn.Linear(1, 1)
    log = run(model, lambda _: model(torch.ones(1, 1)), steps=7, every=3, init_step=100)
    assert sorted(set(log["metadata"]["step"])) == [102, 105]
    chosen = run(model, lambda _: model(torch.ones(1, 1)), steps=7, every=lambda step: step in (0, 5))
    assert sorted(set(chosen["metadata"]["step"])) == [0, 5]


def test_include_and_exclude_search_the_names(run, quantities):
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    log = run(model, lambda _: model(torch.ones(1, 1)), include="^[02]", exclude=r"bias")
    assert quantities(log) == [("Activation", "0"), ("Activation", "2"), ("Weight", "0"), ("Weight", "2")]


def test_tensor_types_can_be_left_out(run):
    model = nn.Linear(1, 1)
    log = run(model, lambda _: model(torch.ones(1, 1)).backward(), track_weights=False, track_gradients=False)
    assert set(log["metadata"]["tensor_type"]) == {"Activation"}


def test_outputs_of_any_shape_are_named(run, quantities):
    class Odd(nn.Module):
        def forward(self, x):
            return {"h": x + 1, "rest": (x, None, 3, [x * 2]), "ids": torch.ones(2, dtype=torch.int64)}

    model = nn.Sequential(Odd())
    with pytest.warns(UserWarning, match=r"tensors of int64 are not measured \(first met at '0\[ids\]'\)"):
        log = run(model, lambda _: model(torch.ones(2)), include="^0", track_gradients=False)
    assert quantities(log) == [("Activation", "0[h]"), ("Activation", "0[rest][0]"), ("Activation", "0[rest][3][0]")]


def test_an_output_that_holds_itself_is_looked_into_once(run, quantities):
    class Node(nn.Module):
        def forward(self, x):
            parent = {"x": x + 1, "children": []}
            parent["children"] += [{"x": x * 2, "parent": parent}, parent["children"]]
            return parent

    model = nn.Sequential(Node())
    log = run(model, lambda _: model(torch.ones(2)), include="^0", track_gradients=False)
    assert quantities(log) == [("Activation", "0[x]"), ("Activation", "0[children][0][x]")]


def test_float64_and_bfloat16_rows_stand_side_by_side(run, row):
    model = nn.ModuleList([nn.Linear(1, 1, bias=False, dtype=d) for d in (torch.float64, torch.bfloat16)])

    def update(_):
        for layer in model:
            nn.init.constant_(layer.weight, 1.5)
            layer(torch.full((1, 1), 1e-3, dtype=layer.weight.dtype))
        nn.init.constant_(model[0].weight, 1e-200)

    log = run(model, update, include="^[01]$")
    assert row(log, "0", "Weight")["mean"] == 1.5  # read when the first layer had run
    assert row(log, "0", "Activation")["mean"] == 1.5e-3
    assert log["metadata"].set_index("name")["dtype"].to_dict() == {"0": "float64", "1": "bfloat16"}


def test_parquet_holds_the_same_log(run):
    model = nn.Linear(2, 2)
    with track(model, offload_type=".parquet", name="as parquet") as tracker:
        model(torch.ones(1, 2))
        tracker.step()
    assert (tracker.path.name, tracker.out_path.name) == ("as_parquet", "log.parquet")
    parquet = read_parquet(tracker.out_path)
    pickle = run(model, lambda _: model(torch.ones(1, 2)))
    assert parquet.to_numpy().tolist() == pickle.to_numpy().tolist()
    assert list(parquet.columns) == list(pickle.columns)
