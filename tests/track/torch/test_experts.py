"""Experts of tracked steps: loads, probabilities, entropies and drops, however the router is written."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tandv.track.common import read_pickle
from tandv.track.torch import track
from tests.reference import reference_experts

WIDTH, EXPERTS, TOKENS = 8, 4, 15


def softmax_first(logits):
    return torch.topk(functional.softmax(logits, dim=-1, dtype=torch.float32), 2, dim=-1)


def choice_first(logits):
    weights, chosen = logits.topk(2)
    return weights.softmax(-1), chosen


def by_bias(logits):
    """Choose by probabilities plus a bias, as without an auxiliary loss."""
    p = logits.softmax(-1)
    chosen = (p + torch.tensor([0.5, 0.0, 0.0, 0.0])).topk(2, dim=1).indices
    return p.gather(1, chosen), chosen


def largest(logits):
    weights, chosen = logits.softmax(-1).max(dim=-1)
    return weights[:, None], chosen[:, None]


def argmax(logits):
    p = torch.softmax(logits, -1)
    chosen = torch.argmax(p, dim=-1)
    return p.max(-1, keepdim=True).values, chosen[:, None]


class Mixture(nn.Module):
    def __init__(self, choose=softmax_first, capacity=None):
        super().__init__()
        self.router = nn.Linear(WIDTH, EXPERTS)
        self.experts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(EXPERTS))
        self.choose, self.capacity, self.seen = choose, capacity, None

    def forward(self, x):
        tokens = x.flatten(0, -2)
        logits = self.router(tokens)
        weights, chosen = self.choose(logits)
        self.seen = logits.detach().numpy(), chosen.numpy()
        out = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            at, slot = torch.where(chosen == number)
            at, slot = at[: self.capacity], slot[: self.capacity]
            out = out.index_add(0, at, expert(tokens[at]) * weights[at, slot, None])
        return x + out.view(x.shape)


class Net(nn.Module):
    def __init__(self, *given, **more):
        super().__init__()
        self.mlp = Mixture(*given, **more)
        self.head = nn.Linear(WIDTH, EXPERTS)

    def forward(self, x):
        y = self.head(self.mlp(x))
        return y.topk(2, dim=-1).values  # a choice among outputs is no router's


def tracked(model, *batches, **more):
    with track(model, experts=True, **more) as tracker:
        for batch in batches:
            model(batch).sum().backward()
        tracker.step()
    return rows_of(tracker)


def rows_of(tracker):
    log = read_pickle(tracker.out_path)
    rows = log[log["metadata", "tensor_type"].isin(["Experts", "Router"])]
    return rows["scalar_stats"].set_axis(rows["metadata"]["name"].astype(str), axis=0)


def assert_equal(rows, logits, chosen, name="mlp"):
    expected = reference_experts(logits, chosen)
    assert list(rows.index) == [*(f"{name}.expert.{i}" for i in range(logits.shape[1])), f"{name}.router"]
    assert rows["numel"].tolist() == [len(logits)] * len(rows)
    experts, router = rows.iloc[:-1], rows.iloc[-1]
    assert experts["expert_load"].to_numpy() == pytest.approx(expected["expert_load"], rel=1e-7, abs=0)
    assert experts["mean"].to_numpy() == pytest.approx(expected["probability"], rel=1e-5)
    assert router["router_entropy"] == pytest.approx(expected["router_entropy"], rel=1e-5)
    assert experts["router_entropy"].isna().all() and np.isnan(router["expert_load"])


@pytest.mark.parametrize("choose", [softmax_first, choice_first, by_bias, largest, argmax])
def test_rows_are_those_of_float64_however_the_router_is_written(choose):
    model = Net(choose)
    rows = tracked(model, torch.randn(3, 5, WIDTH))
    assert_equal(rows, *model.mlp.seen)
    assert rows["dropped_share"].iloc[-1] == 0


def test_sigmoid_scores_are_taken_as_shares_of_their_sum():
    def choose(logits):
        return logits.sigmoid().topk(2, dim=-1)

    model = Net(choose)
    rows = tracked(model, torch.randn(3, 5, WIDTH))
    logits, chosen = model.mlp.seen
    shares = 1 / (1 + np.exp(-logits.astype(float)))
    assert_equal(rows, np.log(shares), chosen)


def test_numbers_that_can_be_worked_out_by_hand():
    def choose(logits):
        return (0 * logits + torch.tensor([0.5, 0.25, 0.25, 0.0]).log()).softmax(-1).topk(1)

    rows = tracked(Net(choose), torch.randn(1, 6, WIDTH))
    assert rows["expert_load"].tolist()[:4] == [1, 0, 0, 0]
    assert rows["mean"].tolist()[:4] == pytest.approx([0.5, 0.25, 0.25, 0])
    assert rows["router_entropy"].iloc[-1] == pytest.approx(1.5 * math.log(2))


def test_choices_beyond_the_capacity_are_dropped():
    model = Net(by_bias, capacity=7)
    rows = tracked(model, torch.randn(3, 5, WIDTH))
    counts = np.bincount(model.mlp.seen[1].ravel(), minlength=EXPERTS)
    assert len(set(np.minimum(counts, 7))) > 1, "else it is not known whether places of a buffer are empty"
    assert rows["dropped_share"].iloc[-1] == pytest.approx(np.maximum(counts - 7, 0).sum() / (2 * TOKENS))


def test_what_is_dropped_is_not_known_of_stacked_weights_and_buffers():
    class Stacked(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Linear(WIDTH, EXPERTS)
            self.weight = nn.Parameter(torch.randn(EXPERTS, WIDTH, WIDTH))

        def forward(self, x):
            logits = self.gate(x)
            weights, chosen = softmax_first(logits)
            self.seen = logits.detach().numpy(), chosen.numpy()
            return torch.einsum("td,tkde,tk->te", x, self.weight[chosen], weights)

    class Buffers(Mixture):
        def forward(self, x):
            self.choose(self.router(x))
            return sum(expert(x[:3]) for expert in self.experts)

    stacked = Stacked()
    rows = tracked(nn.Sequential(nn.Linear(WIDTH, WIDTH), stacked), torch.randn(TOKENS, WIDTH))
    assert_equal(rows, *stacked.seen, name="1")
    assert np.isnan(rows["dropped_share"].iloc[-1])
    rows = tracked(nn.Sequential(nn.Linear(WIDTH, WIDTH), Buffers()), torch.randn(TOKENS, WIDTH))
    assert np.isnan(rows["dropped_share"].iloc[-1])


def test_micro_batches_merge():
    model, x = Net(), torch.randn(4, 5, WIDTH)
    whole, parts = tracked(model, x), tracked(model, x[:1], x[1:])
    assert parts["calls"].tolist() == [2] * 5 and whole["numel"].tolist() == parts["numel"].tolist()
    for column in ("expert_load", "router_entropy", "dropped_share", "mean"):
        assert whole[column].to_numpy() == pytest.approx(parts[column].to_numpy(), rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("reentrant", [True, False])
def test_what_checkpointing_computes_again_is_counted_once(reentrant):
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def forward(self, x):
            return checkpoint(self.net, x, use_reentrant=reentrant)

    rows = tracked(Outer(), torch.randn(3, 5, WIDTH, requires_grad=True))
    assert rows["calls"].tolist() == [1] * 5 and rows["dropped_share"].iloc[-1] == 0


@pytest.mark.parametrize("attention", [False, True])
def test_training_is_the_same_to_the_last_bit(attention):
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.TransformerEncoderLayer(WIDTH, 2, 16, batch_first=True)
            self.mlp = Mixture(choice_first)

        def forward(self, x):
            return functional.dropout(self.mlp(self.block(x)), 0.5)

    def trained(**more):
        torch.manual_seed(1)
        model = Whole()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        with track(model, optimizer=optimizer, **more) as tracker:
            for _ in range(4):
                loss = model(torch.randn(3, 5, WIDTH)).square().mean()
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                tracker.step()
        return [loss.detach(), *model.parameters(), torch.get_rng_state()]

    assert all(map(torch.equal, trained(), trained(experts=True, attention=attention, every=2)))


def test_a_failure_stops_tracking_and_not_the_run(monkeypatch):
    from tandv.track.torch import _experts

    def fail(_):
        raise RuntimeError("planted")

    monkeypatch.setattr(_experts, "vectors_of", fail)
    model = Net()
    with pytest.warns(UserWarning, match="planted"), track(model, experts=True) as tracker:
        assert model(torch.randn(3, 5, WIDTH)).shape == (3, 5, 2)
        tracker.step()
    assert not torch.overrides._get_current_function_mode_stack()


def test_layers_that_are_left_out_and_steps_that_are_not_recorded_have_none():
    model = nn.Sequential(Mixture(), Mixture())
    with track(model, experts=True, every=2, exclude=r"^1(\.|$)") as tracker:
        for _ in range(3):
            model(torch.randn(3, 5, WIDTH)).sum().backward()
            tracker.step()
    log = read_pickle(tracker.out_path)
    about = log["metadata"][log["metadata", "tensor_type"].isin(["Experts", "Router"])]
    assert set(about["name"]) == {*(f"0.expert.{i}" for i in range(4)), "0.router"} and set(about["step"]) == {0, 2}


def test_logits_that_are_not_finite_are_counted():
    def choose(logits):
        return logits.masked_fill(torch.arange(TOKENS)[:, None] == 3, math.nan).softmax(-1).topk(2)

    rows = tracked(Net(choose), torch.randn(3, 5, WIDTH))
    assert rows["nans"].tolist() == [1] * 5 and rows["router_entropy"].notna().iloc[-1]


def test_what_cannot_be_combined_is_refused():
    with pytest.raises(ValueError, match="experts=True and a stash_value="):
        track(Net(), experts=True, stash_value=lambda x: x.mean())
    with pytest.raises(ValueError, match="experts='yes' must be True or False"):
        track(Net(), experts="yes")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Mixtral", "Qwen2Moe", "SwitchTransformers"])
def test_models_of_hugging_face(kind):
    import transformers

    size = {"vocab_size": 50, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16}
    torch.manual_seed(0)
    ids = torch.randint(50, (2, 6))
    if kind == "SwitchTransformers":
        config = transformers.SwitchTransformersConfig(
            vocab_size=50, d_model=16, d_kv=8, d_ff=16, num_layers=2, num_heads=2, num_experts=4, expert_capacity=2,
            num_sparse_encoder_layers=1, num_sparse_decoder_layers=1, decoder_start_token_id=0,
        )  # fmt: skip
        model, given = transformers.SwitchTransformersForConditionalGeneration(config), {"labels": ids}
    else:
        more = {"num_local_experts": 4} if kind == "Mixtral" else {"num_experts": 4, "num_experts_per_tok": 2}
        more |= {} if kind == "Mixtral" else {"moe_intermediate_size": 8, "shared_expert_intermediate_size": 8}
        config = getattr(transformers, f"{kind}Config")(
            **size, intermediate_size=16, num_key_value_heads=2, output_router_logits=True, **more
        )
        model, given = getattr(transformers, f"{kind}ForCausalLM")(config), {}
    with track(model, experts=True, track_gradients=False, track_weights=False, include="mlp|layer.1$") as tracker:
        out = model(ids, **given)
        tracker.step()
    rows = rows_of(tracker)
    routers = rows[rows["router_entropy"].notna()]
    assert len(routers) == 2 and len(rows) == 10
    if kind == "SwitchTransformers":  # of each expert at most two tokens of an example are computed
        assert (routers["dropped_share"] >= 1 - 2 * 4 / 6).all() or routers["dropped_share"].notna().all()
        return
    for layer, logits in enumerate(out.router_logits):
        logits = logits.detach().double()
        chosen = logits.topk(2).indices
        name = f"model.layers.{layer}.mlp"
        assert_equal(rows[rows.index.str.startswith(name)], logits.numpy(), chosen.numpy(), name)


@pytest.mark.slow
def test_experts_of_compiled_models_are_said_not_to_be_recorded():
    compiled = torch.compile(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU()), backend="eager")
    said = pytest.warns(UserWarning, match="experts inside compiled graphs are not recorded")
    with said, track(compiled, experts=True) as tracker:
        compiled(torch.randn(3, 5, WIDTH)).sum().backward()
        tracker.step()
    assert not torch.overrides._get_current_function_mode_stack()
