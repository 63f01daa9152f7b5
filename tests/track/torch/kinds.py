"""Run as a program: tracks tensors of many kinds in many places, each in a process of its own, which may die.

Prints one JSON object: for each "kind, place" what was logged and said, or how the process ended.
"""

import json
import os
import re
import sys
import tempfile
import traceback
import warnings

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.masked import masked_tensor

from tandv.track.common import read_pickle
from tandv.track.torch import track

SHAPE = (3, 4)


class Opaque(torch.Tensor):
    """Has no memory, and no way to ask for its values."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=torch.float32)

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten.detach.default, torch.ops.aten.alias.default):
            return cls(args[0].inner)
        raise NotImplementedError(str(func))


class Codes(Opaque):
    """Eight bits for each value, as optimisers and quantised weights keep them."""

    def dequantize(self):
        return self.inner.float() / 2


class Wrapper(Opaque):
    """Stands for the numbers of one other tensor."""

    def __tensor_flatten__(self):
        return ["inner"], None


class Breaks(Opaque):
    def dequantize(self):
        raise RuntimeError("not on this device")


class Marked(torch.Tensor):
    """Has memory of its own, and wants to hear of every operation."""

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"heard of {func}")


def twos():
    return torch.full(SHAPE, 2.0)


def fake():
    with FakeTensorMode():
        return twos()


def inside_func():
    kept = []
    torch.func.grad(lambda x: (kept.append(x), x.sum())[1])(twos())
    return kept[0]


def with_bytes(count):
    values = twos()
    values.untyped_storage().resize_(count)
    return values


def masked():
    return masked_tensor(torch.tensor([[2.0, 9.0]]).repeat(3, 2), torch.tensor([[True, False]]).repeat(3, 2))


KINDS = {
    "plain": twos,
    "expanded": lambda: torch.full((1, 1), 2.0).expand(SHAPE),
    "codes": lambda: Codes(torch.full(SHAPE, 4, dtype=torch.int8)),
    "wrapper": lambda: Wrapper(twos()),
    "wrapper of a wrapper": lambda: Wrapper(Wrapper(twos())),
    "marked": lambda: torch.Tensor._make_subclass(Marked, twos()),
    "masked": masked,
    "opaque": lambda: Opaque(twos()),
    "breaks": lambda: Breaks(twos()),
    "fake": fake,
    "functorch": inside_func,
    "meta": lambda: torch.empty(SHAPE, device="meta"),
    "zero tensor": lambda: torch._efficientzerotensor(SHAPE),
    "mkldnn": lambda: twos().to_mkldnn(),
    "functional": lambda: torch._to_functional_tensor(twos()),
    "freed": lambda: with_bytes(0),
    "shortened": lambda: with_bytes(8),
    "int8": lambda: torch.full(SHAPE, 2, dtype=torch.int8),
}
PLACES = ("parameter", "output", "gradient", "state")


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.weight = nn.Parameter(twos())
        self.weight.grad = None
        self.returned = None

    def forward(self, x):
        return self.layer(x), self.returned


class Keeps(torch.optim.Optimizer):
    def __init__(self, parameters):
        super().__init__(parameters, {})
        self.kept = None

    def step(self):
        if self.kept is not None:
            self.state[self.param_groups[0]["params"][0]]["exp_avg"] = self.kept


def put(value, place, model, optimizer):
    if place == "parameter":
        model._parameters["weight"] = value if value is None else as_parameter(value)
    elif place == "output":
        model.returned = value
    elif place == "gradient":
        model._parameters["weight"] = torch.Tensor._make_subclass(Gradient, twos(), True)
    else:
        optimizer.kept = value
        model.weight.grad = twos()


def as_parameter(value):
    try:
        return nn.Parameter(value, requires_grad=False)
    except Exception:  # kinds that are only met as what they are
        value._is_param = True
        return value


class Gradient(torch.Tensor):
    """A parameter whose gradient may be of any kind."""

    value = None
    _is_param = True
    grad = property(lambda self: Gradient.value)


def tracked(kind, place):
    model = Model()
    optimizer = Keeps([model.weight])
    put(KINDS[kind](), place, model, optimizer)
    if place in ("parameter", "gradient"):
        optimizer.param_groups[0]["params"] = [model._parameters["weight"]]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        more = {"insight": place == "state", "track_updates": True}  # which read states and weights on their own
        with track(model, optimizer=optimizer, **more) as tracker:
            for _ in range(2):
                model(torch.ones(1, 1))[0].sum().backward()
                Gradient.value = KINDS[kind]()  # another one at each step
                optimizer.step()
                tracker.step()
    log = read_pickle(tracker.out_path)
    tensor_type = {"parameter": "Weight", "output": "Activation", "gradient": "Weight_Gradient"}.get(place, "State")
    name = "Model[1]" if place == "output" else "weight"
    types, names = log["metadata"]["tensor_type"].astype(str), log["metadata"]["name"].astype(str)
    rows = log[types.str.endswith(tensor_type) | (types == "Optimiser_State.exp_avg") & (tensor_type == "State")]
    rows = rows[names.isin([name, "Model"])]
    layer = log[(names == "layer") & (types == "Activation")]
    return {
        "mean": rows["scalar_stats"]["mean"].tolist(),
        "numel": rows["scalar_stats"]["numel"].tolist(),
        "steps": layer["metadata"]["step"].tolist(),
        "said": sorted({str(one.message) for one in said if re.match("tandv: (?!recorded)", str(one.message))}),
    }


def in_a_process(kind, place):
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.chdir(tempfile.mkdtemp())
        try:
            found = tracked(kind, place)
        except BaseException:
            found = {"raised": traceback.format_exc()}
        with os.fdopen(write, "w") as out:
            out.write(json.dumps(found))
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    status = os.waitpid(pid, 0)[1]
    return json.loads(text) if not status and text else {"died": status}


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.chdir(tempfile.mkdtemp())
    tracked("plain", "output")  # imports and loads what all of them need, before there are many
    json.dump({f"{kind}, {place}": in_a_process(kind, place) for kind in KINDS for place in PLACES}, sys.stdout)
