import warnings

import numpy as np
import pytest
import torch
from torch import nn

from tandv.analysis.representations import effective_dimension
from tandv.probes import correlations_of, dimensions_of, get_intermediate_outputs, probe

IDS = torch.randint(0, 50, (6, 10), generator=torch.Generator().manual_seed(0))


class Recurrent(nn.Module):
    def __init__(self, batch_first=True):
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.position = nn.Embedding(10, 16)
        self.rnn = nn.LSTM(16, 8, batch_first=batch_first)
        self.out = nn.Linear(8, 5)
        self.batch_first = batch_first

    def forward(self, ids):
        x = self.embed(ids) + self.position(torch.arange(ids.shape[1])[None])
        return self.out(self.rnn(x if self.batch_first else x.transpose(0, 1))[0])


@pytest.mark.parametrize("batch_first", [True, False], ids=["batch first", "sequence first"])
@pytest.mark.parametrize("positions", ["mean", "tokens", "last"])
def test_layers_of_the_batch_have_curves_and_the_others_are_said(batch_first, positions):
    model = Recurrent(batch_first)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = correlations_of(positions=positions)(model, IDS)
    assert any("not of the batch of 6: position (1, 10, 16)" in str(one.message) for one in caught)
    assert {"embed", "out"} <= set(table.index.get_level_values("layer"))
    assert not table.index.isin(["position"], level="layer").any()


def test_a_probe_of_dimensions_measures_what_can_be_measured():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        curves = probe(Recurrent(), IDS, measure="dimensions").curves
    assert any("position (1, 10, 16)" in str(one.message) for one in caught)
    assert "embed/participation_ratio" in curves.columns


def test_padding_changes_no_number():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 4))
    padded = torch.cat([IDS, torch.full((6, 7), 49)], 1)
    mask = torch.tensor([[True] * 10 + [False] * 7] * 6)
    for positions in ("mean", "tokens", "last"):
        short = dimensions_of(positions=positions)(model, IDS)
        long = dimensions_of(positions=positions, mask=mask)(model, padded)
        np.testing.assert_allclose(list(long["1"]), list(short["1"]), rtol=1e-4)


def test_a_network_of_images_is_measured_by_its_channels():
    model = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 16 * 16, 10))
    with pytest.warns(UserWarning, match=r"of more than 1,024 features so many were chosen.*: 2 \(16,384\)"):
        found = dimensions_of()(model, torch.randn(4, 3, 16, 16))
    assert set(found) == {"Sequential", "0", "1", "2", "3"}


def test_layers_are_chosen():
    table = correlations_of("1")(nn.Sequential(nn.Linear(4, 3), nn.Tanh()), torch.randn(8, 4))
    assert table.index.tolist() == [("1", "1")]


class Positions(nn.Module):
    """As many positions as samples: their embedding [8, 4] looks like the samples."""

    def __init__(self):
        super().__init__()
        self.token, self.position = nn.Embedding(50, 4), nn.Embedding(8, 4)
        self.rnn = nn.LSTM(4, 3)
        self.out = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 8))  # its weight is [8, 3]

    def forward(self, ids):
        x = self.token(ids) + self.position(torch.arange(ids.shape[1]))
        return self.out(self.rnn(x.transpose(0, 1))[0][-1])


def test_what_only_has_the_length_of_the_batch_is_not_taken_for_its_samples():
    torch.manual_seed(0)
    model, ids = Positions(), torch.randint(50, (8, 8))
    with pytest.warns(UserWarning) as caught:
        found = dimensions_of()(model, ids)
    said = " ".join(str(one.message) for one in caught)
    assert "position (8, 4)" in said and "out.parametrizations.weight (8, 3)" in said
    assert list(found) == ["Positions", "token", "rnn[0]", "rnn[1][0]", "rnn[1][1]", "out"]
    sequence_first = get_intermediate_outputs(model, ids, "rnn")["rnn[0]"]  # its second axis is the batch
    np.testing.assert_allclose(list(found["rnn[0]"]), list(effective_dimension(sequence_first.mean(0))), rtol=1e-5)


def test_a_mask_of_as_many_positions_as_samples_is_no_sample():
    class Masked(nn.Module):
        def forward(self, x, mask):
            return x.masked_fill(mask[None, :, :, None].any(2), 0)

    x, mask = torch.randn(4, 4, 3), torch.zeros(4, 4, dtype=torch.bool)
    assert list(dimensions_of()(Masked(), (x, mask))) == ["Masked"]


def test_a_model_of_one_size_of_batch_is_measured_and_that_said():
    model = nn.Sequential(nn.Unflatten(0, (2, 3)), nn.Flatten(0, 1), nn.Linear(4, 2))
    with pytest.warns(UserWarning, match="only their lengths tell which are of the batch, since the model does not"):
        assert list(dimensions_of("2")(model, torch.randn(6, 4))) == ["2"]


def test_a_probe_asks_which_axis_is_the_batch_only_once():
    sizes = []
    model = nn.Linear(4, 2)
    model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    watch = probe(model, torch.randn(6, 4), every=1, measure="dimensions")
    watch.step()
    assert sizes == [6, 7, 6]
