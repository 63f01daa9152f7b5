"""Which gradients are of a step: computed or put there in it, read as an optimiser receives them or as they arrive."""

import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD

from tandv.track.common import read_pickle
from tandv.track.torch import track
from tandv.track.torch._arrivals import Arrivals
from tandv.track.torch._passes import UNSCALED, PassScale

ones = torch.ones(1, 2)


def layers(n=2):
    """Return layers of [1, 1] without bias, whose weights are 1: each output is the sum of the inputs."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False), *[nn.Linear(1, 1, bias=False) for _ in range(n - 1)])
    for p in model.parameters():
        nn.init.ones_(p)
    return model


def gradients(log, name="0"):
    """Return {step: mean} of a parameter's gradients."""
    m = log["metadata"]
    log = log[(m["name"] == name) & (m["tensor_type"] == "Weight_Gradient")]
    assert not log["metadata"]["step"].duplicated().any()
    return dict(zip(log["metadata"]["step"].tolist(), log["scalar_stats"]["mean"].tolist(), strict=True))


@pytest.fixture(params=["eager", "compiled"])
def made(request):
    """Return a function of a model: what is called in its place."""
    return torch.compile(backend="eager") if request.param == "compiled" else lambda model: model


def test_what_an_earlier_step_left_is_not_of_this_one(run, made):
    model = layers()
    call, optimizer = made(model), SGD(model[1].parameters(), lr=0.0)

    def update(tracker):
        if tracker.steps == 2:
            model[0].requires_grad_(False)
        optimizer.zero_grad()
        call(ones).sum().backward()
        if tracker.steps < 2:
            model[0].weight.grad = model[0].weight.grad.clone()  # nobody clears it
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3)  # which writes what was left, too
        optimizer.step()

    log = run(model, update, steps=4)
    assert (list(gradients(log, "0")), list(gradients(log, "1"))) == ([0, 1], [0, 1, 2, 3])


def test_two_networks_that_take_turns_have_the_gradients_of_their_own_steps(run):
    nets = nn.ModuleDict({"critic": nn.Linear(2, 1, bias=False), "maker": nn.Linear(2, 2, bias=False)})
    critic, maker = SGD(nets["critic"].parameters(), lr=0.1), SGD(nets["maker"].parameters(), lr=0.1)

    def update(tracker):
        critic.zero_grad()
        nets["critic"](nets["maker"](ones).detach()).sum().backward()
        critic.step()
        if tracker.steps % 3 == 2:
            maker.zero_grad()
            nets["critic"](nets["maker"](ones)).sum().backward()
            maker.step()

    log = run(nets, update, steps=7)
    assert list(gradients(log, "critic")) == list(range(7))
    assert list(gradients(log, "maker")) == [2, 5]


def test_a_step_whose_forward_pass_failed_has_no_gradient(run):
    model = layers()
    optimizer = SGD(model.parameters(), lr=0.0)

    def update(tracker):
        try:
            output = model(ones if tracker.steps != 1 else torch.ones(1, 3))
        except RuntimeError:
            return
        optimizer.zero_grad()
        output.sum().backward()
        optimizer.step()

    assert gradients(run(model, update, steps=3)) == {0: 1.0, 2: 1.0}


def test_a_gradient_of_exact_zeros_that_an_optimiser_uses_is_one(run):
    model = layers()
    optimizer = SGD(model.parameters(), lr=0.0)

    def update(tracker):
        if tracker.steps:
            model[0](ones).sum().backward()  # the second layer is not reached
        else:
            model(ones).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    assert gradients(run(model, update, steps=3), "1") == {0: 2.0, 1: 0.0, 2: 0.0}


def test_left_over_gradients_that_an_optimiser_is_given_unchanged_are_not_of_the_step(run):
    model = layers()
    optimizer = SGD(model.parameters(), lr=0.0)

    def update(tracker):
        (model if tracker.steps == 0 else model[0])(ones).sum().backward()
        optimizer.step()

    assert list(gradients(run(model, update, steps=2), "1")) == [0]


def by_hand(model):
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.0 * p.grad
            p.grad = None


def by_hand_zeroing(model):
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.0 * p.grad
            p.grad.zero_()


def zeroing(model):
    model.zero_grad()


class Foreign:
    """An optimiser that is none of torch's."""

    def __call__(self, model):
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-0.0)
            p.grad = None


@pytest.mark.parametrize(
    "clear", [by_hand, by_hand_zeroing, zeroing, Foreign()], ids=["by hand", "zeroed", "zero_grad", "foreign"]
)
def test_gradients_that_are_cleared_before_the_step_is_over_are_read_as_they_arrive(run, made, clear):
    model = layers()
    call = made(model)

    def update(_):
        call(ones).sum().backward()
        clear(model)

    log = run(model, update, steps=3)
    assert (gradients(log, "0"), gradients(log, "1")) == ({0: 1.0, 1: 1.0, 2: 1.0}, {0: 2.0, 1: 2.0, 2: 2.0})


@pytest.mark.parametrize("before", [True, False], ids=["hooked before", "hooked after"])
@pytest.mark.parametrize("torchs", [True, False], ids=["an optimiser of torch", "by hand"])
def test_optimisers_within_the_backward_pass(before, torchs):
    model = layers()
    optimizers = {p: SGD([p], lr=0.0) for p in model.parameters()}

    def step(p):
        if torchs:
            optimizers[p].step()
            optimizers[p].zero_grad()
        else:
            p.data.add_(p.grad, alpha=-0.0)
            p.grad = None

    def hook():
        for p in model.parameters():
            p.register_post_accumulate_grad_hook(step)

    if before:
        hook()
    with track(model) as tracker:
        if not before:
            hook()
        for _ in range(3):
            model(ones).sum().backward()
            tracker.step()
    log = read_pickle(tracker.out_path)
    assert (gradients(log, "0"), gradients(log, "1")) == ({0: 1.0, 1: 1.0, 2: 1.0}, {0: 2.0, 1: 2.0, 2: 2.0})
    assert set(log["scalar_stats"]["calls"]) == {1}


def test_passes_that_are_cleared_each_are_calls_and_what_is_accumulated_is_one(run, row):
    model = layers(1)

    def update(tracker):
        for scale in (1.0, 1.0, 4.0):
            (model(ones) * scale).sum().backward()
            if tracker.steps == 0:
                model.zero_grad()
        if tracker.steps == 1:
            model.zero_grad()

    log = run(model, update, steps=2)
    cleared, whole = row(log, "0", "Weight_Gradient", 0), row(log, "0", "Weight_Gradient", 1)
    assert (cleared["calls"], cleared["mean"]) == (3, 2.0)
    assert (whole["calls"], whole["mean"]) == (1, 6.0)


def test_what_the_optimiser_receives_counts_not_what_arrived(run):
    model = layers(1)
    optimizer = SGD(model.parameters(), lr=0.0)

    def update(_):
        optimizer.zero_grad()
        (model(ones) * 3).sum().backward()
        torch.nn.utils.clip_grad_value_(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()

    assert gradients(run(model, update, steps=3)) == {0: 0.5, 1: 0.5, 2: 0.5}


def test_gradients_put_there_by_hand(run):
    model = layers(1)
    optimizer = SGD(model.parameters(), lr=0.0)

    def update(tracker):
        value = torch.full((1, 2), float(tracker.steps + 1))
        if tracker.steps < 2:
            model[0].weight.grad = value
        else:
            model[0].weight.grad.copy_(value)
        optimizer.step()

    assert gradients(run(model, update, steps=4)) == {0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0}


def test_closures_show_the_gradient_of_their_last_evaluation(run):
    model = layers(1)
    optimizer = LBFGS(model.parameters(), lr=0.0, max_iter=3)
    scales = iter(range(1, 100))

    def closure():
        optimizer.zero_grad()
        loss = (model(ones) * next(scales)).sum()
        loss.backward()
        return loss

    def update(_):
        optimizer.step(closure)
        optimizer.zero_grad()

    log = run(model, update, steps=1)
    assert gradients(log) == {0: float(next(scales) - 1)}


def test_micro_batches_without_a_step_show_what_is_accumulated_so_far(run):
    model = layers(1)
    optimizer = SGD(model.parameters(), lr=0.0)

    def update(tracker):
        model(ones).sum().backward()
        if tracker.steps % 2:
            optimizer.step()
            optimizer.zero_grad()

    assert gradients(run(model, update, steps=4)) == {0: 1.0, 1: 2.0, 2: 1.0, 3: 2.0}


def test_frozen_and_thawed_parameters(run):
    model = layers()
    optimizer = SGD(model.parameters(), lr=0.0)

    def update(tracker):
        model[0].requires_grad_(tracker.steps % 2 == 1)
        optimizer.zero_grad()
        model(ones).sum().backward()
        optimizer.step()

    assert list(gradients(run(model, update, steps=4))) == [1, 3]


def test_only_recorded_steps_count(run):
    model = layers(1)
    optimizer = SGD(model.parameters(), lr=0.0)

    def update(tracker):
        if tracker.steps != 4:
            optimizer.zero_grad()
            (model(ones) * (tracker.steps + 1)).sum().backward()
            optimizer.step()

    assert gradients(run(model, update, steps=8, every=2)) == {0: 1.0, 2: 3.0, 6: 7.0}


class Around(torch.optim.Optimizer):
    """Steps by another optimiser, as those that shard or average do."""

    def __init__(self, inner):
        super().__init__(inner.param_groups[0]["params"], {})
        self.inner = inner

    def step(self, closure=None):
        if closure is not None:
            with torch.enable_grad():
                closure()
        self.inner.step()


@pytest.mark.parametrize("closure", [False, True])
def test_what_an_optimiser_within_another_uses_counts_once(run, row, closure):
    model = layers(1)
    inner = SGD(model.parameters(), lr=0.0)
    outer = Around(inner)

    def evaluate():
        outer.zero_grad()
        model(ones).sum().backward()

    def update(tracker):
        if not closure:
            evaluate()
        outer.step(evaluate if closure else None)
        if tracker.steps == 1:  # a gradient of its own
            inner.zero_grad()
            (model(ones) * 3).sum().backward()
            inner.step()

    log = run(model, update, steps=2)
    found = [row(log, "0", "Weight_Gradient", step) for step in (0, 1)]
    assert [(one["calls"], one["numel"], one["mean"]) for one in found] == [(1, 2, 1.0), (2, 4, 2.0)]


def test_swapped_tensors_are_followed_and_nothing_keeps_them_from_being_swapped(run):
    model = layers(1)
    optimizer = SGD(model.parameters(), lr=0.0)

    def update(tracker):
        if tracker.steps == 1:
            torch.utils.swap_tensors(model[0].weight, nn.Parameter(torch.full((1, 2), 7.0)))
        optimizer.zero_grad()
        model(ones).sum().backward()
        optimizer.step()

    log = run(model, update, steps=3)
    assert gradients(log) == {0: 1.0, 1: 1.0, 2: 1.0}


@pytest.mark.parametrize("every", [1, 2])
def test_a_conversion_that_swaps_parameters_with_the_gradients_that_lie_there(run, every):
    model, optimizers = layers(1), []

    def update(tracker):
        if tracker.steps == 2:
            torch.__future__.set_swap_module_params_on_conversion(True)
            model.double()  # the gradient of the step before is swapped, too
            torch.__future__.set_swap_module_params_on_conversion(False)
        if tracker.steps % 2 == 0:
            optimizers[:] = [SGD(model.parameters(), lr=0.0)]
        optimizers[0].zero_grad()
        (model(ones.to(model[0].weight.dtype)) * (tracker.steps + 1)).sum().backward()
        optimizers[0].step()

    assert gradients(run(model, update, steps=4, every=every)) == {step: step + 1.0 for step in range(0, 4, every)}
    assert torch.utils.swap_tensors.__module__ == "torch.utils"
    assert not hasattr(torch.utils.swap_tensors, "__wrapped__")


class Constant(nn.Module):
    """Returns a parameter of its own, and nothing that was computed."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.ones(1, 2))

    def forward(self, x):
        return self.value


def test_a_parameter_that_a_module_returned_can_be_swapped_in_the_same_step(run):
    model = Constant()

    def update(tracker):
        model(ones).sum().backward()
        model.zero_grad()
        torch.utils.swap_tensors(t1=model.value, t2=nn.Parameter(torch.full((1, 2), 7.0)))

    m = run(model, update, steps=2)
    outputs = m[m["metadata", "tensor_type"] == "Activation"]
    assert outputs["scalar_stats", "mean"].tolist() == [1.0, 7.0]


def test_nothing_is_left_on_the_parameters():
    model = layers()
    with track(model):
        assert all(p._post_accumulate_grad_hooks for p in model.parameters())
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())


def test_what_another_thread_accumulates_while_a_scale_is_noted_is_kept():
    first, other = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    arrivals = Arrivals(lambda p, reading: None)

    class Meanwhile(dict):
        def get(self, key, default=None):
            arrivals._arrived(other)
            return super().get(key, default)

    arrivals._scales = Meanwhile()
    arrivals._arrived(first)
    arrivals.pass_over(scale := PassScale(torch.tensor(2.0)))
    assert first in arrivals and other in arrivals
    assert (arrivals.scale_of(first), arrivals.only_before_forward) == (scale, False)
    arrivals.pass_over(UNSCALED)
    assert dict.get(arrivals._scales, id(other)) is UNSCALED
