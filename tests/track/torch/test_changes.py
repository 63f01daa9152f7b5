"""The model changes inside the block: what is new is recorded, what has gone ends, names are followed."""

import json

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune
from torch.optim import SGD, Adam

from tandv.track.common import read_pickle
from tandv.track.torch import track

ones = torch.ones(2, 2)


def net():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    for p in model.parameters():
        nn.init.ones_(p)
    return model


def constant(layer, value):
    for p in layer.parameters():
        nn.init.constant_(p, value)
    return layer


@pytest.fixture(params=["eager", "compiled"])
def made(request):
    """Return a function of a model: what is called in its place."""
    return torch.compile(backend="eager") if request.param == "compiled" else lambda model: model


@pytest.fixture
def changed(made):
    """Track a model that is changed after two steps; return the log and the events of the run."""

    def changed(model, change, batch=ones, at=2, steps=4, state=True, **arguments):
        optimizer = Adam(model.parameters(), lr=0.0) if list(model.parameters()) else None
        call = made(model)
        with track(model, optimizer=optimizer if state else None, **arguments) as tracker:
            for step in range(steps):
                if step == at:
                    change(model)
                    optimizer = Adam(model.parameters(), lr=0.0)
                if list(model.parameters()):
                    optimizer.zero_grad()
                    out = call(batch)
                    out.sum().backward()
                    optimizer.step()
                tracker.step()
        events = json.loads((tracker.path / "run.json").read_text()).get("events", [])
        return read_pickle(tracker.out_path), [(one["step"], one["event"]) for one in events]

    return changed


KINDS = ["Activation", "Gradient", "Weight", "Weight_Gradient", "Optimiser_State.exp_avg", "Optimiser_State.exp_avg_sq"]


def kinds(log, name, step):
    """Return the tensor types that a name has at a step, each once."""
    m = log["metadata"]
    found = m[(m["name"] == name) & (m["step"] == step)]["tensor_type"].astype(str).tolist()
    assert len(found) == len(set(found)), found
    return sorted(found)


def test_a_replaced_layer_is_the_one_that_is_recorded(changed, row):
    def change(model):
        model[1] = constant(nn.Linear(2, 3, bias=False), 5.0)

    log, events = changed(net(), change)
    assert all(kinds(log, "1", step) == sorted(KINDS) for step in range(4))
    assert [row(log, "1", "Weight", step)["mean"] for step in range(4)] == [1.0, 1.0, 5.0, 5.0]
    assert [row(log, "1", "Activation", step)["numel"] for step in range(4)] == [2, 2, 6, 6]
    assert [row(log, "1", "Optimiser_State.exp_avg", step)["numel"] for step in range(4)] == [2, 2, 6, 6]
    assert set(log["scalar_stats"]["calls"]) == {1}
    assert events == [(2, "module '1' was replaced")]


def test_weights_that_are_assigned_are_the_ones_that_are_recorded(changed, row):
    def change(model):
        model.load_state_dict({name: 3 * p.detach() for name, p in model.named_parameters()}, assign=True)

    log, events = changed(net(), change)
    assert all(kinds(log, name, step) == sorted(KINDS) for step in range(4) for name in ("0", "1"))
    assert [row(log, "0", "Weight", step)["mean"] for step in range(4)] == [1.0, 1.0, 3.0, 3.0]
    assert events == [(2, "2 parameters were replaced: '0', '1'")]


def test_appended_layers_begin_and_layers_that_are_taken_away_end(changed):
    def change(model):
        model.append(nn.Linear(1, 1))
        del model[0]

    log, events = changed(net(), change)
    assert kinds(log, "1.bias", 1) == [] and "Weight" in kinds(log, "1.bias", 2)  # what is new has moved up
    assert kinds(log, "1", 2) == sorted(KINDS)
    assert events == [(2, "2 modules were replaced: '0', '1'"), (2, "module '1' is now '0'")]


class Low(nn.Module):
    """A layer around another, as adapters are."""

    def __init__(self, base):
        super().__init__()
        self.base_layer = base.requires_grad_(False)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(2, 1, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(1, base.out_features, bias=False)})

    def forward(self, x):
        out = self.base_layer(x)
        for name in self.lora_A:
            out = out + self.lora_B[name](self.lora_A[name](x))
        return out


def test_adapters_put_in_place_of_layers_and_a_second_one(changed, row):
    def change(model):
        for name in ("0", "1"):
            setattr(model, name, Low(getattr(model, name)))

    log, events = changed(net(), change)
    assert kinds(log, "0.lora_A.default", 1) == [] and kinds(log, "0.lora_A.default", 2) == sorted(KINDS)
    assert (row(log, "0.base_layer", "Weight", 2)["mean"], kinds(log, "0", 2)) == (1.0, ["Activation", "Gradient"])
    assert "Weight_Gradient" not in kinds(log, "0.base_layer", 2)
    assert (2, "2 modules were replaced: '0', '1'") in events and (2, "module '0' is now '0.base_layer'") in events

    def second(model):
        for one in model:
            one.lora_A["other"] = nn.Linear(2, 1, bias=False)
            one.lora_B["other"] = nn.Linear(1, one.base_layer.out_features, bias=False)

    model = net()
    change(model)
    log, _ = changed(model, second)
    assert kinds(log, "1.lora_B.other", 1) == [] and kinds(log, "1.lora_B.other", 2) == sorted(KINDS)
    assert kinds(log, "1.lora_B.default", 3) == sorted(KINDS)


class Empty(nn.Module):
    """A model that gets its layers when training begins."""

    def forward(self, x):
        return self.layers(x)


def test_an_empty_model_that_gets_its_layers_later(changed):
    def change(model):
        model.layers = net()

    log, events = changed(Empty(), change, at=0, include="layers.1")
    assert all(kinds(log, "layers.1", step) == sorted(KINDS) for step in range(4))
    assert kinds(log, "layers.0", 0) == []
    assert events == [(0, "module 'layers' was added")]


def test_what_is_selected_applies_to_what_comes_later(changed):
    def change(model):
        model.append(nn.Linear(1, 1))

    log, _ = changed(net(), change, exclude="bias|^0")
    assert kinds(log, "2", 2) == sorted(KINDS)
    assert kinds(log, "2.bias", 2) == [] == kinds(log, "0", 2)


def test_pruned_and_parametrised_layers_keep_their_weights_by_their_new_names(changed, row):
    class Twice(nn.Module):
        def forward(self, x):
            return 2 * x

    log, events = changed(net(), lambda model: prune.l1_unstructured(model[0], "weight", amount=0.5))
    assert row(log, "0.weight_orig", "Weight", 2)["mean"] == 1.0
    assert "Weight_Gradient" in kinds(log, "0.weight_orig", 2) and "Weight" not in kinds(log, "0", 2)
    assert events == [(2, "parameter '0' is now '0.weight_orig'")]
    log, events = changed(net(), lambda model: parametrize.register_parametrization(model[0], "weight", Twice()))
    assert "Weight_Gradient" in kinds(log, "0.parametrizations.weight.original", 2)
    assert "Weight" not in kinds(log, "0", 2)
    assert any("parametrizations" in text for _, text in events)


def test_a_pruned_layer_has_its_old_name_again_when_the_mask_is_applied(changed, row):
    model = net()
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    log, events = changed(model, lambda model: prune.remove(model[0], "weight"))
    assert row(log, "0.weight_orig", "Weight", 1)["mean"] == 1.0
    assert row(log, "0", "Weight", 2)["mean"] == 0.5
    assert "Weight_Gradient" in kinds(log, "0", 2) and "Weight" not in kinds(log, "0.weight_orig", 2)
    assert events == [(2, "parameter '0.weight_orig' is now '0'")]


class Language(nn.Module):
    def __init__(self, words):
        super().__init__()
        self.words = nn.Embedding(words, 2)
        self.head = nn.Linear(2, words, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x):
        return self.head(self.words(x))

    def resize(self, words):
        old, self.words = self.words, nn.Embedding(words, 2)
        with torch.no_grad():
            self.words.weight[: old.num_embeddings] = old.weight
        self.head = nn.Linear(2, words, bias=False)
        self.head.weight = self.words.weight


def test_resized_embeddings_that_are_tied_to_a_head(changed, row):
    log, _ = changed(Language(3), lambda model: model.resize(5), batch=torch.tensor([[0, 1]]))
    assert [row(log, "words", "Weight", step)["numel"] for step in range(4)] == [6, 6, 10, 10]
    assert [row(log, "words", "Weight_Gradient", step)["numel"] for step in range(4)] == [6, 6, 10, 10]
    assert [row(log, "head", "Activation", step)["numel"] for step in range(4)] == [6, 6, 10, 10]


def test_changes_after_the_optimisers_step_are_of_the_next_step(run, row):
    model, optimizers = net(), []

    def update(tracker):
        optimizer = SGD(model.parameters(), lr=0.1)
        model(ones).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        model[1] = constant(nn.Linear(2, 1, bias=False), 5.0 + tracker.steps)
        optimizers.append(optimizer)

    log = run(model, update, steps=3)
    assert [row(log, "1", "Weight", step)["mean"] for step in range(3)] == [1.0, 5.0, 6.0]
    assert {row(log, "1", "Weight", step)["calls"] for step in range(3)} == {1}
    assert all("Weight_Gradient" in kinds(log, "1", step) for step in range(3))


def test_changes_in_steps_that_are_not_recorded_have_the_step_of_the_change(changed):
    def change(model):
        model[1] = nn.Linear(2, 1)

    _, events = changed(net(), change, at=3, steps=8, every=5)
    assert events == [(3, "module '1' was replaced")]


def test_what_has_gone_is_let_go():
    import weakref

    model = net()
    with track(model, every=10) as tracker:
        old = weakref.ref(model[1])
        model[1] = nn.Linear(2, 1)
        tracker.step()
        assert old() is None


def test_a_functional_call_changes_nothing(run, row, quantities):
    model, other = net(), net()
    constant(other, 7.0)

    def update(tracker):
        torch.func.functional_call(model, dict(other.named_parameters()), ones).sum().backward()

    log = run(model, update, steps=2)
    for step in (0, 1):
        assert row(log, "0", "Weight", step)["mean"] == 1.0
        assert row(log, "0", "Activation", step)["mean"] == 14.0


@pytest.mark.parametrize("raster", [False, True])
def test_insight_follows(changed, raster):
    def change(model):
        model[1] = nn.Linear(2, 3, bias=False)
        model.append(nn.Linear(3, 1, bias=False))
        model[0].register_parameter("bias", nn.Parameter(torch.ones(2)))

    log, _ = changed(net(), change, insight={"raster": 100} if raster else True)
    m, norms = log["metadata"], log["scalar_stats"]["gradient_norm"]
    for name, first in (("0", 0), ("1", 0), ("2", 2), ("0.bias", 2)):
        mine = norms[(m["name"] == name) & (m["tensor_type"] == "Weight_Gradient")]
        assert len(mine) == 4 - first and mine.notna().all(), name


def test_insight_goes_on_under_new_names(changed):
    log, _ = changed(net(), lambda model: prune.l1_unstructured(model[0], "weight", amount=0.5), insight=True)
    m, stats = log["metadata"], log["scalar_stats"]
    mine = stats[(m["name"] == "0.weight_orig") & (m["tensor_type"] == "Weight_Gradient")]
    assert len(mine) == 2 and mine["gradient_norm"].notna().all()


def test_optimisers_made_later_are_found_and_said_once(run, row, capsys):
    model, made = net(), []

    def update(_):
        if not made:
            made.extend([Adam(model[0].parameters(), lr=0.0), Adam(model[1].parameters(), lr=0.0)])
        model(ones).sum().backward()
        for one in made:
            one.step()
            one.zero_grad()

    log = run(model, update, steps=3)
    assert all("Optimiser_State.exp_avg" in kinds(log, name, step) for name in ("0", "1") for step in range(3))
    assert capsys.readouterr().err.count("Adam steps on the model's parameters though track() was not given it") == 1


def test_of_two_optimisers_of_a_parameter_the_one_that_stepped_last_shows_its_state(run, row):
    model = net()
    made = [Adam(model.parameters(), lr=0.0, betas=(0.5, 0.9)), Adam(model.parameters(), lr=0.0, betas=(0.0, 0.9))]

    def update(tracker):
        optimizer = made[tracker.steps // 2]
        optimizer.zero_grad()
        model(ones).sum().backward()
        optimizer.step()

    log = run(model, update, steps=4, optimizer=made[0])
    weights = [row(log, "1", "Weight_Gradient", step)["mean"] for step in range(4)]
    states = [row(log, "1", "Optimiser_State.exp_avg", step) for step in range(4)]
    assert [one["calls"] for one in states] == [1, 1, 1, 1]
    assert [one["mean"] for one in states] == [weights[0] / 2, weights[1] * 0.75, weights[2], weights[3]]


def test_a_parameter_that_comes_after_the_forward_pass_began_is_recorded_in_the_same_step(run, row):
    model = net()

    def update(tracker):
        if tracker.steps == 1:
            model(ones)  # a look at the outputs, after which a parameter is another one
            model[1].weight = nn.Parameter(torch.full((1, 2), 3.0))
            model[1].bias = nn.Parameter(torch.full((1,), 5.0))
        optimizer = SGD(model.parameters(), lr=1.0)
        optimizer.zero_grad()
        model(ones).sum().backward()
        optimizer.step()

    log = run(model, update, steps=2, track_updates=True)
    assert row(log, "1.bias", "Weight", 1)["mean"] == 5.0
    assert row(log, "1.bias", "Weight_Gradient", 1)["mean"] == 2.0  # of two samples
    assert row(log, "1.bias", "Weight_Update", 1)["mean"] == -2.0


def test_a_layer_put_in_place_within_a_step_is_found_whatever_ran_before(run, row):
    model, criterion = net(), nn.Identity()

    def update(tracker):
        criterion(model(ones)).sum().backward()
        if tracker.steps == 1:
            model[1] = constant(nn.Linear(2, 3, bias=False), 5.0)
        criterion(model(ones)).sum().backward()

    log = run(model, update, steps=3)
    outputs = [row(log, "1", "Activation", step) for step in range(3)]
    assert [(one["calls"], one["numel"], one["max_abs"]) for one in outputs] == [(2, 4, 4), (2, 8, 20), (2, 12, 20)]


def test_the_outputs_of_a_new_parametrisation_are_of_the_step_in_which_it_comes(run, row):
    class Twice(nn.Module):
        def forward(self, x):
            return 2 * x

    model = net()

    def update(tracker):
        if tracker.steps == 1:
            parametrize.register_parametrization(model[0], "weight", Twice())  # which runs it
        model(ones).sum().backward()

    log = run(model, update, steps=2)
    names = ("0.parametrizations.weight.0", "0")
    assert [row(log, name, "Activation", 1)["mean"] for name in names] == [2.0, 4.0]
    assert row(log, "0", "Activation", 0)["mean"] == 2.0


def test_a_parametrisation_that_is_removed_before_the_forward_pass_is_gone_in_that_step(run, row, quantities):
    class Twice(nn.Module):
        def forward(self, x):
            return 2 * x

    model = net()
    parametrize.register_parametrization(model[0], "weight", Twice())

    def update(tracker):
        if tracker.steps == 1:
            parametrize.remove_parametrizations(model[0], "weight")  # which runs it once more
        model(ones).sum().backward()

    log = run(model, update, steps=2)
    old = "0.parametrizations.weight.original"
    assert row(log, old, "Weight", 0)["mean"] == 1.0
    assert row(log, "0", "Weight", 1)["mean"] == 2.0
    assert ("Weight", old) not in quantities(log, 1) and ("Weight_Gradient", "0") in quantities(log, 1)


def test_a_weight_that_has_another_name_during_the_forward_pass_alone_is_recorded_once(run, row, quantities):
    class Twice(nn.Module):
        def forward(self, x):
            return 2 * x

    class Adapted(nn.Module):  # as adapters of peft for parameters are
        def __init__(self):
            super().__init__()
            self.layer = constant(nn.Linear(2, 2, bias=False), 1.0)

        def forward(self, x):
            parametrize.register_parametrization(self.layer, "weight", Twice())
            try:
                return self.layer(x)
            finally:
                parametrize.remove_parametrizations(self.layer, "weight", leave_parametrized=False)

    model = nn.Sequential(nn.Identity(), Adapted())
    log = run(model, lambda _: model(ones).sum().backward(), steps=2)
    for step in range(2):
        assert [name for kind, name in quantities(log, step) if kind == "Weight"] == ["1.layer"]
        assert row(log, "1.layer", "Weight", step)["mean"] == 1.0
        assert row(log, "1.layer", "Activation", step)["mean"] == 4.0


def test_a_parametrisation_that_runs_by_itself_is_an_output_that_was_seen(run, row, capsys):
    class Twice(nn.Module):
        def forward(self, x):
            return 2 * x

    model = net()
    parametrize.register_parametrization(model[0], "weight", Twice())
    log = run(model, lambda _: model[0].weight.sum().backward())
    assert row(log, "0.parametrizations.weight.0", "Activation")["mean"] == 2.0
    assert row(log, "0.parametrizations.weight.original", "Weight_Gradient")["mean"] == 2.0
    assert "no module output was seen" not in capsys.readouterr().err
