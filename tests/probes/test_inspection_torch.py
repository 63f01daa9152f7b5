"""Outputs of layers: what they are, by which names, and that the model stays as it was."""

import copy
import random
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks, register_module_forward_hook
from torch.testing._internal.distributed.fake_pg import FakeStore

from tandv.probes import attention_patterns, get_intermediate_outputs
from tandv.track.common import read_pickle
from tandv.track.torch import track


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(3, 2))


X = torch.linspace(-1, 1, 20).reshape(5, 4)


def test_every_layer_shows_what_it_makes_of_the_batch():
    model = mlp()
    found = get_intermediate_outputs(model, X)
    first = (X @ model[0].weight.T + model[0].bias).detach().numpy()
    assert list(found) == ["Sequential", "0", "1", "2", "3"]
    np.testing.assert_allclose(found["0"], first, rtol=1e-6)  # though the next layer works in place
    np.testing.assert_allclose(found["1"], np.maximum(first, 0), rtol=1e-6)
    assert (found["2"] == found["1"]).all()  # eval mode: nothing is dropped
    assert (found["Sequential"] == found["3"]).all()
    assert all(type(array) is np.ndarray and array.dtype == np.float32 for array in found.values())


def test_chosen_layers_come_in_model_order():
    assert list(get_intermediate_outputs(mlp(), X, ["3", re.compile("^[01]$")])) == ["0", "1", "3"]
    assert list(get_intermediate_outputs(mlp(), X, "2")) == ["2"]


def test_a_layer_that_is_not_there_brings_up_the_nearest():
    model = nn.ModuleDict({"encoder": nn.Linear(4, 4), "decoder": nn.Linear(4, 4)})
    with pytest.raises(LookupError, match=r"no layer 'encodr'; did you mean 'encoder'") as error:
        get_intermediate_outputs(model, X, ["encodr", "xyz"])
    assert "no layer 'xyz'; there are 'ModuleDict', 'encoder', 'decoder'" in str(error.value)
    with pytest.raises(LookupError, match="'mlp' gave no output: the forward pass does not call it"):
        get_intermediate_outputs(Uncalled(), X, "mlp")


class Uncalled(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp = nn.ModuleList([nn.Linear(4, 4)])

    def forward(self, x):
        return self.mlp[0](x)


class Many(nn.Module):
    """Several outputs, named arguments, and a layer that is called twice."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 3, batch_first=True)
        self.fc = nn.Linear(3, 3)

    def forward(self, x, shift):
        out, _ = self.lstm(x)
        return {"logits": self.fc(self.fc(out)) + shift, "token": out.argmax(-1)}


@pytest.mark.parametrize("batch", [(X[None], torch.ones(1)), {"x": X[None], "shift": torch.ones(1)}])
def test_several_outputs_and_calls_have_names_of_their_own(batch):
    found = get_intermediate_outputs(Many(), batch)
    names = ["Many[logits]", "Many[token]", "lstm[0]", "lstm[1][0]", "lstm[1][1]", "fc", "fc@1"]
    assert list(found) == names
    np.testing.assert_allclose(found["Many[logits]"], found["fc@1"] + 1)
    assert found["Many[token]"].dtype == np.int64


def test_the_caller_may_say_how_the_model_is_called():
    found = get_intermediate_outputs(mlp(), {"pixels": X.numpy(), "label": 3}, "0", call=lambda m, b: m(b["pixels"]))
    assert (found["0"] == get_intermediate_outputs(mlp(), X.numpy())["0"]).all()


def test_a_model_that_takes_a_dict_whole_says_how():
    class Whole(nn.Module):
        def forward(self, batch):
            return batch["x"] * 2

    with pytest.raises(TypeError, match="unexpected keyword argument 'x'") as caught:
        get_intermediate_outputs(Whole(), {"x": X})
    assert "call=lambda model, x: model(x)" in caught.value.__notes__[0]
    found = get_intermediate_outputs(Whole(), {"x": X}, call=lambda model, x: model(x))
    np.testing.assert_array_equal(found["Whole"], 2 * X.numpy())


def test_half_precision_loses_nothing():
    model = nn.Linear(4, 3).bfloat16()
    found = get_intermediate_outputs(model, X.bfloat16())["Linear"]
    assert found.dtype == np.float32
    assert (found == model(X.bfloat16()).detach().float().numpy()).all()


class Busy(nn.Module):
    """Changes all that a forward pass can change, in eval mode too."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4, max_norm=0.1)
        self.norm = nn.BatchNorm1d(4, track_running_stats=True)
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("cache", torch.zeros(2))
        self.seen, self.best, self.kept, self.count = [], {"x": 1}, {1}, 0
        self.plain = torch.zeros(3)
        self.own = torch.Generator().manual_seed(7)
        self.rng = np.random.default_rng(7)

    def forward(self, ids):
        self.calls += 1
        self.plain.add_(1)
        self.cache = torch.randn(2)
        self.count += 1
        self.seen.append(self.count)
        self.best["y"] = 2
        self.best["x"] = 5
        self.kept.add(2)
        self.last = torch.rand(2, generator=self.own) + self.rng.random()
        random.random(), np.random.rand()  # noqa: NPY002
        self.norm.train()
        return self.norm(self.embed(ids)) + torch.randn(4)


def everything(model):
    state = {name: value.clone() for name, value in model.state_dict().items()}
    plain = (
        model.seen.copy(),
        dict(model.best),
        set(model.kept),
        model.count,
        model.plain.tolist(),
        sorted(vars(model)),
    )
    rng = (
        random.getstate(),
        repr(np.random.get_state()),  # noqa: NPY002
        torch.get_rng_state().tolist(),
        model.own.get_state().tolist(),
    )
    return state, plain, rng, model.rng.bit_generator.state, [m.training for m in model.modules()]


def no_attention(model, batch):
    with pytest.raises(ValueError, match="no attention is seen"):
        attention_patterns(model, batch)


@pytest.mark.parametrize("look", [get_intermediate_outputs, no_attention])
def test_a_model_is_left_as_it_was_found(look):
    model = Busy()
    model.embed.eval()  # flags that differ
    buffer, hooks = model.cache, (dict(_global_forward_hooks), dict(_global_forward_pre_hooks))
    before = everything(model)
    look(model, torch.arange(6))
    after = everything(model)
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert before[1:] == after[1:]
    assert model.cache is buffer
    assert (dict(_global_forward_hooks), dict(_global_forward_pre_hooks)) == hooks
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.is_grad_enabled() and torch.backends.mha.get_fastpath_enabled() and torch.is_autocast_cache_enabled()
    assert all(p.grad is None for p in model.parameters())


def test_it_is_left_so_when_its_forward_pass_fails():
    model = mlp()
    flags = [m.training for m in model.modules()]
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        get_intermediate_outputs(model, torch.ones(2, 7))
    assert [m.training for m in model.modules()] == flags and not _global_forward_hooks and torch.is_grad_enabled()


def test_hooks_of_others_on_all_modules_do_not_see_it():
    seen = []
    hook = register_module_forward_hook(lambda module, *_: seen.append(module))
    try:
        get_intermediate_outputs(mlp(), X)
        assert seen == []
        mlp()(X)
        assert len(seen) == 5
    finally:
        hook.remove()


def test_a_tracker_does_not_record_it(tmp_path):
    def log(name, look):
        model = mlp()
        with track(model, path=tmp_path / name, only_stash_during_training=False) as tracker:
            for _ in range(2):
                model(X).sum().backward()
                if look:
                    get_intermediate_outputs(model, X)
                tracker.step()
        return read_pickle(tracker.out_path)

    torch.manual_seed(1)
    without = log("without", False)
    torch.manual_seed(1)
    assert log("with", True).equals(without)


def test_weights_that_autocast_has_cast_keep_their_gradients():
    model, grads = mlp(), []
    for look in (False, True):
        model.zero_grad()
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16):
            if look:
                get_intermediate_outputs(model, X)
            model(X).sum().backward()
        grads.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_the_pass_before_it_can_still_go_backward():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    loss = model(X).square().sum()
    get_intermediate_outputs(model, X)
    loss.backward()
    assert model[0].weight.grad is not None


def test_wrappers_vanish_and_compiled_code_is_not_compiled_again():
    model = mlp()
    graphs = []
    compiled = torch.compile(model, backend=lambda graph, _: graphs.append(graph) or graph.forward)
    compiled(X)
    count = len(graphs)
    found = get_intermediate_outputs(compiled, X)
    assert list(found) == ["Sequential", "0", "1", "2", "3"]
    compiled(X)
    assert len(graphs) == count
    assert (found["3"] == get_intermediate_outputs(model, X)["3"]).all()


def test_what_cannot_be_looked_into_says_so():
    with pytest.raises(TypeError, match=r"cannot look into a builtins.list; give a torch.nn.Module"):
        get_intermediate_outputs([], X)
    with pytest.raises(ValueError, match="the shapes of weight, bias are not known yet; run the model once"):
        get_intermediate_outputs(nn.LazyLinear(2), X)

    class Renorming(nn.Linear):
        def forward(self, input):
            self.weight.mul_(0.5)
            return super().forward(input)

    with pytest.raises(RuntimeError, match="of Renorming changes a parameter in place, which cannot be undone"):
        get_intermediate_outputs(copy.deepcopy(Renorming(4, 2)), X)


def test_no_framework_is_imported_before_a_model_is_given():
    code = "import sys, tandv.probes; print({'torch', 'jax', 'flax', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def summed_alone(state: None, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    """Gradients summed over the one rank there is."""
    summed = torch.futures.Future()
    summed.set_result(bucket.buffer())
    return summed


def test_of_a_data_parallel_model_the_inner_one_runs():
    # No threads: one of gloo may want the interpreter to free what a backward pass has left, while the interpreter
    # waits for that thread, since it frees the model.
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=1)
    try:
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        parallel = nn.parallel.DistributedDataParallel(model)
        parallel.register_comm_hook(None, summed_alone)
        found = get_intermediate_outputs(parallel, X)
        assert list(found) == ["Sequential", "0", "1"]
        parallel(X).sum().backward()
        get_intermediate_outputs(parallel, X)  # between two passes, as the ranks would not all do
        parallel(X).sum().backward()
    finally:
        dist.destroy_process_group()
