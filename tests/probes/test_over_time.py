"""Probes while a model trains: what they find, and that the run goes on as it would have."""

import json
import math
import random

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tandv.analysis.attention import attention_curves
from tandv.analysis.correlations import correlation_summary
from tandv.analysis.representations import effective_dimension
from tandv.curves import as_curves
from tandv.probes import (
    MEASURES,
    attention_of,
    attention_patterns,
    get_intermediate_outputs,
    heads_of,
    outputs_of,
    probe,
    read_arrays,
)

X = torch.linspace(-1, 1, 24).reshape(6, 4)


def network() -> nn.Module:
    body = nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(16, 3)
    return nn.Sequential(*body)


class Words(nn.Module):
    def __init__(self, dropout=0.2):
        super().__init__()
        self.embed = nn.Embedding(7, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=dropout, batch_first=True)

    def forward(self, tokens):
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.layer(self.embed(tokens), mask, is_causal=True).mean(1)[:, :3]


TOKENS = torch.tensor([[1, 2, 3, 1, 2, 3], [4, 5, 4, 5, 4, 5]])
RUNS = {"mlp": (network, X), "attention": (Words, TOKENS)}


def train(make, inputs, measure=None, steps=25, **given):
    """Return everything a run leaves behind."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    watch = probe(model, inputs, every=5, measure=measure, **given) if measure else None
    losses = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(inputs), torch.randint(3, (len(inputs),)))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        random.random(), np.random.rand()  # noqa: NPY002
        if watch:
            watch.step()
    state = [v.tolist() for v in model.state_dict().values()]
    rng = random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002
    return (losses, state, rng, [m.training for m in model.modules()]), watch


MEASURED = {
    "mlp": ["outputs", "correlations", "dimensions", lambda model, x: {"noisy": torch.rand(1) + model(x).mean()}],
    "attention": ["attention", "heads", "outputs"],
}


@pytest.mark.parametrize("run", RUNS)
def test_the_run_is_the_same_to_the_last_bit(run):
    make, inputs = RUNS[run]
    without, _ = train(make, inputs)
    with_it, watch = train(make, inputs, MEASURED[run])
    assert without == with_it
    assert watch.failure is None
    assert list(watch.arrays) == [0, 5, 10, 15, 20, 25] == watch.curves.index.tolist()


def test_a_step_is_the_model_after_so_many_updates():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    watch = probe(model, torch.ones(2, 1), every=2, measure={"out": lambda model, x: model(x).mean()}, init_step=10)
    for _ in range(5):
        model.weight.data += 1
        watch.step()
    assert watch.curves["out"].to_dict() == {10: 0.0, 12: 2.0, 14: 4.0}
    chosen = probe(model, torch.ones(2, 1), lambda step: step in (1, 2), lambda model, x: 1.0)
    for _ in range(4):
        chosen.step()
    assert chosen.curves["value"].to_dict() == {1: 1.0, 2: 1.0}


def test_the_batch_is_fixed():
    batch = X.clone()
    watch = probe(nn.Identity(), batch, 1, {"sum": lambda model, x: x.abs().sum()})
    batch.zero_()
    watch.step()
    assert watch.curves["sum"].nunique() == 1 and watch.curves["sum"][1] > 0


def test_ready_measures_are_those_of_the_analysis():
    torch.manual_seed(0)
    model = network()
    watch = probe(model, X, measure=["correlations", "dimensions", "outputs"])
    outputs = get_intermediate_outputs(model, X)
    row = watch.curves.loc[0]
    table = correlation_summary(outputs)
    assert row["cka/0~1"] == table.loc[("0", "1"), "cka"]
    assert row["mean_abs_r_chance/0~4"] == table.loc[("0", "4"), "mean_abs_r_chance"]
    assert row["1/participation_ratio"] == effective_dimension(outputs["1"]).participation_ratio
    assert all((watch.arrays[0][name] == array).all() for name, array in outputs.items())


def test_heads_are_scored_by_the_tokens_of_the_batch():
    torch.manual_seed(0)
    model = Words()
    patterns = attention_patterns(model, TOKENS)
    expected = attention_curves({0: patterns}, TOKENS.numpy())
    found = probe(model, TOKENS, measure="heads").curves
    pd.testing.assert_frame_equal(found, expected, check_names=False)
    assert "layer.self_attn/head1/induction" in found
    call = lambda model, batch: model(batch["ids"])  # noqa: E731
    both = {"heads": heads_of(TOKENS, call=call), "seen": attention_of("layer.self_attn", call=call)}
    watch = probe(model, {"ids": TOKENS}, measure=both | {"kept": outputs_of("embed", call=call)})
    assert watch.curves["heads/layer.self_attn/head0/entropy"][0] == expected["layer.self_attn/head0/entropy"][0]
    assert list(watch.arrays[0]) == ["seen/layer.self_attn", "kept/embed"]


def test_whatever_a_measure_gives_is_taken_apart():
    def measure(model, x):
        table = pd.DataFrame({"r": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", "a"), ("a", "b")]))
        return {"deep": {"one": np.float32(0.5), "array": torch.ones(2).bfloat16()}, "table": table, "yes": True}

    watch = probe(nn.Identity(), X, measure={"m": measure})
    assert watch.curves.loc[0].to_dict() == {"m/deep/one": 0.5, "m/table/r/a~a": 1, "m/table/r/a~b": 2, "m/yes": 1}
    assert watch.arrays[0]["m/deep/array"].tolist() == [1, 1]
    assert list(probe(nn.Identity(), X, measure=lambda model, x: 2).curves) == ["value"]
    with pytest.raises(TypeError, match="a measure gave str 'loss'; give numbers, arrays, or dicts"):
        probe(nn.Identity(), X, measure=lambda model, x: {"a": "loss"})


def test_what_was_found_can_be_kept(tmp_path):
    values = [np.array([[1.0, math.nan], [math.inf, -math.inf]], np.float32), 0.25, math.nan]
    watch = probe(nn.Identity(), X, 1, lambda *_: {"w": values[0], "a": values[1], "b": values[2]})
    watch.step()
    stored = json.loads(watch.save(tmp_path / "p.json").read_text())
    assert stored["arrays"]["1"] == {"w": [[1.0, None], ["inf", "-inf"]]}
    assert stored["curves"] == {"step": [0, 1], "a": [0.25, 0.25], "b": [None, None]}
    assert as_curves(stored["curves"]).equals(watch.curves)
    back = read_arrays(watch.save(tmp_path / "p.npz"))
    assert list(back) == [0, 1] and np.array_equal(back[1]["w"], values[0], equal_nan=True)
    with pytest.raises(ValueError, match=r"p.txt is neither .json nor .npz"):
        watch.save(tmp_path / "p.txt")


def test_names_with_slashes_come_back(tmp_path):
    watch = probe(nn.Identity(), X, 1, {"a/b": lambda *_: {"c/d": np.zeros(1)}})
    assert list(read_arrays(watch.save(tmp_path / "p.npz"))[0]) == ["a/b/c/d"]


def test_a_failure_is_said_once_and_the_training_goes_on():
    calls = []

    def measure(model, x):
        calls.append(model.training)
        if len(calls) > 1:
            raise ZeroDivisionError("of all things")
        return 1.0

    model = network()
    watch = probe(model, X, 2, measure)
    watch.step()
    with pytest.warns(RuntimeWarning, match="the probe failed at step 2 and has ended: ZeroDivisionError: of all"):
        watch.step()
    for _ in range(6):
        watch.step()
    assert calls == [False, False] and isinstance(watch.failure, ZeroDivisionError)
    assert watch.curves.index.tolist() == [0] and model.training
    with pytest.raises(ZeroDivisionError):
        probe(model, X, 2, measure)  # before the training, a failure is the user's to see


def test_wrong_settings_are_named_at_once():
    with pytest.raises(ValueError) as error:
        probe(network(), X, every=0, measure=["outputs", "heds"], init_step=-1)
    for words in (
        "every=0 must be",
        "init_step=-1 must be",
        "no measure 'heds'; did you mean 'heads'?",
    ):
        assert words in str(error.value)
    assert list(MEASURES) == ["outputs", "attention", "heads", "correlations", "dimensions"]


def test_two_measures_do_not_write_over_each_other():
    plain = nn.Sequential(nn.Linear(4, 2))
    one, other = (lambda model, x, n=n: {"0": torch.full((2,), n)} for n in (1.0, 2.0))
    with pytest.raises(ValueError, match="two measures both find '0'; name the measures to tell them apart"):
        probe(plain, X, measure=[one, other])
    watch = probe(plain, X, measure={"a": one, "b": other})
    assert {name: array.tolist() for name, array in watch.arrays[0].items()} == {"a/0": [1, 1], "b/0": [2, 2]}


def test_whole_numbers_of_numpy_are_steps_and_other_measures_are_said():
    assert probe(nn.Identity(), X, every=np.int64(5), init_step=np.int32(5)).arrays.keys() == {5}
    for wrong in (None, 3):
        with pytest.raises(
            ValueError, match=f"measure={wrong} is no measure; give a name, a function of model and batch"
        ):
            probe(nn.Identity(), X, measure=wrong)
    with pytest.raises(ValueError, match="every=True must be a positive number of steps"):
        probe(nn.Identity(), X, every=True)
