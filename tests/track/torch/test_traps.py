"""Situations of real training in which trackers go wrong."""

import copy
import dataclasses

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tandv.track.common import read_pickle
from tandv.track.torch import track

ones = torch.ones(2, 3)


def test_in_place_modules_after_a_layer(run, row):
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU(inplace=True))
    with torch.no_grad():
        model[0].weight.copy_(torch.diag(torch.tensor([1.0, -1.0, 2.0])))
    log = run(model, lambda _: model(ones).sum().backward())
    # The layer's output is measured before it is overwritten, its gradient is the one at that moment.
    assert (row(log, "0", "Activation")["mean"], row(log, "0", "Activation")["zeros"]) == (pytest.approx(2 / 3), 0)
    assert (row(log, "1", "Activation")["mean"], row(log, "1", "Activation")["zeros"]) == (1.0, 2)
    assert (row(log, "0", "Gradient")["zeros"], row(log, "1", "Gradient")["zeros"]) == (2, 0)
    assert row(log, "Sequential", "Gradient")["mean"] == 1.0


def test_in_place_modules_in_inference_mode(run, row):
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU(inplace=True), nn.Identity())
    with torch.no_grad():
        model[0].weight.copy_(torch.diag(torch.tensor([1.0, -1.0, 2.0])))

    def update(_):
        with torch.inference_mode():
            model(ones)

    log = run(model, update, inputs=True)
    assert (row(log, "0", "Activation")["mean"], row(log, "1", "Input")["zeros"]) == (pytest.approx(2 / 3), 0)
    for name, kind in (("1", "Activation"), ("2", "Input"), ("2", "Activation"), ("Sequential", "Activation")):
        assert (row(log, name, kind)["mean"], row(log, name, kind)["zeros"]) == (1.0, 2)


def test_outputs_changed_in_place_by_the_users_code(run, row):
    model = nn.Linear(3, 1, bias=False)
    nn.init.ones_(model.weight)
    log = run(model, lambda _: model(ones).mul_(10).sum().backward())
    assert (row(log, "Linear", "Activation")["mean"], row(log, "Linear", "Gradient")["mean"]) == (3.0, 10.0)


@dataclasses.dataclass
class Output:
    logits: torch.Tensor
    note: str = "none"


class ReturnsDataclass(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return Output(self.layer(x))


def test_dataclasses_are_opened(run, quantities):
    model = ReturnsDataclass()
    log = run(model, lambda _: model(ones).logits.sum().backward(), track_weights=False)
    assert ("Activation", "ReturnsDataclass[logits]") in quantities(log)
    assert ("Gradient", "ReturnsDataclass[logits]") in quantities(log)


def test_lstm_outputs_and_a_loop_of_cells(run, row):
    model = nn.LSTM(3, 4)
    log = run(model, lambda _: model(torch.ones(5, 1, 3))[0].sum().backward())
    assert row(log, "LSTM[0]", "Activation")["numel"] == 20
    assert row(log, "LSTM[1][1]", "Activation")["numel"] == 4
    assert row(log, "weight_ih_l0", "Weight_Gradient")["numel"] == 48


def test_states_are_found_by_identity_in_several_groups(run, row):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 6))
    model[1].requires_grad_(False)
    decay, rest = [model[2].weight, model[0].weight], [model[2].bias]
    optimizer = torch.optim.AdamW([{"params": decay}, {"params": rest, "weight_decay": 0.0}])

    def update(_):
        model(ones).sum().backward()
        optimizer.step()

    log = run(model, update, optimizer=optimizer)
    sizes = {name: row(log, name, "Optimiser_State.exp_avg")["numel"] for name in ("0", "2", "2.bias")}
    assert sizes == {"0": 12, "2": 30, "2.bias": 6}
    kinds = log[log["metadata"]["name"] == "1"]["metadata"]["tensor_type"]
    assert set(kinds) == {"Activation", "Gradient", "Weight"}
    assert row(log, "0.bias", "Weight_Gradient")["numel"] == 4  # in no optimiser, but there


def test_shared_parameters_and_modules_have_one_row(run, quantities, row):
    model = nn.ModuleDict({"embed": nn.Embedding(7, 3), "head": nn.Linear(3, 7, bias=False)})
    model["head"].weight = model["embed"].weight
    log = run(model, lambda _: model["head"](model["embed"](torch.tensor([1]))).sum().backward())
    weights = [quantity for quantity in quantities(log) if quantity[0].startswith("Weight")]
    assert weights == [("Weight", "embed"), ("Weight_Gradient", "embed")]


def test_gradients_are_those_the_optimiser_receives(run, row):
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)

    def update(_):
        (model(torch.tensor([[8.0]])).sum()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        optimizer.zero_grad()  # before tracker.step()

    log = run(model, update)
    assert row(log, "Linear", "Weight_Gradient")["mean"] == pytest.approx(2.0)
    assert row(log, "Linear", "Weight")["mean"] == 1.0


def test_weights_loaded_inside_the_block_are_the_ones_recorded(run, row):
    model = nn.Linear(1, 1, bias=False)

    def update(_):
        nn.init.constant_(model.weight, 7.0)  # as load_state_dict would, after tracking began
        model(torch.ones(1, 1)).sum().backward()
        with torch.no_grad():
            model.weight -= model.weight.grad  # an optimiser of one's own

    log = run(model, update, track_updates=True)
    assert row(log, "Linear", "Weight")["mean"] == 7.0
    assert row(log, "Linear", "Weight_Gradient")["mean"] == 1.0
    assert row(log, "Linear", "Weight_Update")["mean"] == -1.0


def scaled_step(value: float):
    """Return a model whose gradient is `value`, and a training step that scales its loss by 1,024."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def update(_):
        optimizer.zero_grad()
        scaler.scale(model(torch.tensor([[value]])).sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    return model, update


def test_loss_scaling_is_undone_and_logged(run, row):
    log = run(*scaled_step(8.0))
    assert row(log, "Linear", "Gradient")["mean"] == 1.0
    assert row(log, "Linear", "Weight_Gradient")["mean"] == 8.0
    assert row(log, "Linear", "Weight")["loss_scale"] == 1024.0
    assert row(log, "Linear", "Weight")["skipped"] == 0.0


def test_a_step_that_the_scaler_skips_is_marked(run, row):
    log = run(*scaled_step(1e37), steps=2)  # which overflows when scaled
    assert [row(log, "Linear", "Weight", step)["skipped"] for step in range(2)] == [1.0, 1.0]
    assert [row(log, "Linear", "Weight", step)["loss_scale"] for step in range(2)] == [1024.0, 512.0]
    assert row(log, "Linear", "Weight_Gradient")["infs"] == 1
    assert row(log, "Linear", "Weight", 1)["mean"] == 1.0


@pytest.mark.parametrize("unscales", [False, True])
def test_a_fused_optimiser_unscales_and_skips_by_itself(run, row, unscales):
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    inputs = iter([8.0, 1e37])  # the second overflows when scaled

    def update(_):
        optimizer.zero_grad()
        scaler.scale(model(torch.tensor([[next(inputs)]])).sum()).backward()
        if unscales:
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()

    log = run(model, update, steps=2)
    assert row(log, "Linear", "Weight_Gradient")["mean"] == 8.0
    assert row(log, "Linear", "Weight_Gradient", 1)["infs"] == 1
    assert [row(log, "Linear", "Weight", step)["skipped"] for step in range(2)] == [0.0, 1.0]
    assert model.weight.item() == 1.0 - 8.0


def test_a_run_without_scaling_has_no_such_columns(run):
    model = nn.Linear(1, 1)
    log = run(model, lambda _: model(torch.ones(1, 1)).sum().backward())
    assert not {"loss_scale", "skipped"} & set(log["scalar_stats"])
    assert torch.amp.GradScaler.scale.__module__.startswith("torch")


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_counts_once(run, row, reentrant):
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(3, 3), nn.Tanh())

        def forward(self, x):
            return checkpoint(self.inner, x, use_reentrant=reentrant)

    model = Checkpointed()
    log = run(model, lambda _: model(ones.clone().requires_grad_()).sum().backward())
    for name in ("Checkpointed", "inner", "inner.0", "inner.1"):
        for kind in ("Activation", "Gradient"):
            assert (row(log, name, kind)["calls"], row(log, name, kind)["numel"]) == (1, 6), (name, kind)


def test_passes_in_eval_mode_are_not_recorded_unless_wished(run, row):
    model = nn.Sequential(nn.Linear(3, 1))

    def update(_):
        model(ones)
        model.eval()
        model(ones)  # and left on at step()

    log = run(model, update, steps=2)
    assert row(log, "0", "Activation", 0)["calls"] == 1
    assert set(log["metadata"]["step"][log["metadata"]["tensor_type"] == "Weight"]) == {0, 1}
    model.train()
    log = run(model, update, only_stash_during_training=False)
    assert row(log, "0", "Activation")["calls"] == 2


def test_forward_before_the_block_and_a_copied_model_leave_no_rows(row):
    model = nn.Linear(3, 1)
    tracker = track(model)
    model(ones)
    with tracker:
        average = copy.deepcopy(model)
        average(ones)
        model(ones)
        tracker.step()
    assert row(read_pickle(tracker.out_path), "Linear", "Activation")["calls"] == 1


def test_closures_and_lbfgs(run, row):
    model = nn.Linear(3, 1)
    for optimizer in (torch.optim.SGD(model.parameters(), lr=0.1), torch.optim.LBFGS(model.parameters(), max_iter=3)):

        def closure(optimizer=optimizer):
            optimizer.zero_grad()
            loss = (model(ones) - 1).square().mean()
            loss.backward()
            return loss

        def update(_, optimizer=optimizer, closure=closure):
            optimizer.step(closure)

        if isinstance(optimizer, torch.optim.LBFGS):
            with pytest.warns(UserWarning, match="state of LBFGS belongs to no single parameter"):
                log = run(model, update, optimizer=optimizer)
        else:
            log = run(model, update, optimizer=optimizer)
        assert row(log, "Linear", "Weight_Gradient")["numel"] == 3
        assert row(log, "Linear", "Activation")["calls"] >= 1


def test_gradients_by_autograd_grad(run, row):
    model = nn.Linear(3, 1)
    log = run(model, lambda _: torch.autograd.grad(model(ones).sum(), list(model.parameters())))
    assert row(log, "Linear", "Gradient")["mean"] == 1.0


@pytest.mark.parametrize("options", [{"foreach": True}, {"fused": True}, {"amsgrad": True}])
def test_variants_of_adam(run, quantities, options):
    model = nn.Linear(3, 1)
    optimizer = torch.optim.AdamW(model.parameters(), **options)

    def update(_):
        model(ones).sum().backward()
        optimizer.step()

    kinds = {kind for kind, name in quantities(run(model, update, optimizer=optimizer)) if name == "Linear"}
    states = {"exp_avg", "exp_avg_sq"} | ({"max_exp_avg_sq"} if "amsgrad" in options else set())
    assert {kind for kind in kinds if "State" in kind} == {f"Optimiser_State.{key}" for key in states}


def test_several_optimisers_of_one_model(run, row):
    model = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 1)])
    first = torch.optim.SGD(model[0].parameters(), lr=0.1, momentum=0.9)
    second = torch.optim.Adam(model[1].parameters())

    def update(_):
        model[1](model[0](ones)).sum().backward()
        first.step()
        second.step()

    log = run(model, update, optimizer=[first, second])
    assert row(log, "0", "Optimiser_State.momentum_buffer")["numel"] == 9
    assert row(log, "1", "Optimiser_State.exp_avg")["numel"] == 3


def test_sparse_gradients_count_their_stored_values(run, row):
    model = nn.Embedding(100, 2, sparse=True)
    log = run(model, lambda _: model(torch.tensor([4, 4, 9])).sum().backward())
    gradient = row(log, "Embedding", "Weight_Gradient")
    assert (gradient["numel"], gradient["max_abs"], gradient["min_abs"]) == (4, 2.0, 1.0)


def test_complex_numbers_and_func_transforms_are_left_out_and_said(run, quantities):
    class Complex(nn.Module):
        def forward(self, x):
            return torch.complex(x, x)

    model = nn.ModuleList([Complex(), nn.Linear(3, 1), Complex()])

    def update(_):
        model[0](ones)
        model[2](ones)
        torch.func.vmap(model[1])(ones)
        model[1](ones)

    with pytest.warns(UserWarning) as said:
        log = run(model, update, track_weights=False)
    words = sorted(str(warning.message) for warning in said)
    assert len(words) == 2  # however many modules there are
    assert "tensors inside torch.func or vmap are not measured (first met at '1')" in words[0]
    assert "tensors of complex64 are not measured (first met at '0')" in words[1]
    assert quantities(log) == [("Activation", "1")]


def test_autocast_rows_have_the_dtype_of_the_output(run):
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))

    def update(_):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            model(ones).sum().backward()

    log = run(model, update)
    dtypes = log["metadata"].set_index(["tensor_type", "name"])["dtype"]
    assert dtypes["Activation", "0"] == dtypes["Gradient", "0"] == "bfloat16"
    assert dtypes["Weight_Gradient", "0"] == "float32"


def test_two_trackers_at_once(row):
    model = nn.Sequential(nn.Linear(3, 1))
    with track(model, name="both") as one, track(model[0], name="both", every=2) as other:
        for _ in range(2):
            model(ones).sum().backward()
            one.step()
            other.step()
    assert (one.path.name, other.path.name) == ("both", "both-2")
    logs = [read_pickle(tracker.out_path) for tracker in (one, other)]
    assert row(logs[0], "0", "Activation", 1)["calls"] == 1
    assert row(logs[1], "Linear", "Activation", 0) == row(logs[0], "0", "Activation", 0)
    assert set(logs[1]["metadata"]["step"]) == {0}


def test_a_validation_pass_in_train_mode_merges_and_says_so_in_calls(run, row):
    model = nn.Sequential(nn.Linear(3, 1))

    def update(_):
        model(ones).sum().backward()
        with torch.no_grad():
            model(ones)

    log = run(model, update)
    assert row(log, "0", "Activation")["calls"] == 2
    assert row(log, "0", "Gradient")["calls"] == 1


def test_a_step_without_module_outputs_says_so_and_keeps_the_weights(run, quantities):
    model = nn.Sequential(nn.Linear(3, 2))

    def update(_):
        nn.functional.linear(ones, model[0].weight, model[0].bias).sum().backward()

    with pytest.warns(UserWarning, match="no module output was seen in a step that has gradients"):
        log = run(model, update, steps=3)
    assert quantities(log, 2) == [(k, n) for k in ("Weight", "Weight_Gradient") for n in ("0", "0.bias")]
