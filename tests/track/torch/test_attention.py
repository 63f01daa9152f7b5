"""Attention heads of tracked steps: largest logit, entropy and share of the first token, however written."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tandv.track.common import read_pickle
from tandv.track.torch import track
from tests.reference import reference_heads

HEADS, WIDTH, LENGTH = 2, 8, 5
CAUSAL = np.tril(np.ones((LENGTH, LENGTH), bool))
HIDES = ~torch.from_numpy(CAUSAL)


def sdpa(q, k, v):
    return functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def with_mask(q, k, v):
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=~HIDES)


def with_bias(q, k, v):
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=torch.zeros(5, 5).masked_fill_(HIDES, -math.inf))


def operator(q, k, v):
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, is_causal=True)[0]


def logits_of(q, k):
    return q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5


def by_method(q, k, v):
    return logits_of(q, k).masked_fill(HIDES, -math.inf).softmax(-1) @ v


def by_function(q, k, v):
    return functional.softmax(logits_of(q, k).masked_fill(HIDES, -1e9), dim=-1, dtype=torch.float32) @ v


def by_torch(q, k, v):
    return torch.softmax(logits_of(q, k) + torch.zeros(5, 5).masked_fill_(HIDES, torch.finfo().min), dim=3) @ v


def folded(q, k, v):
    """Fold the heads into the batch, as code for `bmm` does."""
    q, k, v = (x.flatten(0, 1) for x in (q, k, v))
    return torch.bmm(torch.bmm(q, k.mT).div(2).masked_fill(HIDES, -math.inf).softmax(dim=-1), v).unflatten(0, (-1, 2))


class Attention(nn.Module):
    def __init__(self, attend=sdpa, key_heads=HEADS):
        super().__init__()
        self.q, self.k = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH * key_heads // HEADS)
        self.router = nn.Linear(WIDTH, 3)
        self.attend, self.key_heads, self.seen = attend, key_heads, None

    def forward(self, x):
        q = self.q(x).view(*x.shape[:2], HEADS, -1).transpose(1, 2)
        k = self.k(x).view(*x.shape[:2], self.key_heads, -1).transpose(1, 2)
        self.seen = q.detach().double().numpy(), k.detach().double().numpy()
        y = self.attend(q, k, k).transpose(1, 2).flatten(2)
        return y * self.router(x).softmax(-1)[..., :1]

    def logits(self):
        q, k = self.seen
        return q @ k.repeat(HEADS // self.key_heads, 1).swapaxes(-1, -2) / math.sqrt(q.shape[-1])


class Block(nn.Module):
    def __init__(self, *given, **more):
        super().__init__()
        self.attention = Attention(*given, **more)

    def forward(self, x):
        return x + self.attention(x)


def tracked(model, *batches, **more):
    with track(model, attention=True, **more) as tracker:
        for batch in batches:
            model(batch).sum().backward()
        tracker.step()
    return rows_of(tracker)


def rows_of(tracker):
    log = read_pickle(tracker.out_path)
    rows = log[log["metadata", "tensor_type"] == "Attention"]
    return rows["scalar_stats"].set_axis(rows["metadata"]["name"].astype(str), axis=0)


def assert_equal(rows, expected, name="attention"):
    assert list(rows.index) == [f"{name}.head.{head}" for head in range(len(expected))]
    for head, one in enumerate(expected):
        row = rows.iloc[head]
        assert row["numel"] == one["numel"] and row["nans"] == row["infs"] == 0
        for column in ("largest_logit", "mean", "attention_entropy", "first_token_share"):
            assert row[column] == pytest.approx(one[column], rel=1e-5, abs=1e-6), column


@pytest.mark.parametrize("attend", [sdpa, with_mask, with_bias, operator, by_method, by_function, by_torch, folded])
def test_heads_are_those_of_float64_however_attention_is_written(attend):
    model = Block(attend)
    rows = tracked(model, torch.randn(3, LENGTH, WIDTH))
    assert_equal(rows, reference_heads(model.attention.logits(), CAUSAL))


def test_grouped_heads_share_keys():
    def grouped(q, k, v):
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

    model = Block(grouped, key_heads=1)
    rows = tracked(model, torch.randn(3, LENGTH, WIDTH))
    assert_equal(rows, reference_heads(model.attention.logits(), CAUSAL))


@pytest.mark.parametrize("weights", [True, False])
def test_multihead_attention_with_padding(weights):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

        def forward(self, x):
            return self.attention(x, x, x, key_padding_mask=padding, need_weights=weights)[0]

    padding = torch.zeros(3, LENGTH, dtype=torch.bool)
    padding[1, 3:] = True
    model, x = Net(), torch.randn(3, LENGTH, WIDTH)
    rows = tracked(model, x)
    with torch.no_grad():
        q, k, _ = functional.linear(x, model.attention.in_proj_weight, model.attention.in_proj_bias).chunk(3, -1)
        logits = logits_of(*(one.view(3, LENGTH, HEADS, -1).transpose(1, 2) for one in (q, k)))
    assert_equal(rows, reference_heads(logits.numpy(), ~padding[:, None, None].numpy()))


def test_logits_that_can_be_worked_out_by_hand():
    def attend(q, k, v):
        logits = torch.tensor([[[[0.0, 0.0], [math.log(3.0), 0.0]], [[-4.0, -4.0], [-2.0, -2.0]]]])
        return (logits + 0 * logits_of(q, k)).softmax(-1) @ v

    rows = tracked(Block(attend), torch.randn(1, 2, WIDTH))
    assert rows["largest_logit"].tolist() == [pytest.approx(math.log(3)), -2.0]
    entropy = (math.log(2) + (0.75 * math.log(4 / 3) + 0.25 * math.log(4))) / 2
    assert rows["attention_entropy"].tolist() == pytest.approx([entropy, math.log(2)])
    assert rows["first_token_share"].tolist() == pytest.approx([0.625, 0.5])
    assert rows["max_abs"].tolist() == [pytest.approx(math.log(3)), 4.0]  # of the largest logit of each query


def test_queries_that_see_no_key_are_left_out_and_nan_is_counted():
    def attend(q, k, v):
        mask = torch.zeros(1, 1, 4, 4)
        mask[..., 0, :], mask[..., 1, 2] = -math.inf, math.nan
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).nan_to_num()

    rows = tracked(Block(attend), torch.randn(2, 4, WIDTH))
    assert rows["numel"].tolist() == [6, 6] and rows["nans"].tolist() == [2, 2]  # of 2 · 4 queries, 2 see nothing
    assert rows["attention_entropy"].notna().all() and (rows["attention_entropy"] > 0).all()


def test_micro_batches_and_phases_are_rows_as_of_outputs():
    model, x = Block(), torch.randn(4, LENGTH, WIDTH)
    whole = tracked(model, x)
    parts = tracked(model, x[:1], x[1:])
    assert parts["calls"].tolist() == [2, 2]
    assert whole["numel"].tolist() == parts["numel"].tolist()
    for column in ("largest_logit", "attention_entropy", "first_token_share"):  # of products of other sizes
        assert whole[column].tolist() == pytest.approx(parts[column].tolist(), rel=1e-5, abs=1e-6)
    with track(model, attention=True) as tracker:
        with tracker.phase("rollout"):
            model(x)
        model(x).sum().backward()
        tracker.step()
    log = read_pickle(tracker.out_path)
    m = log["metadata"][log["metadata", "tensor_type"] == "Attention"]
    assert m["phase"].tolist() == ["", "", "rollout", "rollout"] or m["phase"].tolist() == ["", "rollout"] * 2


def test_two_attentions_in_one_call_of_a_module_have_numbers():
    def twice(q, k, v):
        return sdpa(q, k, sdpa(k, q, v))

    assert list(tracked(Block(twice), torch.randn(1, LENGTH, WIDTH)).index) == [
        "attention.head.0", "attention.head.1", "attention@1.head.0", "attention@1.head.1"
    ]  # fmt: skip


@pytest.mark.parametrize("reentrant", [True, False])
def test_what_checkpointing_computes_again_is_counted_once(reentrant):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Block()

        def forward(self, x):
            return checkpoint(self.block, x, use_reentrant=reentrant)

    rows = tracked(Net(), torch.randn(3, LENGTH, WIDTH, requires_grad=True))
    assert rows["calls"].tolist() == [1, 1]


def test_training_is_the_same_to_the_last_bit():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            ways = (sdpa, by_method, by_function)
            self.blocks = nn.Sequential(*(Block(way) for way in ways), nn.TransformerEncoderLayer(WIDTH, 2, 16))

        def forward(self, x):
            return functional.dropout(self.blocks(x), 0.5)

    def trained(**more):
        torch.manual_seed(1)
        model = Net()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        with track(model, optimizer=optimizer, **more) as tracker:
            for _ in range(4):
                loss = model(torch.randn(3, LENGTH, WIDTH)).square().mean()
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                tracker.step()
        return [loss.detach(), *model.parameters(), torch.get_rng_state()]

    assert all(map(torch.equal, trained(), trained(attention=True, every=2)))


def test_the_fast_path_of_a_module_in_eval_mode_is_taken_as_before():
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, batch_first=True).eval()
    model, x = nn.Sequential(nn.Identity(), layer), torch.randn(2, LENGTH, WIDTH)
    with torch.no_grad():
        before = model(x)
        with track(model.train(), attention=True) as tracker:
            layer.eval()
            during = model(x)
            tracker.step()
    assert torch.equal(before, during)


def test_a_failure_stops_tracking_and_not_the_run(monkeypatch):
    from tandv.track.torch import _attention

    def fail(_):
        raise RuntimeError("planted")

    monkeypatch.setattr(_attention, "of_fused", fail)
    model = Block()
    with pytest.warns(UserWarning, match="planted"), track(model, attention=True) as tracker:
        assert model(torch.randn(1, LENGTH, WIDTH)).shape == (1, LENGTH, WIDTH)
        tracker.step()
    assert not torch.overrides._get_current_function_mode_stack()


def test_an_exception_in_the_forward_pass_leaves_no_mode():
    def fail(q, k, v):
        raise ZeroDivisionError

    model = Block(fail)
    with track(model, attention=True) as tracker:
        with pytest.raises(ZeroDivisionError):
            model(torch.randn(1, LENGTH, WIDTH))
        assert not torch.overrides._get_current_function_mode_stack()
        tracker.step()


def test_steps_that_are_not_recorded_and_layers_that_are_left_out_have_none():
    model = nn.Sequential(Block(), Block())
    with track(model, attention=True, every=2, exclude=r"^1\.attention") as tracker:
        for _ in range(3):
            model(torch.randn(1, LENGTH, WIDTH)).sum().backward()
            tracker.step()
    log = read_pickle(tracker.out_path)
    m = log["metadata"][log["metadata", "tensor_type"] == "Attention"]
    assert set(m["name"]) == {"0.attention.head.0", "0.attention.head.1"} and set(m["step"]) == {0, 2}


def test_autocast_gives_the_kernel_narrow_queries_whose_values_are_measured():
    model = Block()
    x = torch.randn(2, LENGTH, WIDTH)
    with track(model, attention=True) as tracker:
        with torch.autocast("cpu", torch.bfloat16):
            model(x).sum().backward()
        tracker.step()
    assert_equal(rows_of(tracker), reference_heads(model.attention.logits(), CAUSAL))


def test_what_cannot_be_combined_is_refused():
    with pytest.raises(ValueError, match="attention='yes' must be True or False"):
        track(Block(), attention="yes")
    with pytest.raises(ValueError, match="attention=True and a stash_value="):
        track(Block(), attention=True, stash_value=lambda x: x.mean())


class Ragged(nn.Module):
    """Passes on a nested tensor of several lengths between linear layers."""

    def __init__(self):
        super().__init__()
        self.before, self.between, self.after = nn.Linear(2, 2), nn.Identity(), nn.Linear(2, 2)

    def forward(self, x):
        several = self.between(torch.nested.as_nested_tensor([self.before(x[:1]), self.before(x[1:])]))
        return self.after(torch.nested.to_padded_tensor(several, 0.0)).softmax(-1)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("asked", [{"attention": True}, {"experts": True}, {"attention": True, "experts": True}])
def test_nested_tensors_reach_the_model_as_without_a_tracker(tmp_path, asked):
    model, x = Ragged(), torch.linspace(-1, 1, 6).reshape(3, 2)
    without = model(x)
    with track(model, path=tmp_path / "run", **asked) as tracker:
        assert torch.equal(model(x), without)
        tracker.step()
        assert tracker.is_on


@pytest.mark.parametrize("asked", [{"attention": True}, {"experts": True}])
def test_an_error_beside_a_call_is_said_once_and_the_call_goes_well(tmp_path, monkeypatch, asked):
    def broken(*_):
        raise ValueError("of the tracker")

    monkeypatch.setattr("tandv.track.torch._attention_calls.AttentionCalls._follow", broken)
    model, x = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)), torch.ones(3, 2)
    without = model(x)
    with (
        pytest.warns(UserWarning, match="tracking stopped at step 0, beside a call.* of the tracker") as said,
        track(model, path=tmp_path / "run", **asked) as tracker,
    ):
        assert torch.equal(model(x), without)
        tracker.step()
        assert torch.equal(model(x), without)
    assert len(said) == 1 and not torch.overrides._get_current_function_mode_stack()
