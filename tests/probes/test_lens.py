"""The logit lens: the last layer says what the model says, earlier ones what is set by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from tandv.probes import lens_of, logit_lens, probe


class Block(nn.Module):
    def __init__(self, to):
        super().__init__()
        self.add = nn.Linear(4, 4, bias=False)
        nn.init.zeros_(self.add.weight)
        with torch.no_grad():
            self.add.weight[to] = 3.0

    def forward(self, x):
        return x + self.add(x)


class Words(nn.Module):
    """Of 4 tokens, each is a direction; the blocks add to the directions 1 and 2."""

    def __init__(self, norm=True):
        super().__init__()
        self.embed = nn.Embedding.from_pretrained(torch.eye(4))
        self.layers = nn.ModuleList([Block(1), Block(2)])
        self.norm = nn.LayerNorm(4) if norm else nn.Identity()
        self.head = nn.Linear(4, 4, bias=False)
        nn.init.eye_(self.head.weight)

    def forward(self, input_ids, attention_mask=None):
        x = self.embed(input_ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


IDS = torch.tensor([[0, 1, 2, 0]])


def test_each_layer_is_read_through_the_last_norm_and_the_unembedding():
    model = Words().train()
    lens = logit_lens(model, IDS)
    assert lens.layers == ["layers.0", "layers.1"] and model.training
    with torch.no_grad():
        hidden = model.layers[0](model.embed(IDS))
        expected = torch.softmax(model.head(model.norm(hidden)), -1)[0, range(3), IDS[0, 1:]]
        said = torch.softmax(model(IDS), -1)[0, range(3), IDS[0, 1:]]
    np.testing.assert_allclose(lens.probability[0, 0, :3], expected, rtol=1e-5)
    np.testing.assert_allclose(lens.probability[1, 0, :3], said, rtol=1e-5)
    assert lens.rank[0, 0, 0] == 1 and lens.rank[1, 0, 1] == 1  # token 1 after the first block, 2 after the second
    np.testing.assert_array_equal(logit_lens(model, IDS, "layers.0").rank[0], lens.rank[0])
    assert np.isnan(lens.rank[:, 0, 3]).all()  # no token follows the last
    assert lens.table["first"].tolist() == pytest.approx([1 / 3, 1 / 3])


def test_equal_logits_share_their_rank_and_padding_has_none():
    model = Words(norm=False)
    nn.init.zeros_(model.head.weight)
    found = logit_lens(model, {"input_ids": IDS, "attention_mask": torch.tensor([[1, 1, 0, 0]])}, norm="")
    np.testing.assert_array_equal(found.rank[0], [[2.5, np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(found.probability[0], [[0.25, np.nan, np.nan, np.nan]])


def test_parts_that_do_not_make_the_models_logits_are_refused():
    with pytest.raises(ValueError, match="'layers.1' read through '' and 'head' is not what the model says"):
        logit_lens(Words(), IDS, norm="")
    with pytest.raises(ValueError, match="the batch holds no tokens; give targets="):
        logit_lens(Words(), IDS.float())


def test_a_probe_makes_curves_of_it():
    curves = probe(Words(), IDS, measure=lens_of()).curves
    assert "median_rank/layers.1" in curves and "probability/layers.0" in curves


class Tied(Words):
    """The embedding makes the logits; the head is not called."""

    def forward(self, input_ids):
        x = self.embed(input_ids)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x) @ self.embed.weight.T


def test_an_embedding_that_makes_the_logits_too_is_the_unembedding():
    model = Tied()
    nn.init.zeros_(model.head.weight)
    np.testing.assert_array_equal(logit_lens(model, IDS).rank, logit_lens(Words(), IDS).rank)
    nn.init.constant_(model.embed.weight, float("nan"))
    with pytest.raises(ValueError, match="'Tied' gives NaN, as of a model that has diverged"):
        logit_lens(model, IDS)


class Capped(Words):
    def __init__(self, after):
        super().__init__()
        self.after = after

    def forward(self, input_ids):
        return self.after(super().forward(input_ids))


def test_a_model_that_changes_its_logits_afterwards_is_warned_of(recwarn):
    for same in (lambda x: x, lambda x: torch.log_softmax(x, -1), lambda x: torch.softmax(x, -1), torch.sum):
        logit_lens(Capped(same), IDS)
    assert not recwarn.list
    with pytest.warns(
        UserWarning, match="changes its logits after 'head', as by a scale or a soft cap: ranks are its own"
    ):
        logit_lens(Capped(lambda x: 0.5 * torch.tanh(x / 0.5)), IDS)


def test_what_cannot_be_read_is_said():
    with pytest.raises(LookupError, match="no layer 'nrm'; did you mean 'norm'.*no layer 'haed'; did you mean 'head'"):
        logit_lens(Words(), IDS, norm="nrm", unembedding="haed")
    with pytest.raises(ValueError, match="no position has a right token; give longer sequences"):
        logit_lens(Words(), IDS[:, :1])
    with pytest.raises(ValueError, match="a right token is 9, the logits are of 4 tokens"):
        logit_lens(Words(), IDS, targets=IDS + 7)
    model = Words()
    nn.init.constant_(model.head.weight, float("nan"))
    with pytest.raises(ValueError, match="'head' gives NaN, as of a model that has diverged"):
        logit_lens(model, IDS)
