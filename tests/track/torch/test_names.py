import torch
from torch import nn

from tandv.track.torch.names import module_names, parameter_names


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(1, 1), nn.LayerNorm(1)])
        self.attention = nn.MultiheadAttention(2, 1)
        self.position = nn.Parameter(torch.zeros(1))
        self.weight = nn.Parameter(torch.zeros(1))
        self.again = self.layers[0]


EXPECTED = [
    "position", "Model", "layers.0", "layers.0.bias", "layers.1", "layers.1.bias",
    "attention.in_proj_weight", "attention.in_proj_bias", "attention.out_proj", "attention.out_proj.bias",
]  # fmt: skip


def test_the_principal_parameter_bears_its_modules_name_and_others_their_own():
    assert [named.name for named in parameter_names(Model()).values()] == EXPECTED


def test_modules_stand_in_model_order_shared_ones_once():
    names = [(named.position, named.name, named.type) for named in module_names(Model()).values()]
    assert names == [
        (0, "Model", "Model"),
        (1, "layers", "ModuleList"),
        (2, "layers.0", "Linear"),
        (3, "layers.1", "LayerNorm"),
        (4, "attention", "MultiheadAttention"),
        (5, "attention.out_proj", "NonDynamicallyQuantizableLinear"),
    ]


def test_wrappers_vanish_from_names():
    class CheckpointWrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self._checkpoint_wrapped_module = inner

    class DistributedDataParallel(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.module = inner

    class OptimizedModule(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self._orig_mod = inner

    model = Model()
    model.layers[1] = CheckpointWrapper(model.layers[1])
    wrapped = DistributedDataParallel(OptimizedModule(model))
    assert [named.name for named in parameter_names(wrapped).values()] == EXPECTED


def test_a_users_module_called_module_keeps_its_name():
    outer = nn.Module()
    outer.module = nn.Linear(1, 1)
    assert [named.name for named in parameter_names(outer).values()] == ["module", "module.bias"]


def test_the_root_does_not_take_a_childs_name():
    class inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(1, 1)

    assert [named.name for named in module_names(inner()).values()] == ["inner (root)", "inner"]


def test_names_that_meet_do_not_spoil_the_log(run, row):
    class Pair(nn.Module):
        def forward(self, x):
            return {0: x, "0": 2 * x}

    model = nn.Module()
    model.pair = Pair()
    model.add_module("pair[0]", nn.Identity())
    log = run(model, lambda _: (model.pair(torch.ones(1)), model.get_submodule("pair[0]")(torch.full((1,), 6.0))))
    assert (row(log, "pair[0]", "Activation")["calls"], row(log, "pair[0]", "Activation")["mean"]) == (3, 3.0)
