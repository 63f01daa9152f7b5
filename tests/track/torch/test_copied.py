"""A tracker that is an attribute of its model does not hinder copies and files of the model, and stays out of them."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from tandv.track.common import read_pickle
from tandv.track.torch import track


class Net(nn.Module):
    """Keeps its tracker and calls it, as classes that train themselves do."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1, bias=False)
        nn.init.ones_(self.layer.weight)
        self.tracker = track(self)

    def train_once(self):
        loss = self.layer(torch.ones(1, 2)).sum()
        loss.backward()
        with self.tracker.phase("answer"):
            pass
        self.tracker.numbers(loss=loss)
        self.tracker.step(lr=0.1)


def saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "file": saved,
    "average": lambda model: AveragedModel(model).module,
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_trains_and_records_nothing(how):
    model = Net()
    with model.tracker as tracker:
        model.train_once()
        other = COPIES[how](model)
        with other.tracker.start() as its:
            other.train_once()
        its.close()
        model.train_once()
    assert (its.path, its.is_on, its.steps) == (tracker.path, False, 1)
    log = read_pickle(tracker.out_path)
    outputs = log[log["metadata", "tensor_type"] == "Activation"]["scalar_stats"]
    assert outputs["calls"].tolist() == [1, 1]
    assert outputs["mean"].tolist() == [2.0, 2.0]
