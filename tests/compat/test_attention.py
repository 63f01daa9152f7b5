"""The collector of attention patterns over training."""

import weakref

import numpy as np
import pytest
import torch
from pandas.testing import assert_frame_equal
from torch import nn

from tandv.analysis.attention import attention_curves
from tandv.probes import AttentionEvolutionPlotter, attention_patterns


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, input_ids):
        mask = nn.Transformer.generate_square_subsequent_mask(input_ids.shape[1])
        x = self.embed(input_ids)
        return self.attention(x, x, x, attn_mask=mask)[0]


TOKENS = torch.randint(9, (10, 6), generator=torch.Generator().manual_seed(0))
LOADERS = {
    "tensors": [TOKENS[:4], TOKENS[4:8], TOKENS[8:]],
    "with targets": [(TOKENS[:4], torch.zeros(4)), (TOKENS[4:], torch.zeros(6))],
    "dicts": [{"input_ids": TOKENS[:7], "labels": torch.zeros(7)}, {"input_ids": TOKENS[7:], "labels": torch.zeros(3)}],
    "DataLoader": torch.utils.data.DataLoader(torch.utils.data.TensorDataset(TOKENS), batch_size=3),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_patterns_of_the_first_samples_are_collected(kind):
    torch.manual_seed(0)
    model = Words()
    plotter = AttentionEvolutionPlotter(model=model)
    data = plotter.extract_attention_patterns(dataloader=LOADERS[kind], num_samples=7)
    each = {"attention": attention_patterns(model, TOKENS)["attention"][:7]}
    np.testing.assert_allclose(data["attention"], each["attention"].mean(0), atol=1e-6)
    plotter.add_epoch_data(3, data)
    assert_frame_equal(plotter.curves, attention_curves({3: each}, TOKENS[:7].numpy()), rtol=1e-5)
    assert (plotter.tokens == TOKENS[:7].numpy()).all()


def test_epochs_become_curves_and_a_picture():
    plotter, whole = AttentionEvolutionPlotter(model=Words()), {}
    for epoch in (5, 0):
        plotter.add_epoch_data(epoch, plotter.extract_attention_patterns(LOADERS["tensors"], num_samples=100))
        whole[epoch] = attention_patterns(plotter.model, TOKENS)
        nn.init.normal_(plotter.model.attention.in_proj_weight)
    expected = attention_curves(whole, TOKENS.numpy())
    assert plotter.history[0]["attention"].shape == (2, 6, 6)  # means, not the examples
    np.testing.assert_allclose(plotter.history[0]["attention"], whole[0]["attention"].mean(0), atol=1e-6)
    assert_frame_equal(plotter.curves, expected, rtol=1e-5)
    assert plotter.curves.index.tolist() == [0, 5]
    figure = plotter.create_attention_evolution_plot(theme="dark")
    panels = figure.subfigs[0].axes  # a row for each head, a column for each step
    assert [ax.get_title("left") for ax in panels] == ["step 0", "step 5", "", ""]
    assert [ax.get_ylabel() for ax in panels] == ["attention head 0", "", "attention head 1", ""]
    assert "induction" in [ax.get_title("left") for ax in figure.subfigs[1].axes]


def test_inputs_that_are_no_tokens_have_no_scores_of_tokens():
    plotter = AttentionEvolutionPlotter(nn.TransformerEncoderLayer(8, 2, batch_first=True))  # looks ahead
    plotter.add_epoch_data(0, plotter.extract_attention_patterns([torch.randn(3, 5, 8)], 2))
    assert plotter.tokens is None
    assert [name.rpartition("/")[2] for name in plotter.curves] == ["entropy", "entropy", "specialization_index"]
    titles = [ax.get_title("left") for ax in plotter.create_attention_evolution_plot().subfigs[1].axes]
    assert titles == ["entropy", "specialisation"]


def test_what_is_missing_is_said():
    plotter = AttentionEvolutionPlotter(Words())
    with pytest.raises(ValueError, match="the dataloader gave no batch"):
        plotter.extract_attention_patterns([])
    with pytest.raises(ValueError, match="num_samples=0 are no samples"):
        plotter.extract_attention_patterns([TOKENS], num_samples=0)
    with pytest.raises(ValueError, match=r"epoch=0.5 is no whole number; count steps"):
        plotter.add_epoch_data(0.5, plotter.extract_attention_patterns([TOKENS]))
    with pytest.raises(ValueError, match=r"shapes \[\(2, 4, 4\), \(2, 6, 6\)\]; pad all sequences to one length"):
        plotter.extract_attention_patterns([TOKENS[:2], TOKENS[2:, :4]])


def test_a_layer_that_looks_ahead_once_has_no_scores():
    plotter = AttentionEvolutionPlotter(Words())
    plotter.add_epoch_data(0, {"a.b": np.eye(4)[None, None], "c": np.eye(4)[None, None]})
    plotter.add_epoch_data(1, {"a.b": np.full((1, 1, 4, 4), 0.25), "c": np.eye(4)[None, None]})
    whole = {
        0: {"a.b": np.eye(4)[None], "c": np.eye(4)[None]},
        1: {"a.b": np.full((1, 4, 4), 0.25), "c": np.eye(4)[None]},
    }
    assert plotter.curves.equals(attention_curves(whole))


def test_no_more_than_a_batch_of_patterns_is_held_and_no_more_batches_are_read_than_wanted(monkeypatch):
    made, held = [], []

    def patterns_of_a_batch(*arguments, **options):
        patterns = attention_patterns(*arguments, **options)
        made.extend(weakref.ref(array) for array in patterns.values())
        return patterns

    def batches():
        for _ in range(30):
            held.append(sum(array() is not None for array in made))
            yield torch.zeros(2, 3, 4)
        raise AssertionError("one batch more than wanted was read")

    monkeypatch.setattr("tandv.compat.attention.attention_patterns", patterns_of_a_batch)
    plotter = AttentionEvolutionPlotter(nn.TransformerEncoderLayer(4, 1, 4, batch_first=True))
    data = plotter.extract_attention_patterns(batches(), num_samples=60)
    assert data["self_attn"].shape == (1, 3, 3)
    assert len(made) == 30
    assert max(held) <= 1  # that of the batch before


def test_a_loader_that_shuffles_leaves_the_random_numbers_of_the_run():
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(TOKENS), batch_size=3, shuffle=True)
    plotter = AttentionEvolutionPlotter(Words())
    before = torch.get_rng_state()
    plotter.extract_attention_patterns(loader, num_samples=5)
    assert torch.equal(torch.get_rng_state(), before)
