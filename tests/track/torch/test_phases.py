"""Phases of a step: what happens inside `tracker.phase(...)` has rows of its own."""

import pytest
import torch
from torch import nn

from tandv.track.common import read_pickle, read_run
from tandv.track.torch import stash_scalar_stats, track


def ones(size_in, size_out):
    """Return a linear layer whose weights are all 1, without a bias."""
    layer = nn.Linear(size_in, size_out, bias=False)
    nn.init.constant_(layer.weight, 1.0)
    return layer


def rows_of(log, name, tensor_type, step=0):
    """Return (calls, mean) by phase."""
    m = log["metadata"]
    found = log[(m["name"] == name) & (m["tensor_type"] == tensor_type) & (m["step"] == step)]
    phases = found[("metadata", "phase")]
    assert len(set(phases)) == len(phases)
    return {
        phase: (calls, mean)
        for phase, calls, mean in zip(
            phases, found[("scalar_stats", "calls")], found[("scalar_stats", "mean")], strict=True
        )
    }


def test_a_rollout_is_told_apart_from_the_training_pass():
    model = ones(2, 2)
    with track(model) as tracker:
        with tracker.phase("rollout"), torch.no_grad():
            for n in range(31):
                model(torch.full((1, 2), float(n)))  # its outputs are 2n
        model(torch.ones(1, 2)).sum().backward()
        tracker.step()
    log = read_pickle(tracker.out_path)
    assert rows_of(log, "Linear", "Activation") == {"rollout": (31, 30.0), "": (1, 2.0)}
    assert rows_of(log, "Linear", "Gradient") == {"": (1, 1.0)}
    assert rows_of(log, "Linear", "Weight") == {"": (1, 1.0)}
    assert rows_of(log, "Linear", "Weight_Gradient") == {"": (1, 1.0)}


def test_a_gradient_is_of_the_phase_of_its_backward_pass_or_else_of_its_forward_pass():
    model = ones(1, 1)
    with track(model) as tracker:
        with tracker.phase("critic"):
            loss = 3 * model(torch.ones(1, 1)).sum()
        loss.backward()  # outside: of the forward pass
        loss = 5 * model(torch.ones(1, 1)).sum()
        with tracker.phase("penalty"):
            loss.backward()
        tracker.step()
    log = read_pickle(tracker.out_path)
    assert rows_of(log, "Linear", "Activation") == {"critic": (1, 1.0), "": (1, 1.0)}
    assert rows_of(log, "Linear", "Gradient") == {"critic": (1, 3.0), "penalty": (1, 5.0)}


def test_the_inner_pass_of_a_double_backward_is_told_apart_by_a_phase():
    model = nn.Sequential(ones(1, 1), ones(1, 1))
    x = torch.ones(1, 1, requires_grad=True)
    with track(model) as tracker:
        with tracker.phase("penalty"):
            (inner,) = torch.autograd.grad((2 * model(x)).sum(), x, create_graph=True)
        (7 * inner.sum() + 4 * model(x).sum()).backward()
        tracker.step()
    gradients = rows_of(read_pickle(tracker.out_path), "1", "Gradient")
    assert gradients == {"penalty": (1, 2.0), "": (1, 4.0)}


def test_phases_merge_over_calls_but_not_with_each_other_and_nest():
    model = ones(1, 1)
    with track(model) as tracker:
        for value in (1.0, 3.0):
            with tracker.phase("a"):
                model(torch.full((1, 1), value))
                with tracker.phase("b"):
                    model(torch.full((1, 1), 10 * value))
        tracker.step()
    assert rows_of(read_pickle(tracker.out_path), "Linear", "Activation") == {"a": (2, 2.0), "a/b": (2, 20.0)}


def test_a_phase_ends_with_an_error_and_decorates():
    model = ones(1, 1)
    with track(model) as tracker:

        @tracker.phase("generation")
        def generate():
            return model(torch.ones(1, 1))

        generate()
        generate()
        with pytest.raises(ZeroDivisionError), tracker.phase("broken"):
            raise ZeroDivisionError
        model(torch.ones(1, 1))
        tracker.step()
    assert rows_of(read_pickle(tracker.out_path), "Linear", "Activation") == {"generation": (2, 1.0), "": (1, 1.0)}


def test_a_run_whose_first_phase_comes_late_is_one_log():
    model = ones(1, 1)
    with track(model, offload_inc=1, async_offload=False) as tracker:
        for step in range(3):
            with tracker.phase("late") if step == 1 else torch.no_grad():
                model(torch.ones(1, 1))
            tracker.step()
        running = read_run(tracker.path)
    for log in (running, read_pickle(tracker.out_path)):
        activations = log[log[("metadata", "tensor_type")] == "Activation"]
        assert activations[("metadata", "phase")].tolist() == ["", "late", ""]


def test_a_run_without_phases_has_no_such_column():
    model = ones(1, 1)
    with track(model) as tracker:
        model(torch.ones(1, 1))
        tracker.step()
    assert ("metadata", "phase") not in read_pickle(tracker.out_path).columns


def test_statistics_of_ones_own_are_kept_apart():
    model = ones(1, 1)
    with track(model, stash_value=stash_scalar_stats) as tracker:
        with tracker.phase("a"):
            model(torch.full((1, 1), 2.0))
        model(torch.full((1, 1), 3.0))
        tracker.step()
    assert rows_of(read_pickle(tracker.out_path), "Linear", "Activation") == {"a": (1, 2.0), "": (1, 3.0)}


def test_compiled_models_have_phases():
    model = ones(1, 1)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with track(compiled) as tracker:
        for _ in range(2):
            with tracker.phase("critic"):
                loss = 3 * compiled(torch.ones(1, 1)).sum()
            loss.backward()
            tracker.step()
    log = read_pickle(tracker.out_path)
    for step in (0, 1):
        assert rows_of(log, "Linear", "Activation", step) == {"critic": (1, 1.0)}
        assert rows_of(log, "Linear", "Gradient", step) == {"critic": (1, 3.0)}


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_phase_needs_a_name(name):
    tracker = track(ones(1, 1))
    with pytest.raises(ValueError, match=r'a phase needs a name, such as tracker\.phase\("rollout"\)'):
        tracker.phase(name).__enter__()
