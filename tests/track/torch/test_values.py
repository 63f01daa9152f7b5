"""Values are read in memory only where there is memory; a reading elsewhere would end the process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tandv.track.common import read_pickle
from tandv.track.torch import track, values

LEFT_OUT = {
    "opaque": "tensors of class Opaque, whose values cannot be read in memory,",
    "breaks": "tensors of class Breaks, whose values cannot be read in memory,",
    "fake": "tensors of class FakeTensor, whose values cannot be read in memory,",
    "functorch": "tensors inside torch.func or vmap",
    "meta": "tensors without memory (meta)",
    "zero tensor": "tensors whose memory is not there (freed, or never allocated)",
    "mkldnn": "tensors of layout mkldnn",
    "functional": "tensors whose memory is not there (freed, or never allocated)",
    "freed": "tensors whose memory is not there (freed, or never allocated)",
    "shortened": "tensors whose memory is not there (freed, or never allocated)",
    "int8": "tensors of int8",
}
READ = ("plain", "expanded", "codes", "wrapper", "wrapper of a wrapper", "marked", "masked")
PLACES = ("parameter", "output", "gradient", "state")


@pytest.fixture(scope="module")
def kinds():
    """Track every kind in every place, each in a process that may die."""
    program = Path(__file__).with_name("kinds.py")
    done = subprocess.run([sys.executable, "-W", "ignore", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", READ)
def test_a_kind_whose_values_can_be_read(kinds, kind, place):
    count = 6.0 if kind == "masked" else 12.0
    assert kinds[f"{kind}, {place}"] == {"mean": [2.0, 2.0], "numel": [count] * 2, "steps": [0, 1], "said": []}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", LEFT_OUT)
def test_a_kind_without_values_is_left_out_and_said_once(kinds, kind, place):
    found = kinds[f"{kind}, {place}"]
    if (kind, place) == ("functorch", "parameter"):  # nn.Parameter takes the values out of it
        assert (found["mean"], found["said"]) == ([2.0, 2.0], [])
        return
    assert (found.get("mean"), found["steps"]) == ([], [0, 1]), found
    (said,) = found["said"]
    assert f"tandv: {LEFT_OUT[kind]} are not measured (first met at " in said


def test_views_are_of_memory_as_far_as_they_reach():
    whole = torch.arange(10.0)
    tail, apart = whole[6:], torch.as_strided(whole, (2, 3), (6, 1))
    assert values.measurable(tail) is not None
    whole.untyped_storage().resize_(4 * 8)  # of its ten elements the first eight
    assert values.measurable(whole) is None
    assert values.measurable(tail) is None
    assert values.measurable(torch.as_strided(whole, (2, 3), (4, 1))) is not None  # reaches the seventh
    assert values.measurable(apart) is None  # reaches the ninth
    assert values.measurable(whole[:0]) is not None


def test_values_keep_nothing_of_autograd_and_are_no_copy():
    weight = nn.Parameter(torch.ones(3))
    found = values.measurable(weight)
    assert found is not None and not found.requires_grad and found.data_ptr() == weight.data_ptr()


def test_an_expanded_negative_view_is_not_copied_whole():
    many = torch.tensor([2j]).conj().imag.expand(10**11)  # of which no machine has a copy
    found = values.measurable(many)
    assert found is not None and found.shape == many.shape and float(found[0]) == -2.0


def test_two_numbers_of_four_bits_in_a_byte_are_left_out_and_the_rest_goes_on(tmp_path):
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.codes = nn.Parameter(torch.zeros(3, dtype=torch.uint8).view(torch.float4_e2m1fn_x2), False)
            self.inner = nn.Linear(2, 1)

        def forward(self, x):
            return self.inner(x), self.codes

    model = Packed()
    with (
        pytest.warns(UserWarning, match="tensors of float4_e2m1fn_x2 are not measured") as said,
        track(model, every=lambda step: step != 1, path=tmp_path / "run") as tracker,
    ):
        for _ in range(3):
            model(torch.ones(4, 2))[0].sum().backward()
            tracker.step()
    assert len(said) == 1
    assert set(read_pickle(tracker.out_path)["metadata"]["name"]) == {"Packed[0]", "inner", "inner.bias"}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("layout", [torch.strided, pytest.param(torch.jagged, marks=pytest.mark.slow)])
def test_nested_parameters_are_measured_and_kept_in_what_run_json_tells(tmp_path, layout):
    model = nn.Linear(2, 1)
    nested = torch.nested.nested_tensor([torch.ones(2, 2), torch.ones(1, 2)], layout=layout)
    model.several = nn.Parameter(nested, requires_grad=False)
    with track(model, path=tmp_path / "run") as tracker:
        model(torch.ones(4, 2)).sum().backward()
        tracker.step()
    log = read_pickle(tracker.out_path)
    assert log[log["metadata", "name"] == "several"]["scalar_stats"]["numel"].tolist() == [6]
    assert json.loads((tracker.path / "run.json").read_text())["parameters"]["several"]["requires_grad"] is False
