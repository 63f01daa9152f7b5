"""Real files of every kind: what comes out of them, and what of them is refused."""

import argparse
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from tandv.checkpoints import BrokenCheckpoint, LeftOut, RefusedCheckpoint, UnreadableCheckpoint, evaluate, weights
from tandv.checkpoints.readers.opening import opened
from tandv.checkpoints.readers.zip_files import NotPlain, load_plain


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))


STATE = model().state_dict()
EXPECTED = {"0": STATE["0.weight"], "0.bias": STATE["0.bias"], "2": STATE["2.weight"], "2.bias": STATE["2.bias"]}


def assert_same(path, expected=EXPECTED):
    """Compare the names in their order, and the values to the bit."""
    found = dict(weights(path))
    assert list(found) == list(expected)
    for name, array in found.items():
        assert array.tolist() == expected[name].tolist(), name


class Evil:
    """Would make a file if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


LAYOUTS = {
    "bare": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "epoch": 3, "optimizer_states": [{"state": {0: {"m": torch.ones(2)}}}]},
    "model_state_dict": lambda s: {"model_state_dict": s, "optimizer_state_dict": {"state": {}, "lr": 0.1}},
    "model_state": lambda s: {"epoch": 1, "model_state": s},
    "model": lambda s: {"model": s, "config": {"width": 4}},
    "another": lambda s: {"net": s, "optim": {"exp_avg": torch.ones(3)}},
    "nested": lambda s: {
        "0": {"weight": s["0.weight"], "bias": s["0.bias"]},
        "2.weight": s["2.weight"],
        "2.bias": s["2.bias"],
    },
    "wrapped": lambda s: {f"module._orig_mod.{name}": value for name, value in s.items()},
    "parameters": lambda s: {name: nn.Parameter(value) for name, value in s.items()},
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_torch_file_gives_its_weights(layout, legacy, tmp_path):
    torch.save(LAYOUTS[layout](STATE), tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    assert_same(tmp_path / "a.pt")


def test_what_stands_beside_the_state_dict_is_kept(tmp_path):
    torch.save({"model": STATE, "config": {"width": 4}}, tmp_path / "a.pt")
    with opened(tmp_path / "a.pt") as checkpoint:
        assert checkpoint.extras == {"config": {"width": 4}}


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_every_float_format_keeps_its_values(dtype, suffix, tmp_path):
    values = torch.tensor([[1.5, -0.25], [2.0, 0.0]]).to(dtype)
    save = torch.save if suffix == ".pt" else safetensors.torch.save_file
    save({"a": values}, tmp_path / f"a{suffix}")
    ((name, array),) = weights(tmp_path / f"a{suffix}")
    assert (name, array.dtype.name) == ("a", str(dtype).removeprefix("torch."))
    assert array.astype(np.float64).tolist() == [[1.5, -0.25], [2.0, 0.0]]


def test_views_and_tied_tensors_of_torch_files(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    state = {"turned": base.T, "part": base[1:3, ::2], "again": base.T, "alone": torch.tensor(3.0)}
    torch.save(state, tmp_path / "a.pt")
    with pytest.warns(LeftOut, match="again .is turned."):
        assert_same(tmp_path / "a.pt", {name: state[name] for name in ("turned", "part", "alone")})


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.empty(3, 3, device="meta"), "of the device meta, which have no values: l.weight"),
        (torch.zeros(4, 2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2), "quantised tensors, .*: l.weight"),
    ],
    ids=["meta", "float4"],
)
def test_a_tensor_that_cannot_be_read_leaves_the_others(tensor, words, tmp_path):
    torch.save({"l.weight": tensor, "m.weight": torch.ones(2, 2)}, tmp_path / "model.pt")
    with pytest.warns(LeftOut, match=words):
        assert [name for name, _ in weights(tmp_path / "model.pt")] == ["m"]


def test_one_array_or_tensor_is_no_model_and_that_is_said(tmp_path):
    np.save(tmp_path / "model.npy", np.ones((2, 2)))
    with pytest.raises(UnreadableCheckpoint, match="one array of numpy.save, without a name"):
        list(weights(tmp_path / "model.npy"))
    torch.save(torch.ones(2), tmp_path / "model.pt")
    with pytest.raises(UnreadableCheckpoint, match="a tensor without a name, not a state dict"):
        list(weights(tmp_path / "model.pt"))


def test_a_refusal_names_what_is_code_and_no_array(tmp_path):
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"w": np.ones((2, 2)), "x": Evil(tmp_path / "ran")}))
    with pytest.raises(RefusedCheckpoint, match=r"it asks for (getattr|pathlib.Path.touch)"):
        list(weights(tmp_path / "model.pkl"))


def test_a_plain_torch_file_needs_no_torch_and_is_mapped(tmp_path):
    torch.save({"model": STATE, "step": 5}, tmp_path / "a.pt")
    code = (
        "import sys, tandv.checkpoints as c\n"
        f"[(name, array), *_] = c.weights({str(tmp_path / 'a.pt')!r})\n"
        "print(name, array.shape, array.flags.owndata, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "0 (4, 3, 3, 3) False False\n"


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_code_in_a_file_is_refused_by_name_and_not_run(legacy, tmp_path):
    target = tmp_path / "ran"
    torch.save(
        {"state_dict": STATE, "extra": Evil(target)}, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy
    )
    with pytest.raises(RefusedCheckpoint, match="refused, nothing was run: it asks for getattr"):
        list(weights(tmp_path / "a.pt"))
    assert not target.exists()


def test_a_file_cannot_change_what_a_number_format_means(tmp_path):
    class Format:
        """Tells the dtype of bfloat16, which the whole process shares, to be eight bytes wide."""

        def __reduce__(self):
            return ml_dtypes.bfloat16, (), (3, ">", None, None, None, 8, 8, 0)

    pickled = pickle.dumps({"w": Format()}, 2).replace(b"cml_dtypes\nbfloat16\n", b"ctorch\nBFloat16Storage\n")
    pickled = pickled.replace(b"\nq\x02)R", b"\nq\x02")  # what the name stands for, not a call of it
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    with pytest.raises(NotPlain, match="state is not a dictionary"):
        load_plain(tmp_path / "a.pt")
    assert np.dtype(ml_dtypes.bfloat16).itemsize == 2


def test_a_bare_pickle_that_asks_for_code_is_refused(tmp_path):
    for protocol in (2, 4):
        (tmp_path / "a.pt").write_bytes(pickle.dumps({"w": Evil(tmp_path / "ran")}, protocol))
        with pytest.raises(RefusedCheckpoint, match=r"asks for (getattr|pathlib.Path.touch, pathlib)"):
            list(weights(tmp_path / "a.pt"))
    assert not (tmp_path / "ran").exists()


def test_harmless_things_beside_the_weights_are_no_reason_to_refuse(tmp_path):
    extras = {
        "args": argparse.Namespace(lr=0.1, out=Path("runs")),
        "best": np.float64(0.5),
        "losses": np.arange(3.0),
        "rng": torch.get_rng_state(),
    }
    torch.save({"state_dict": STATE, **extras}, tmp_path / "a.pt")
    assert_same(tmp_path / "a.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
def test_a_truncated_file_is_said_to_be_damaged(suffix, share, tmp_path):
    file = tmp_path / f"a{suffix}"
    (torch.save if suffix == ".pt" else safetensors.torch.save_file)(STATE, file)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(
        UnreadableCheckpoint, match=r"damaged|[Ee]mpty|EOF|central directory|Ran out of input|cannot mmap"
    ):
        list(weights(file))


def test_numbers_that_are_cut_off_inside_an_archive_are_not_read(tmp_path):
    torch.save({"a": torch.ones(100)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as whole, zipfile.ZipFile(tmp_path / "b.pt", "w") as cut:
        for info in whole.infolist():
            content = whole.read(info)
            cut.writestr(info.filename, content[:40] if info.filename.endswith("data/0") else content)
    with pytest.raises(NotPlain, match="cut off"):
        load_plain(tmp_path / "b.pt")


def test_numbers_that_are_not_those_that_were_written_are_not_measured(tmp_path):
    torch.save({"w.weight": torch.ones(100, 100), "b.weight": torch.ones(2, 2)}, tmp_path / "step_1.pt")
    whole = (tmp_path / "step_1.pt").read_bytes()
    at = whole.index(torch.ones(100).numpy().tobytes()) + 10_000
    (tmp_path / "step_2.pt").write_bytes(whole[:at] + bytes(4000) + whole[at + 4000 :])  # as of a file half written
    with pytest.warns(BrokenCheckpoint, match="^step_2.pt: it is damaged, or was still being .* data/0 are not"):
        assert evaluate(tmp_path, "mean", cache=False)["mean"].isna().tolist() == [False, True]


@pytest.mark.parametrize("name", ["step_1.pt", "step_1.safetensors", "model_1.msgpack"])
def test_empty_files_and_pointers_of_git_lfs_are_said(tmp_path, name):
    for content, words in ((b"", "^it is empty$"), (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull$")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableCheckpoint, match=words):
            list(weights(tmp_path / name))


def test_a_pipe_that_is_called_like_a_checkpoint_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "model_1.pt")
    with pytest.raises(UnreadableCheckpoint, match="it is no file but a pipe"):
        dict(weights(tmp_path / "model_1.pt"))


def test_a_negated_view_keeps_its_sign(tmp_path):
    torch.save({"weight": torch.tensor([[1.0, -2.0]])._neg_view()}, tmp_path / "model_1.pt")
    assert dict(weights(tmp_path / "model_1.pt"))["weight"].tolist() == [[-1.0, 2.0]]


def test_a_file_without_checksums_is_read(tmp_path):
    try:
        torch.serialization.set_crc32_options(False)
        torch.save(STATE, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert_same(tmp_path / "a.pt")


def test_a_file_without_tensors_says_what_it_has(tmp_path):
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "a.pt")
    with pytest.raises(UnreadableCheckpoint, match="no state dict: its keys are epoch, lr; tensors are looked for"):
        list(weights(tmp_path / "a.pt"))
    torch.save([1, 2], tmp_path / "b.pt")
    with pytest.raises(UnreadableCheckpoint, match="holds a list, not a state dict"):
        list(weights(tmp_path / "b.pt"))


# ------------------------------------------------------------------------------------ safetensors, folders


def shards(folder, index=None):
    folder.mkdir()
    names = [["2.weight", "0.bias"], ["0.weight", "2.bias"]]
    for i, part in enumerate(names, 1):
        safetensors.torch.save_file({n: STATE[n] for n in part}, folder / f"model-0000{i}-of-00002.safetensors")
    if index:
        text = json.dumps({"weight_map": dict.fromkeys(index, "model-00001-of-00002.safetensors")})
        (folder / "model.safetensors.index.json").write_text(text)


def test_safetensors_are_in_natural_order(tmp_path):
    many = {f"layers.{i}.weight": torch.full((2, 2), float(i)) for i in (10, 9, 1)}
    safetensors.torch.save_file(many, tmp_path / "a.safetensors")
    assert [name for name, _ in weights(tmp_path / "a.safetensors")] == ["layers.1", "layers.9", "layers.10"]


def test_shards_are_one_checkpoint(tmp_path):
    shards(tmp_path / "checkpoint-5")
    in_order = {name: EXPECTED[name] for name in ("0.bias", "0", "2.bias", "2")}
    assert_same(tmp_path / "checkpoint-5", in_order)
    (tmp_path / "checkpoint-5" / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UnreadableCheckpoint, match="parts are missing: model-00002-of-00002.safetensors"):
        list(weights(tmp_path / "checkpoint-5"))


def test_an_index_tells_the_order_of_the_model(tmp_path):
    shards(tmp_path / "a", index=["2.weight", "0.weight", "0.bias", "2.bias"])
    assert [name for name, _ in weights(tmp_path / "a")] == ["2", "0", "0.bias", "2.bias"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": [1]}', '{"weight_map": null}'])
def test_a_damaged_index_loses_the_order_and_no_weights(tmp_path, text):
    shards(tmp_path / "a")
    (tmp_path / "a" / "model.safetensors.index.json").write_text(text)
    with pytest.warns(LeftOut, match="left out were the index model.safetensors.index.json, which is damaged: the"):
        assert [name for name, _ in weights(tmp_path / "a")] == ["0.bias", "0", "2.bias", "2"]


@pytest.mark.parametrize("text", ["[]", "{", '{"names": 3}', '{"layers": [1]}'])
def test_damaged_metadata_of_a_tracker_are_said(tmp_path, text):
    safetensors.torch.save_file(dict(STATE), tmp_path / "a.safetensors", {"tandv": text})
    with pytest.raises(UnreadableCheckpoint, match="^the entry tandv of the metadata of a.safetensors is damaged$"):
        list(weights(tmp_path / "a.safetensors"))


def test_a_folder_of_hugging_face_in_torch_files(tmp_path):
    folder = tmp_path / "checkpoint-5"
    folder.mkdir()
    torch.save(STATE, folder / "pytorch_model.bin")
    torch.save({"state": {}}, folder / "optimizer.pt")
    assert_same(folder)


def test_sharded_torch_files(tmp_path):
    names = list(STATE)
    for i, part in enumerate((names[:2], names[2:]), 1):
        torch.save({n: STATE[n] for n in part}, tmp_path / f"pytorch_model-0000{i}-of-00002.bin")
    assert_same(tmp_path)


def test_a_missing_library_is_one_sentence(tmp_path, monkeypatch):
    torch.save(STATE, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    monkeypatch.delitem(sys.modules, "tandv.checkpoints.readers.torch_files", raising=False)
    monkeypatch.delattr("tandv.checkpoints.readers.torch_files", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UnreadableCheckpoint, match=r'it needs torch: pip install "tandv\[torch\]"'):
        list(weights(tmp_path / "a.pt"))


def test_importing_brings_no_framework():
    code = (
        "import sys, tandv.checkpoints\nprint({'torch', 'jax', 'orbax', 'ray', 'joblib', 'scipy'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "set()\n"


def test_a_key_says_which_of_several_models_and_has_results_of_its_own(tmp_path):
    torch.save({"G": {"a": torch.ones(2)}, "D": {"a": torch.full((3,), 2.0)}}, tmp_path / "step_1.pt")
    with pytest.warns(BrokenCheckpoint, match=r"step_1.pt: it holds several models: G \(1 tensor\), D \(1 tensor\)"):
        evaluate(tmp_path, "mean", parallel=1)
    assert evaluate(tmp_path, "mean", key="D", parallel=1)["mean"].tolist() == [2.0]
    assert evaluate(tmp_path, "mean", key=["G", "D"], parallel=1)["mean"].tolist() == [(2 + 3 * 2) / 5]
    assert evaluate(tmp_path, "mean", key="*", parallel=1)["mean"].tolist() == [(2 + 3 * 2) / 5]
    assert evaluate(tmp_path, "mean", key="G", parallel=1)["mean"].tolist() == [1.0]
    assert [name for name, _ in weights(tmp_path / "step_1.pt", key=["G", "D"])] == ["G.a", "D.a"]
