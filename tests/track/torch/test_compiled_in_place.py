"""In-place work in and behind compiled graphs, and outputs that alias each other: the rows of eager mode."""

import contextlib
import warnings

import pytest
import torch
from torch import nn

from tandv.track.common import read_pickle
from tandv.track.torch import track


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.")  # inductor's own imports
        yield
    torch.compiler.reset()


class Residual(nn.Module):
    """A block of a ResNet: in-place addition and ReLU."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True)
        self.flat, self.head = nn.Flatten(), nn.Linear(48, 2)

    def forward(self, x):
        out = self.norm(self.conv(x))
        out += x
        return self.head(self.flat(self.relu(out)))


class Identities(nn.Module):
    """Outputs that are the very tensor that went in, changed in place behind the module."""

    def __init__(self):
        super().__init__()
        self.layer, self.same, self.tanh = nn.Linear(4, 4), nn.Identity(), nn.Tanh()

    def forward(self, x):
        out = self.same(self.layer(x).sin())
        out += 1
        return self.tanh(out) * 2


class ChangedViews(nn.Module):
    """Outputs that are views, changed in place inside of the graph."""

    def __init__(self):
        super().__init__()
        self.layer, self.flat, self.halves = nn.Linear(4, 4), nn.Flatten(1), nn.Unflatten(1, (2, -1))

    def forward(self, x):
        logits = self.layer(x)
        logits /= 4
        flat = self.flat(logits.sin())
        flat *= 3
        halves = self.halves(flat * 2)
        halves[:, 0] = 0
        return halves.sum(1)


class Logits(nn.Module):
    """A linear layer on more than two axes returns a view."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x)


class EndsInView(Logits):
    def __init__(self):
        super().__init__()
        self.flat = nn.Flatten(1)

    def forward(self, x):
        return self.flat(self.layer(x).sin())


class Dictionary(nn.Module):
    """Returns what transformers return: logits and hidden states, a tensor twice, and a slice."""

    def __init__(self):
        super().__init__()
        self.body, self.head = Logits(), nn.Linear(4, 4)

    def forward(self, x):
        hidden = self.body(x)
        logits = self.head(hidden)
        return {"logits": logits, "last": logits[:, -1], "hidden": (hidden, logits)}


def divided(out):
    out /= 4
    return out


def zeroed(out):
    out[0] = 0
    return out


def summed(out):
    if isinstance(out, torch.Tensor):
        return out.square().sum()
    return sum(map(summed, out.values() if isinstance(out, dict) else out))


def train(make, backend, change, how="model", tracked=True):
    """Return losses and parameters of two steps, and the rows of outputs and gradients by step, type and name."""
    torch.compiler.reset()
    torch.manual_seed(0)
    model: nn.Module = make()
    called = model
    if backend:
        called = torch.compile(model if how == "model" else lambda x: model(x), backend=backend, fullgraph=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    results, rows = [], {}
    with track(model) if tracked else contextlib.nullcontext() as tracker:
        for step in range(2):
            optimizer.zero_grad()
            x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(step))
            loss = summed(change(called(x)))
            loss.backward()
            optimizer.step()
            results.append(loss.detach())
            if tracker is not None:
                tracker.step()
    if tracker is not None:
        log = read_pickle(tracker.out_path)
        m, s = log["metadata"], log["scalar_stats"]
        kinds = m["tensor_type"].isin(["Activation", "Gradient"])
        keys = zip(m["step"][kinds], m["tensor_type"][kinds].astype(str), m["name"][kinds].astype(str), strict=True)
        rows = dict(zip(keys, s[kinds][["numel", "calls", "mean", "rm2", "max_abs"]].to_numpy().tolist(), strict=True))
    return results + [p.detach() for p in model.parameters()], rows


def same_bits(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def same_rows(found, expected, exactly=True):
    assert set(found) == set(expected)
    for key, numbers in expected.items():
        assert found[key] == pytest.approx(numbers, rel=1e-6 if exactly else 1e-3, abs=1e-6), key


def as_it_is(out):
    return out


CASES = [
    (Residual, as_it_is),
    (Residual, divided),
    (Identities, as_it_is),
    (Identities, zeroed),
    (ChangedViews, as_it_is),
    (Logits, divided),
    (Logits, zeroed),
    (EndsInView, divided),
]


@pytest.mark.parametrize(("make", "change"), CASES)
def test_eager_mode(make, change):
    bare, _ = train(make, None, change, tracked=False)
    results, rows = train(make, None, change)
    assert same_bits(results, bare)
    activations = {(step, name) for step, kind, name in rows if kind == "Activation"}
    assert activations == {(step, name) for step, kind, name in rows if kind == "Gradient"}


@pytest.mark.parametrize("backend", [pytest.param("eager", marks=pytest.mark.slow), "aot_eager"])
@pytest.mark.parametrize(
    ("make", "change"), [CASES[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in CASES[1:])]
)
def test_compiled(make, change, backend):
    _, expected = train(make, None, change)
    bare, _ = train(make, backend, change, tracked=False)
    results, rows = train(make, backend, change)
    assert same_bits(results, bare)
    same_rows(rows, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("make", "change"), [(Residual, divided), (Logits, zeroed)])
def test_inductor(make, change):
    _, expected = train(make, None, change)
    bare, _ = train(make, "inductor", change, tracked=False)
    results, rows = train(make, "inductor", change)
    assert same_bits(results, bare)
    same_rows(rows, expected, exactly=False)


def test_a_gradient_behind_in_place_work_on_a_view_is_that_of_the_output(run, row):
    model = nn.Linear(1, 2)
    x = torch.ones(2, 1, 1)

    def update(_):
        logits = model(x)
        logits /= 4
        logits[0] = 0
        (logits * torch.tensor([8.0, 16.0])).sum().backward()

    gradient = row(run(model, update), "Linear", "Gradient")
    assert (gradient["numel"], gradient["calls"], gradient["zeros"]) == (4, 1, 2)
    assert (gradient["mean"], gradient["max_abs"]) == (1.5, 4.0)  # 0, 0, 8 / 4 and 16 / 4


def change_first(out):
    out["logits"] /= 4
    return out


@pytest.mark.parametrize("change", [as_it_is, change_first])
def test_outputs_that_alias_each_other(change):
    _, expected = train(Dictionary, None, change)
    bare, _ = train(Dictionary, "aot_eager", change, tracked=False)
    results, rows = train(Dictionary, "aot_eager", change)
    assert same_bits(results, bare)
    of_root = {
        key for key in expected if key[1] == "Gradient" and key[2].startswith("Dictionary") and "last" not in key[2]
    }
    without = [{key: numbers for key, numbers in some.items() if key not in of_root} for some in (rows, expected)]
    same_rows(*without)
    assert set(rows) == set(expected)


SEVERAL = (
    r"the loss depends on several results of one compiled graph \('ComputesLoss\[loss\]', 'ComputesLoss\[logits\]'\)"
)


class ComputesLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.layer.weight)

    def forward(self, x):
        out = self.layer(x)
        return {"loss": 3 * out, "logits": out}


def test_the_gradients_of_a_compiled_model_are_those_from_outside_of_its_graph(run, row):
    """The one exception: in eager mode what the model computes of an output inside counts for that output, too."""
    model = ComputesLoss()
    for backend, of_logits in ((None, 8.0), ("aot_eager", 5.0)):
        torch.compiler.reset()
        called = torch.compile(model, backend=backend, fullgraph=True) if backend else model

        def update(_, called=called):
            out = called(torch.ones(1, 1))
            (out["loss"] + 5 * out["logits"]).sum().backward()

        with pytest.warns(UserWarning, match=SEVERAL) if backend else contextlib.nullcontext():
            log = run(model, update)
        assert row(log, "layer", "Gradient")["mean"] == 8.0
        assert row(log, "ComputesLoss[logits]", "Gradient")["mean"] == of_logits
        assert row(log, "ComputesLoss[loss]", "Gradient")["mean"] == 1.0


def test_a_gradient_that_stays_inside_of_a_graph_is_said(run, quantities):
    model = ComputesLoss()
    called = torch.compile(model, backend="aot_eager", fullgraph=True)
    with pytest.warns(UserWarning, match=r"the gradient of 'ComputesLoss\[logits\]' was not seen"):
        log = run(model, lambda _: called(torch.ones(1, 1))["loss"].sum().backward())
    gradients = [name for kind, name in quantities(log) if kind == "Gradient"]
    assert gradients == ["ComputesLoss[loss]", "layer"]


def test_a_view_that_a_compiled_function_returns_beside_its_base_is_said():
    with pytest.warns(UserWarning, match=r"the gradient of 'Dictionary\[last\]' was not seen"):
        _, rows = train(Dictionary, "aot_eager", as_it_is, how="function")
    _, expected = train(Dictionary, None, as_it_is)
    missing = {(step, "Gradient", "Dictionary[last]") for step in range(2)}
    same_rows(rows, {key: numbers for key, numbers in expected.items() if key not in missing})
