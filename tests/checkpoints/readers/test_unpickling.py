"""Classes of the user's script beside the weights, and pickles that were made to run something."""

import argparse
import collections
import dataclasses
import datetime
import enum
import os
import pathlib
import pickle
import subprocess
import sys
import types

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn

from tandv.checkpoints import LeftOut, RefusedCheckpoint, UnreadableCheckpoint, evaluate, weights
from tandv.checkpoints.readers import unpickling
from tandv.checkpoints.readers.opaque import Opaque
from tandv.checkpoints.readers.opening import opened
from tandv.checkpoints.readers.zip_files import NotPlain, load_plain

STATE = nn.Linear(2, 2).state_dict()


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Settings:
    width: int = 4
    color: Color = Color.RED
    kind: str = "wide"  # what a class of tandv has too

    class Inner:
        """A class within a class."""

        depth = 3


class Slotted:
    __slots__ = ("a",)


class Meter(list):
    """A list with an attribute."""


def scheduler():
    optimiser = torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=0.1, momentum=0.9)
    return torch.optim.lr_scheduler.StepLR(optimiser, 10)


def slotted():
    one = Slotted()
    one.a = torch.ones(3)
    return one


def meter():
    one = Meter([1.0, 2.0])
    one.best = 2.0
    return one


BESIDE = {
    "dataclass": Settings(),
    "enum": Color.RED,
    "nested class": Settings.Inner(),
    "slots": slotted(),
    "list": meter(),
    "defaultdict": collections.defaultdict(list, {"loss": [1.0]}),
    "counter": collections.Counter("aab"),
    "scheduler": scheduler(),
    "date": datetime.datetime(2026, 1, 1),
    "namespace": argparse.Namespace(lr=0.1, out=pathlib.Path("runs/a"), nested=types.SimpleNamespace(a=1)),
    "set": {1, 2},
    "dtype": torch.float32,
    "device": torch.device("cpu"),
    "size": torch.Size([2, 2]),
    "numbers": [np.float64(0.5), np.int64(3), np.bool_(True), 1 + 2j],
    "arrays": [np.arange(6.0).reshape(2, 3).T, np.array(["a"]), np.array([None, 1], object)],
    "bytes": b"\x00\xff",
    "function": torch.relu,
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("what", BESIDE)
def test_whatever_stands_beside_the_weights_is_no_reason_to_refuse(what, legacy, tmp_path):
    content = {"state_dict": STATE, "extra": BESIDE[what], "epoch": 3}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    assert [name for name, _ in weights(tmp_path / "a.pt")] == ["weight", "bias"]
    with opened(tmp_path / "a.pt") as checkpoint:
        assert checkpoint.extras["epoch"] == 3


def test_objects_keep_their_attributes_and_have_no_class(tmp_path):
    torch.save({"model": STATE, **{name.replace(" ", "_"): one for name, one in BESIDE.items()}}, tmp_path / "a.pt")
    with opened(tmp_path / "a.pt") as checkpoint:
        extras = checkpoint.extras
        settings = extras["dataclass"]
        assert isinstance(settings, Opaque)
        assert (settings.width, settings.kind) == (4, "wide")
        assert repr(settings) == f"<{__name__}.Settings, not imported>"
        assert vars(extras["enum"]) == {"0": "red"}
        assert repr(extras["nested_class"]) == f"<{__name__}.Settings.Inner, not imported>"
        assert extras["defaultdict"] == {"loss": [1.0]}
        assert extras["counter"] == {"a": 2, "b": 1}
        assert extras["namespace"].lr == 0.1
        assert extras["namespace"].out == pathlib.PurePosixPath("runs/a")
        assert extras["numbers"][:3] == [0.5, 3, True]
        assert extras["arrays"][0].read().tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
        assert extras["bytes"] == b"\x00\xff"


def test_values_of_old_files_are_those_that_were_saved(tmp_path):
    state = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(2, dtype=torch.bfloat16), "c": torch.arange(4)}
    torch.save({"model": state, "config": Settings()}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    with opened(tmp_path / "a.pt") as checkpoint:
        assert checkpoint.extras["config"].width == 4
        values = {name: entry.read().astype(float).tolist() for name, entry in checkpoint.entries.items()}
    assert values == {name: tensor.tolist() for name, tensor in state.items()}


@pytest.mark.slow
def test_nothing_of_the_users_script_is_imported(tmp_path):
    (tmp_path / "script.py").write_text("import pathlib\npathlib.Path('ran').touch()\nclass Config: pass\n")
    code = (
        "import sys; sys.path.insert(0, '.'); import torch, script\n"
        "torch.save({'model': {'w': torch.ones(2)}, 'config': script.Config()}, 'a.pt')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    (tmp_path / "ran").unlink()
    code = "import sys; sys.path.insert(0, '.'); from tandv.checkpoints import weights\nprint(*dict(weights('a.pt')))"
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, (tmp_path / "ran").exists()) == ("w\n", False)


def test_a_class_that_holds_the_weights_is_looked_into(tmp_path):
    @dataclasses.dataclass
    class State:
        params: dict
        opt_state: tuple

    State.__qualname__, State.__module__ = "State", "__main__"
    sys.modules["__main__"].State = State
    try:
        params = {"Dense_0": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3, jnp.bfloat16)}}
        (tmp_path / "a.pkl").write_bytes(
            pickle.dumps(State(params, ({"count": jnp.ones(()), "mu": params, "nu": params},)))
        )
    finally:
        del sys.modules["__main__"].State
    with opened(tmp_path / "a.pkl") as checkpoint:
        assert {name: entry.dtype for name, entry in checkpoint.entries.items()} == {
            "Dense_0.kernel": "float32",
            "Dense_0.bias": "bfloat16",
        }
        assert checkpoint.key == "params"


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_dictionaries_of_arrays_in_a_bare_pickle(protocol, tmp_path):
    arrays = {
        "fc": {"weight": np.arange(6.0).reshape(2, 3), "bias": np.ones(2, np.float16)},
        "b": np.ones(2, ml_dtypes.bfloat16),
    }
    (tmp_path / "step_1.pkl").write_bytes(pickle.dumps(arrays, protocol))
    found = {name: array.tolist() for name, array in weights(tmp_path / "step_1.pkl")}
    assert found == {"fc": arrays["fc"]["weight"].tolist(), "fc.bias": [1.0, 1.0], "b": [1.0, 1.0]}
    assert evaluate(tmp_path, "mean", parallel=1)["mean"].tolist() == [(15 + 2 + 2) / 10]


# ----------------------------------------------------------------------------------------------- forged files


class Calls:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "call",
    [
        (os.system, "touch {}"),
        (subprocess.run, ["touch", "{}"]),
        (eval, "__import__('pathlib').Path('{}').touch()"),
        (exec, "__import__('pathlib').Path('{}').touch()"),
        (pathlib.Path.touch, pathlib.Path("{}")),
        (getattr, os, "system"),
        (__import__, "antigravity"),
        (open, "{}", "w"),
        (torch.load, "{}"),
        (torch.hub.load, "a/b", "c"),
        (setattr, Opaque, "extend", 1),
    ],
    ids=lambda call: call[0].__name__,
)
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("where", ["zip", "bare"])
def test_a_forged_pickle_runs_nothing(call, protocol, where, tmp_path):
    target = str(tmp_path / "ran")

    def with_target(argument):
        if isinstance(argument, list):
            return list(map(with_target, argument))
        if isinstance(argument, pathlib.Path):
            return tmp_path / "ran"
        return argument.format(target) if isinstance(argument, str) else argument

    if call[0] is getattr:
        call = (getattr, Calls(__import__, "os"), "system")
    function, *arguments = call
    file = tmp_path / "step_1.pt"
    content = {"w": np.ones(2), "extra": Calls(function, *map(with_target, arguments))}
    if where == "zip":
        torch.save(content, file, pickle_protocol=protocol)
    else:
        file.write_bytes(pickle.dumps(content, protocol))
    try:
        assert [name for name, _ in weights(file)] == ["w"]
    except UnreadableCheckpoint as error:
        assert isinstance(error, RefusedCheckpoint), error
    assert not (tmp_path / "ran").exists()
    assert "antigravity" not in sys.modules
    assert Opaque.extend is not 1  # noqa: F632


def test_a_pickle_cannot_change_what_answers_it(tmp_path):
    """The state of a function: its defaults, its code; of a class: its methods."""
    for name in (
        "collections defaultdict",
        "pathlib PosixPath",
        "_codecs encode",
        "user Class",
        "collections OrderedDict",
    ):
        module, _, what = name.partition(" ")
        # the name, then a state of (None, {"__defaults__": (1,), "extend": 2}) as for an object with slots
        forged = (
            b"\x80\x02c"
            + f"{module}\n{what}\n".encode()
            + pickle.dumps((None, {"__defaults__": (1,), "extend": 2}), 2)[2:-1]
            + b"b."
        )
        (tmp_path / "a.pkl").write_bytes(forged)
        with pytest.raises(UnreadableCheckpoint):
            list(weights(tmp_path / "a.pkl"))
    assert not any(hasattr(answer, "extend") for answer in unpickling._ANSWERS.values())


def test_an_array_that_says_it_is_larger_than_it_is_is_not_read(tmp_path):
    forged = pickle.dumps({"w": np.ones(2), "b": np.ones(3)}, 2).replace(b"K\x02\x85", b"K\x09\x85")
    (tmp_path / "a.pkl").write_bytes(forged)
    assert [name for name, _ in weights(tmp_path / "a.pkl")] == ["b"]


def test_what_holds_itself_ends(tmp_path):
    loop = {"model": STATE}
    loop["self"] = loop
    torch.save(loop, tmp_path / "a.pt")
    with pytest.warns(LeftOut, match="other models: self"):
        assert [name for name, _ in weights(tmp_path / "a.pt")] == ["weight", "bias"]


def test_tensors_of_rare_kinds_are_left_to_torch(tmp_path):
    torch.save({"w": torch.ones(2), "s": torch.eye(2).to_sparse()}, tmp_path / "a.pt")
    with pytest.raises(NotPlain, match="_rebuild_sparse_tensor"):
        load_plain(tmp_path / "a.pt")
