"""Attention probabilities, however they are computed: against float64 formulas, and the models' own."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention as by_name

from tandv.probes import attention_patterns

torch.manual_seed(0)
X = torch.randn(3, 6, 16)


def softmax(scores):
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    return scores / scores.sum(-1, keepdims=True)


class Fused(nn.Module):
    """Own attention of 4 heads of 4 features by torch's fused function, with whatever that takes."""

    def __init__(self, keys=4, **given):
        super().__init__()
        torch.manual_seed(1)
        self.q, self.kv, self.keys, self.given = nn.Linear(16, 16), nn.Linear(16, 8 * keys), keys, given

    def heads(self, x):
        q = self.q(x).unflatten(-1, (4, 4)).transpose(1, 2)
        k, v = self.kv(x).unflatten(-1, (2, self.keys, 4)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def forward(self, x):
        return by_name(*self.heads(x), **self.given)

    def expected(self, x, scale=0.5, hidden=None, bias=0.0):
        q, k, _ = (part.detach().double().numpy() for part in self.heads(x))
        k = np.repeat(k, 4 // self.keys, axis=1)
        scores = q @ np.swapaxes(k, -1, -2) * scale + bias
        return softmax(scores if hidden is None else np.where(hidden, -np.inf, scores))


LATER = np.triu(np.ones((6, 6), bool), 1)
MASK = torch.rand(6, 6, generator=torch.Generator().manual_seed(3)) > 0.4
MASK[:, 0] = True
BIAS = torch.randn(4, 6, 6, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Fused(), {}),
        (Fused(is_causal=True), {"hidden": LATER}),
        (Fused(scale=0.1), {"scale": 0.1}),
        (Fused(attn_mask=MASK), {"hidden": ~MASK.numpy()}),
        (Fused(attn_mask=BIAS), {"bias": BIAS.numpy()}),
        (Fused(keys=2, enable_gqa=True), {}),
        (Fused(keys=1, enable_gqa=True, is_causal=True, scale=2.0), {"scale": 2.0, "hidden": LATER}),
        (Fused(dropout_p=0.5, is_causal=True), {"hidden": LATER}),  # dropped out even in eval mode: not here
    ],
)
def test_probabilities_of_fused_kernels_are_those_of_the_formula(model, expected):
    found = attention_patterns(model, X)
    assert list(found) == ["Fused"]
    assert found["Fused"].shape == (3, 4, 6, 6) and found["Fused"].dtype == np.float32
    np.testing.assert_allclose(found["Fused"], model.expected(X, **expected), atol=2e-6)


def test_double_precision_stays_double_and_half_is_read_as_single():
    found = attention_patterns(Fused().double(), X.double())["Fused"]
    np.testing.assert_allclose(found, Fused().double().expected(X.double()), atol=1e-14)
    model = Fused(is_causal=True).bfloat16()
    np.testing.assert_allclose(
        attention_patterns(model, X.bfloat16())["Fused"], model.expected(X.bfloat16(), hidden=LATER), atol=2e-6
    )


def test_a_row_that_sees_no_key_is_zero():
    mask = torch.ones(6, 6, dtype=torch.bool)
    mask[2] = False
    found = attention_patterns(Fused(attn_mask=mask), X)["Fused"]
    assert (found[:, :, 2] == 0).all()
    np.testing.assert_allclose(np.delete(found, 2, axis=2).sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_multihead_attention_shows_each_head(batch_first, need_weights, training):
    model = nn.MultiheadAttention(16, 4, dropout=0.1, batch_first=batch_first).train(training)
    batch = {"query": X, "key": X, "value": X, "need_weights": need_weights}
    found = attention_patterns(model, batch)["MultiheadAttention"]
    with torch.no_grad():
        expected = model.eval()(X, X, X, need_weights=True, average_attn_weights=False)[1]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_fused_path_of_a_whole_encoder_shows_its_parts():
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2).eval()
    padding = torch.zeros(3, 6, dtype=torch.bool)
    padding[0, 4:] = True
    found = attention_patterns(model, {"src": X, "src_key_padding_mask": padding})
    assert list(found) == ["layers.0.self_attn", "layers.1.self_attn"]
    assert (found["layers.0.self_attn"][0, :, :, 4:] == 0).all() and (found["layers.0.self_attn"][1] > 0).all()
    attention = model.layers[0].self_attn
    expected = attention(X, X, X, key_padding_mask=padding, average_attn_weights=False)[1]
    np.testing.assert_allclose(found["layers.0.self_attn"], expected.detach(), atol=1e-6)


def test_encoder_and_decoder_have_their_own_shapes():
    model = nn.Transformer(16, 4, 1, 1, 32, batch_first=True)
    found = attention_patterns(model, (X, X[:, :4]))
    assert {name: array.shape[2:] for name, array in found.items()} == {
        "encoder.layers.0.self_attn": (6, 6),
        "decoder.layers.0.self_attn": (4, 4),
        "decoder.layers.0.multihead_attn": (4, 6),
    }


class Plain(nn.Module):
    """Attention in plain sight, with a softmax over the vocabulary after it."""

    def __init__(self, heads=2, module=False):
        super().__init__()
        self.qkv, self.heads, self.out = nn.Linear(16, 48), heads, nn.Linear(16, 9)
        self.softmax, self.drop = (nn.Softmax(dim=-1) if module else None), nn.Dropout(0.5)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        if self.heads > 1:
            q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in (q, k, v))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        pattern = self.softmax(scores) if self.softmax else F.softmax(scores, dim=-1)
        mixed = self.drop(pattern) @ v
        mixed = mixed.transpose(1, 2).flatten(2) if self.heads > 1 else mixed
        return self.out(mixed).softmax(-1)


@pytest.mark.parametrize("module", [True, False])
@pytest.mark.parametrize("heads", [1, 2])
def test_a_softmax_in_plain_sight_is_read_and_one_over_words_is_not(heads, module):
    model = Plain(heads, module)
    found = attention_patterns(nn.Sequential(model), X)
    q, k, _ = np.split(model.qkv(X).detach().numpy(), 3, axis=-1)
    q, k = (np.stack(np.split(part, heads, axis=-1), 1) for part in (q, k))
    assert list(found) == ["0"]
    np.testing.assert_allclose(found["0"], softmax(q @ np.swapaxes(k, -1, -2) / math.sqrt(16 / heads)), atol=1e-6)


class Returning(nn.Module):
    """Probabilities that are no softmax, and that only its caller gets to see."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        scores = (x @ x.transpose(-1, -2)).relu()[:, None] + 1
        return x, scores / scores.sum(-1, keepdim=True) * self.scale


def test_probabilities_that_a_module_returns_count():
    found = attention_patterns(Returning(), X)["Returning"]
    scores = np.maximum(X.numpy() @ np.swapaxes(X.numpy(), -1, -2), 0)[:, None] + 1
    np.testing.assert_allclose(found, scores / scores.sum(-1, keepdims=True), rtol=1e-5)
    with pytest.raises(ValueError, match="no attention is seen in the forward pass of Returning"):
        attention_patterns(Returning(2.0), X)


def test_layers_can_be_chosen_and_repeated_calls_are_told_apart():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.block, self.other = Fused(), Fused(is_causal=True)

        def forward(self, x):
            return self.block(x), self.other(x), self.block(x + 1)

    assert list(attention_patterns(Twice(), X)) == ["block", "block@1", "other"]
    assert list(attention_patterns(Twice(), X, "other")) == ["other"]
    with pytest.raises(LookupError, match="no attention layer 'othr'; did you mean 'other'"):
        attention_patterns(Twice(), X, "othr")


def test_a_model_that_has_diverged_has_no_pattern():
    with pytest.raises(ValueError, match="attention rows of 'Fused' do not sum to 1; NaN comes from a model that has"):
        attention_patterns(Fused(), X * math.nan)


def test_windows_count_as_examples():
    class Windows(nn.Module):
        def forward(self, x):
            return torch.softmax(x.unflatten(1, (2, 1, 3)) @ x.unflatten(1, (2, 1, 3)).transpose(-1, -2), -1)

    assert attention_patterns(Windows(), X)["Windows"].shape == (6, 1, 3, 3)


def test_the_output_is_what_it_was_without_the_look():
    model, seen = Fused(is_causal=True).eval(), []
    attention_patterns(model, X, call=lambda m, x: seen.append(m(x)))
    with torch.no_grad():
        assert torch.equal(seen[0], model(X))


@pytest.mark.slow  # importing dynamo takes seconds
def test_flex_attention_is_evaluated_from_its_score_and_its_mask():
    bias = torch.randn(4, 6, generator=torch.Generator().manual_seed(5))

    def score(value, batch, head, query, key):
        return value + bias[head, key] * (batch + 1)

    def mask(batch, head, query, key):
        return (query >= key) & ((key > 0) | (query > 0) | (head > 0))

    class Flexible(Fused):
        def forward(self, x):
            blocks = create_block_mask(mask, None, None, 6, 6, device="cpu")
            return flex_attention(*self.heads(x), score_mod=score, block_mask=blocks, scale=0.3, enable_gqa=True)

    model = Flexible(keys=2)
    hidden = np.broadcast_to(LATER, (3, 4, 6, 6)).copy()
    hidden[:, 0, 0, 0] = True
    added = bias.numpy()[:, None, :] * np.arange(1, 4)[:, None, None, None]
    found = attention_patterns(model, X)["Flexible"]
    with np.errstate(invalid="ignore"):
        expected = np.nan_to_num(model.expected(X, 0.3, hidden, added))  # a row that sees no key is zero
    np.testing.assert_allclose(found, expected, atol=2e-6)


class Router(nn.Module):
    """Attention of one head, a router as wide as the sequence is long, and an output's softmax of four axes."""

    def __init__(self):
        super().__init__()
        self.router, self.pixels = nn.Linear(16, 6), nn.Conv2d(1, 6, 1)

    def forward(self, x):
        x = torch.softmax(x @ x.transpose(-1, -2), -1) @ x
        gates = torch.softmax(self.router(x) + 1, -1)
        of_pixels = torch.softmax((self.pixels(x[:, None]) / 2).permute(0, 2, 3, 1), -1)
        return gates.sum() + of_pixels.sum()


def test_a_routers_softmax_and_an_outputs_are_no_attention():
    found = attention_patterns(Router(), X)
    assert list(found) == ["Router"]
    np.testing.assert_allclose(found["Router"][:, 0], softmax(X.numpy() @ np.swapaxes(X.numpy(), 1, 2)), atol=1e-5)
