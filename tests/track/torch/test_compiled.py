"""Models under torch.compile: the rows of eager mode, in one graph, and nothing changed."""

import contextlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters
from torch.nn import functional

import tandv
from tandv.demo.torch_gpt import GPT
from tandv.track.common import read_pickle
from tandv.track.torch import track

pytestmark = pytest.mark.slow

STATISTICS = ("mean_abs", "max_abs", "rm2", "rm4", "rm8")


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()
    counters.clear()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.")  # inductor's own imports
        yield
    torch.compiler.reset()


def gpt() -> nn.Module:
    return GPT(layers=1, width=16, heads=2, context=8)


class Attending(nn.Module):
    """What inductor compiles to few kernels, each of which takes a C++ compiler some seconds."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Embedding(256, 16), nn.LayerNorm(16)
        self.qkv = nn.Linear(16, 48, bias=False)  # the gradient of a key's bias is rounding, which Adam makes a step of
        self.out = nn.Linear(16, 256)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        q, k, v = self.qkv(self.norm(x)).unsqueeze(1).chunk(3, dim=-1)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True).squeeze(1)
        return self.out(x + functional.gelu(mixed))


class Training:
    """A small language model whose steps can be compiled."""

    def __init__(self, backend: str | None = None, whole: bool = False, make: Callable[[], nn.Module] = gpt):
        torch.manual_seed(0)
        self.model = make()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        self.tokens = torch.randint(256, (4, 9))
        self.called = self.model
        if backend and not whole:
            self.called = torch.compile(self.model, fullgraph=True, backend=backend)
        self.loss = torch.compile(self._loss, fullgraph=True, backend=backend) if whole else self._loss

    def _loss(self) -> torch.Tensor:
        logits = self.called(self.tokens[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1), self.tokens[:, 1:].flatten())

    def step(self) -> float:
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def tracked(self, steps=4, wrapped=False, **arguments):
        with track(self.called if wrapped else self.model, optimizer=self.optimizer, **arguments) as tracker:
            losses = []
            for _ in range(steps):
                losses.append(self.step())
                tracker.step()
        return losses, by_key(read_pickle(tracker.out_path))


def by_key(log):
    m = log["metadata"]
    keys = zip(m["step"], m["tensor_type"], m["name"], strict=True)
    counts = log["exponent_counts"].to_dict("records")
    return dict(zip(keys, zip(log["scalar_stats"].to_dict("records"), counts, strict=True), strict=True))


def same(found, expected, exactly):
    assert set(found) == set(expected)
    for key, (scalars, counts) in expected.items():
        mine, my_counts = found[key]
        for name in ("numel", "nans", "infs", "calls"):
            assert mine[name] == scalars[name], (key, name)
        for name in STATISTICS:
            assert mine[name] == pytest.approx(scalars[name], rel=1e-12 if exactly else 1e-4), (key, name)
        if exactly:
            assert {n: c for n, c in my_counts.items() if c} == {n: c for n, c in counts.items() if c}, key


@pytest.mark.parametrize("how", ["model", "function", "wrapped", "compiled before"])
def test_rows_are_those_of_eager_mode_and_the_run_is_the_same(how):
    _, expected = Training().tracked()
    bare = Training("aot_eager", whole=how == "function")
    losses = [bare.step() for _ in range(5)]
    torch.compiler.reset()
    training = Training("aot_eager", whole=how == "function")
    if how == "compiled before":
        assert training.step() == losses[0]
        training = Training("aot_eager")
    found_losses, found = training.tracked(wrapped=how == "wrapped")
    assert [*found_losses, training.step()] == losses
    same(found, expected, exactly=True)
    assert not counters["graph_break"]


def test_inductor_gives_the_same_rows_to_rounding_and_the_same_run():
    _, expected = Training(make=Attending).tracked(steps=2)
    bare = Training("inductor", make=Attending)
    losses = [bare.step() for _ in range(2)]
    torch.compiler.reset()
    found_losses, found = Training("inductor", make=Attending).tracked(steps=2)
    assert found_losses == losses
    same(found, expected, exactly=False)


def test_nothing_is_compiled_again_after_the_second_step():
    training = Training("aot_eager")
    graphs = []
    with track(training.model, optimizer=training.optimizer, every=3) as tracker:
        for _ in range(8):
            training.step()
            tracker.step()
            graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[1:] == 7 * [graphs[0] + 1]  # one more graph, which does not record
    assert sorted({step for step, *_ in by_key(read_pickle(tracker.out_path))}) == [0, 3, 6]


def test_a_graph_that_records_is_not_used_after_the_block(monkeypatch):
    training = Training("aot_eager")
    training.tracked(steps=2)
    seen = []
    monkeypatch.setattr("tandv.track.torch._compiled_outputs.CompiledOutputs._receive", lambda *a: seen.append(a))
    training.step()
    assert not seen


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


class Outputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return {"pair": Pair(self.a(x), self.b(x)), "list": [x * 2, x.argmax()], "n": 3}


def test_tensors_inside_of_outputs_are_found():
    def rows(compiled):
        torch.manual_seed(0)
        model, x = Outputs(), torch.randn(2, 3)
        called = torch.compile(model, fullgraph=True, backend="aot_eager") if compiled else model
        with warnings.catch_warnings(), track(model) as tracker:
            warnings.filterwarnings("ignore", "tandv: tensors of int64")
            out = called(x)
            assert isinstance(out["pair"], Pair) and out["n"] == 3 and out["list"][1].dtype == torch.int64
            (out["pair"].first.sum() + out["pair"].second.square().sum()).backward()
            tracker.step()
        return by_key(read_pickle(tracker.out_path))

    same(rows(compiled=True), rows(compiled=False), exactly=True)


def test_recomputed_activations_are_counted_once():
    from torch.utils.checkpoint import checkpoint

    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.b(checkpoint(lambda x: self.a(x).sin(), x, use_reentrant=False))

    torch.manual_seed(0)
    model = Checkpointed()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with track(model) as tracker:
        compiled(torch.randn(2, 4, requires_grad=True)).square().sum().backward()
        tracker.step()
    found = by_key(read_pickle(tracker.out_path))
    assert {name: found[0, "Activation", name][0]["calls"] for name in ("a", "b")} == {"a": 1, "b": 1}
    assert (0, "Gradient", "a") in found


def test_a_failure_while_recording_does_not_stop_a_compiled_model(monkeypatch):
    training = Training("aot_eager")
    expected = [training.step() for _ in range(2)]
    training = Training("aot_eager")

    def broken(*_):
        raise RuntimeError("broken")

    tracker = track(training.model, optimizer=training.optimizer, track_weights=False)
    words = r"tracking stopped at step 0, in the compiled pass of 'tokens'.*broken"
    with pytest.warns(UserWarning, match=words), tracker:
        monkeypatch.setattr(tracker.measurements, "add", broken)
        losses = []
        for _ in range(2):
            losses.append(training.step())
            tracker.step()
    assert losses == expected


def test_a_compiled_optimiser_is_looked_into_and_not_compiled_with_the_tracker():
    def trained(tracked):
        torch.manual_seed(0)
        model = nn.Linear(4, 2)
        optimizer = torch.optim.AdamW(model.parameters(), lr=torch.tensor(0.01))
        step = torch.compile(optimizer.step, backend="aot_eager")
        counters.clear()
        with track(model, insight=True) if tracked else contextlib.nullcontext() as tracker:
            for _ in range(3):
                before = model.weight.detach().clone()
                optimizer.zero_grad()
                model(torch.ones(1, 4)).square().sum().backward()
                step()
                if tracker is not None:
                    tracker.step()
        change = float((model.weight - before).detach().norm())
        return model, tracker, change, sum(counters["graph_break"].values())

    bare, _, _, bare_breaks = trained(False)
    model, tracker, change, breaks = trained(True)
    assert tracker is not None
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), bare.parameters(), strict=True))
    last = by_key(read_pickle(tracker.out_path))[2, "Weight_Gradient", "Linear"][0]
    assert last["update_norm"] == pytest.approx(change)
    assert last["calls"] == 1
    assert breaks <= bare_breaks + 1


def test_where_a_whole_step_is_compiled_the_trackers_own_code_is_not(tmp_path):
    codes = []
    handle = torch._dynamo.convert_frame.register_bytecode_hook(lambda code, _: codes.append(code))
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))

    @torch.compile(backend="eager")
    def step():
        loss = model(torch.ones(3, 2)).square().sum()
        loss.backward()
        tracker.step(loss=loss)
        return loss

    with track(model, path=tmp_path / "run") as tracker:
        for _ in range(2):
            step()
    handle.remove()
    ours = {code.co_name for code in codes if code.co_filename.startswith(str(Path(tandv.__file__).parent))}
    assert ours <= {"<lambda>"}  # a hook that is part of the graph
    assert len(by_key(read_pickle(tracker.out_path))) == 2 * (3 + 3 + 4 + 4)
