"""Modules that were saved whole, and programs of TorchScript: their weights, by what they are, and no code."""

import numpy as np
import pytest
import torch
from torch import nn

from tandv.checkpoints import LeftOut, UnreadableCheckpoint, weights
from tandv.checkpoints.entries import Entry
from tandv.checkpoints.readers.modules import with_state_dicts
from tandv.checkpoints.readers.opaque import Opaque


class Net(nn.Module):
    """Has a parameter whose name is that of a buffer, and buffers with names of neither."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.pe = nn.Parameter(torch.ones(1, 5))
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("limits", torch.ones(7))
        self.register_buffer("passing", torch.ones(9), persistent=False)
        self.body = nn.ModuleList([nn.Linear(3, 2), nn.Linear(2, 2)])
        self.act = torch.relu
        self.settings = {"width": 3}

    def forward(self, x):
        return self.body[1](self.act(self.body[0](self.norm(x))))


NET = Net()
EXPECTED = {name.removesuffix(".weight"): one.detach() for name, one in NET.named_parameters()}


def assert_parameters(path, expected=EXPECTED, said="limits, passing, norm.running_mean and 1 more"):
    with pytest.warns(LeftOut) as warned:
        found = dict(weights(path))
    assert list(found) == list(expected)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert said in str(warned[0].message)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "around",
    [
        lambda net: net,
        nn.DataParallel,
        lambda net: {"model": net, "optimizer": torch.optim.SGD(net.parameters(), 0.1).state_dict(), "epoch": 1},
        lambda net: {"epoch": 3, "net": net},
    ],
)
def test_a_whole_module_gives_its_parameters_and_not_its_buffers(around, legacy, tmp_path):
    torch.save(around(NET), tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    assert_parameters(tmp_path / "a.pt")


def test_averages_beside_a_whole_module_are_left_out(tmp_path):
    torch.save({"model": NET, "ema": NET, "best_fitness": 0.5}, tmp_path / "a.pt")
    assert_parameters(tmp_path / "a.pt", said="averages or copies of the model: ema")


def test_whole_modules_in_a_list_are_several_models(tmp_path):
    torch.save([nn.Linear(2, 2), nn.Linear(3, 3)], tmp_path / "a.pt")
    with pytest.raises(UnreadableCheckpoint, match=r"several models: 0 \(2 tensors\), 1 \(2 tensors\)"):
        list(weights(tmp_path / "a.pt"))
    assert [array.shape for _, array in weights(tmp_path / "a.pt", key="1")] == [(3, 3), (3,)]


def test_a_program_of_torchscript_gives_what_is_trained_in_it(tmp_path):
    with pytest.warns(DeprecationWarning):
        torch.jit.script(NET).save(tmp_path / "a.pt")
    with pytest.warns(LeftOut):
        found = dict(weights(tmp_path / "a.pt"))
    assert [name for name in found if name not in ("limits", "passing")] == list(EXPECTED)
    assert all(np.array_equal(found[name], EXPECTED[name]) for name in EXPECTED)


def test_a_frozen_program_says_what_to_do(tmp_path):
    with pytest.warns(DeprecationWarning):
        torch.jit.freeze(torch.jit.script(nn.Linear(2, 2).eval())).save(tmp_path / "a.pt")
    with pytest.raises(UnreadableCheckpoint, match=r"without names; save it before torch.jit.freeze"):
        list(weights(tmp_path / "a.pt"))


def test_a_module_that_holds_itself_ends():
    weight = Entry("float32", (2,), lambda: np.ones(2))
    module = Opaque(_parameters={"w": weight}, _modules={})
    vars(module)["_modules"]["loop"] = module
    assert list(with_state_dicts(module)) == ["w"]
