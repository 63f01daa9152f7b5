"""Programs made of a tracked model are those made of it without a tracker, and tracking goes on."""

import warnings

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from tandv.track.common import read_pickle
from tandv.track.torch import track

ones = torch.ones(2, 3)


@pytest.fixture(autouse=True)
def torch_warns_of_itself():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(torch|copyreg)")
        warnings.filterwarnings("ignore", category=FutureWarning, module="torch")
        warnings.filterwarnings("ignore", r".*torch.jit", category=DeprecationWarning)
        yield


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 1))


def operations(graph):
    return [str(node.target) for node in graph.nodes if node.op == "call_function"]


def traced(model, mode):
    return operations(make_fx(model, tracing_mode=mode, _allow_non_fake_inputs=True)(ones).graph)


MAKERS = {
    "export": lambda model: operations(torch.export.export(model, (ones,)).graph),
    "export, strict": lambda model: operations(torch.export.export(model, (ones,), strict=True).graph),
    "trace": lambda model: [node.kind() for node in torch.jit.trace(model, ones).inlined_graph.nodes()],
    "make_fx": lambda model: operations(make_fx(model)(ones).graph),
    "make_fx, fake": lambda model: operations(
        make_fx(model, tracing_mode="fake", _allow_non_fake_inputs=True)(ones).graph
    ),
    "make_fx, symbolic": lambda model: operations(
        make_fx(model, tracing_mode="symbolic", _allow_non_fake_inputs=True)(ones).graph
    ),
    "make_fx of a gradient": lambda model: operations(
        make_fx(lambda x: torch.autograd.grad(model(x).sum(), list(model.parameters())))(ones).graph
    ),
}


@pytest.mark.parametrize("how", MAKERS)
def test_a_program_of_a_model_in_training_has_nothing_of_the_tracker(how, row):
    model = net()
    expected = MAKERS[how](model)
    own_hook = model[2].register_forward_hook(lambda *_: None)
    with track(model) as tracker:
        for step in range(3):
            if step == 1:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "tandv: tensors of class FakeTensor")
                    found = MAKERS[how](model)
            model(ones).sum().backward()
            tracker.step()
    own_hook.remove()
    assert found == expected
    log = read_pickle(tracker.out_path)
    calls = [row(log, name, "Activation", step)["calls"] for name in ("0", "2") for step in range(3)]
    real = 2 if how in ("trace", "make_fx", "make_fx of a gradient") else 1  # they run the model on tensors, too
    assert calls == [1, real, 1] * 2
    assert all(row(log, name, "Gradient", step)["mean"] for name in ("0", "2") for step in range(3))


def doubled(module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
    return 2 * output


def test_a_script_of_a_model_with_hooks_of_its_own(row):
    from torch.jit import script

    model = net()
    model[2].register_forward_hook(doubled)
    expected = [node.kind() for node in torch.jit.script(model).inlined_graph.nodes()]
    with track(model) as tracker:
        found = [torch.jit.script(model), script(model)]
        assert [[node.kind() for node in one.inlined_graph.nodes()] for one in found] == [expected] * 2
        assert [torch.equal(one(ones), model(ones)) for one in found] == [True, True]
        tracker.step()
    log = read_pickle(tracker.out_path)
    assert [row(log, name, "Activation")["calls"] for name in ("0", "2")] == [2, 2]  # by the model, not by the scripts
    assert list(model[2]._forward_hooks.values()) == [doubled]


def test_a_function_that_was_imported_before(row):
    from torch.export import export

    model = net()
    with track(model) as tracker:
        found = operations(export(model, (ones,)).graph)
        model(ones).sum().backward()
        tracker.step()
    assert found == operations(export(model, (ones,)).graph)
    assert row(read_pickle(tracker.out_path), "0", "Activation")["calls"] == 1
    assert torch.export.export is export


def test_an_export_that_fails_leaves_tracking_on(row):
    class Branches(nn.Module):
        def forward(self, x):
            return x + 1 if x.sum() > 0 else x

    model = Branches()
    with track(model) as tracker:
        with pytest.raises(Exception, match=r".+"):
            torch.export.export(model, (ones,))
        model(ones)
        tracker.step()
    assert row(read_pickle(tracker.out_path), "Branches", "Activation")["mean"] == 2.0
