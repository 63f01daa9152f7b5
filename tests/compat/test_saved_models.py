"""Weights by step are run by the model that they are of, which stays as it is."""

import random

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from tandv.compat import PhaseTransitionAnalyzer
from tandv.compat.saved_models import by_step

X, LABELS = torch.eye(4), torch.tensor([0, 1, 2, 3])
DATA = {"train_data": (X[:2], LABELS[:2]), "test_data": (X[2:], LABELS[2:])}


class OfThisTest(nn.Module):
    """A layer between others that behave differently in training."""

    def __init__(self):
        super().__init__()
        self.in_this_test = nn.Linear(4, 4, bias=False)
        self.norm, self.drop = nn.BatchNorm1d(4, affine=False), nn.Dropout(0.9)

    def forward(self, x):
        return self.drop(self.norm(self.in_this_test(x)))


def knows(count: int) -> dict[str, torch.Tensor]:
    """Return the weights of a model that is right about the first `count` inputs."""
    weight = torch.zeros(4, 4)
    weight[torch.arange(count), torch.arange(count)] = 1.0
    weight[(torch.arange(count, 4) + 1) % 4, torch.arange(count, 4)] = 1.0
    state = OfThisTest().state_dict()
    return {name: value.clone() for name, value in state.items()} | {"in_this_test.weight": weight}


CURVES = {"train_acc": [0, 1, 1], "test_acc": [0, 0, 1]}


def test_the_published_quick_start_finds_the_model_of_its_state_dicts_in_memory():
    model = OfThisTest()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    checkpoints = {0: knows(0), 10: knows(2), 20: knows(4)}
    analyzer = PhaseTransitionAnalyzer(model_checkpoints=checkpoints, **DATA)
    assert (analyzer.curves.to_dict("list"), analyzer.curves.index.tolist()) == (CURVES, [0, 10, 20])
    assert analyzer.analyze_grokking(transition_threshold=0.95, window_size=100).generalisation.step == 20
    assert model.training and all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_model_can_be_given_and_weights_may_have_a_wrapper_s_prefix_or_lie_in_a_checkpoint_of_a_trainer():
    wrapped = {f"module.{name}": value for name, value in knows(4).items()}
    checkpoints = [knows(0), {"epoch": 10, "model_state_dict": knows(2)}, wrapped]
    found = PhaseTransitionAnalyzer(model_checkpoints=checkpoints, model=OfThisTest(), **DATA).curves
    assert (found.to_dict("list"), found.index.tolist()) == (CURVES, [0, 1, 2])


def test_a_folder_of_checkpoints_and_a_list_of_its_files(tmp_path):
    for step, count in ((0, 0), (10, 2), (20, 4)):
        save_file({name: value.numpy() for name, value in knows(count).items()}, tmp_path / f"step_{step}.safetensors")
    model = OfThisTest()
    for checkpoints in (tmp_path, sorted(tmp_path.iterdir()), {0: tmp_path / "step_0.safetensors"}):
        found = PhaseTransitionAnalyzer(model_checkpoints=checkpoints, model=model, **DATA).curves
        assert found["test_acc"].to_dict() == dict(zip((0, 10, 20)[: len(found)], (0, 0, 1), strict=False))


def test_a_function_of_weights_and_inputs_is_a_model():
    weights = {0: {"w": np.eye(4)[::-1]}, 5: {"w": np.eye(4)}}
    data = {name: (x.numpy(), labels.numpy()) for name, (x, labels) in DATA.items()}
    found = PhaseTransitionAnalyzer(model_checkpoints=weights, model=lambda one, x: x @ one["w"], **data)
    assert found.curves["train_acc"].to_dict() == {0: 0.0, 5: 1.0}


def test_weights_without_a_model_and_of_another_one_are_refused():
    alone = {0: {"weights of no model in memory": torch.zeros(3)}}
    with pytest.raises(ValueError, match=r"0 \(dict\).* or give model=.*\(none in memory has such weights\)"):
        PhaseTransitionAnalyzer(model_checkpoints=alone, **DATA)
    words = r"not of this OfThisTest: it lacks the model's in_this_test.weight; it has other, which the model lacks"
    with pytest.raises(ValueError, match=words):
        PhaseTransitionAnalyzer(model_checkpoints={0: {"other": torch.zeros(3)}}, model=OfThisTest(), **DATA)
    with pytest.raises(ValueError, match=r"in_this_test.weight is \(2, 4\) and in the model \(4, 4\)"):
        wrong = knows(0) | {"in_this_test.weight": torch.zeros(2, 4)}
        PhaseTransitionAnalyzer(model_checkpoints={0: wrong}, model=OfThisTest(), **DATA)


def test_steps_are_in_order_and_may_be_fractions_of_epochs():
    assert list(by_step({10: {}, 2: {}, 0.5: {}})) == [0.5, 2, 10]


@pytest.mark.parametrize("own", [None, 3])
def test_loaders_that_shuffle_are_read_once_and_leave_all_random_numbers_as_they_were(own):
    class Read(torch.utils.data.TensorDataset):
        count = 0

        def __getitem__(self, index):
            Read.count += 1
            random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002 as an augmentation does
            return super().__getitem__(index)

    generator = None if own is None else torch.Generator().manual_seed(own)
    loaders = [
        torch.utils.data.DataLoader(Read(X[part], LABELS[part]), batch_size=1, shuffle=True, generator=generator)
        for part in (slice(0, 2), slice(2, 4))
    ]
    checkpoints, model = {0: knows(0), 10: knows(2), 20: knows(4)}, OfThisTest()
    given = {"model_checkpoints": checkpoints, "train_data": loaders[0], "test_data": loaders[1]}
    before = states_of_generators(generator)
    assert PhaseTransitionAnalyzer(**given, model=model).curves.to_dict("list") == CURVES
    assert states_of_generators(generator) == before and Read.count == 4
    PhaseTransitionAnalyzer(**given, accuracy=lambda _, data: float(len(list(data)) == 2))
    assert states_of_generators(generator) == before


def states_of_generators(own: torch.Generator | None) -> list[str]:
    kept = [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]  # noqa: NPY002
    return [repr(one) for one in kept] + ([] if own is None else [repr(own.get_state().tolist())])
