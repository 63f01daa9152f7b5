import numpy as np
import pytest
import torch

from tandv.checkpoints import LeftOut, weights
from tandv.checkpoints.weights import Entry, doubts, own_names, trained


def entries(**shapes):
    return {name: Entry(dtype, shape, lambda: np.zeros(0), storage) for name, (dtype, shape, storage) in shapes.items()}


def names(**shapes):
    kept, left = trained(entries(**shapes))
    return [weight.name for weight in kept], left


def of(*stored, dtype="float32", shape=(2, 2)):
    return dict.fromkeys(stored, (dtype, shape, None))


def test_names_are_those_of_the_log_where_the_file_says_them():
    said = {"module.weight": "module", "module.mask": "module.mask", "module.seen": ""}
    found = own_names({name: Entry("float32", (2,), lambda: np.zeros(0), layer=layer) for name, layer in said.items()})
    kept, left = trained(found)
    assert [(weight.name, weight.stored_as) for weight in kept] == [
        ("module", "module.weight"),
        ("module.mask", "module.mask"),
    ]
    assert left == ["buffers, which are not trained: module.seen"]


def test_names_of_others_lose_what_wrappers_put_into_them():
    assert list(own_names(entries(**of("module._orig_mod.fc.weight", "module.b")))) == ["fc.weight", "b"]


def test_the_principal_parameter_bears_the_name_of_its_module():
    assert names(**of("fc.weight", "fc.bias", "weight"))[0] == ["fc", "fc.bias", "weight"]
    assert names(**of("d.kernel", "d.bias", "e.embedding", "n.scale"))[0] == ["d", "d.bias", "e", "n"]
    assert names(**of("d.scale", "d.kernel"))[0] == ["d.scale", "d"]
    assert names(**of("a", "a.weight"))[0] == ["a", "a.weight"]  # names stay unique


def test_buffers_integers_and_empty_tensors_are_left_out_and_said():
    buffers = [
        "bn.running_mean",
        "bn.running_var",
        "rotary.inv_freq",
        "attn.mask",
        "attn.causal_mask",
        "h.0.masked_bias",
    ]
    kept, left = names(
        **of("bn.weight", *buffers),
        **of("bn.num_batches_tracked", dtype="int64", shape=()),
        **of("seen", dtype="bool"),
        **of("nothing", shape=(0, 4)),
        **of("h.0.attn.bias", shape=(1, 1, 8, 8)),
        **of("half.weight", dtype="bfloat16"),
        **of("eight.weight", dtype="float8_e4m3fn"),
    )
    assert kept == ["bn", "half", "eight"]
    assert left == [
        "buffers, which are not trained: bn.running_mean, bn.running_var, rotary.inv_freq and 4 more",
        "no floating point numbers: bn.num_batches_tracked (int64), seen (bool)",
        "empty: nothing",
    ]


def test_tied_tensors_count_once():
    kept, left = names(
        **{
            "embed.weight": ("float32", (4, 2), (1, 0, 8)),
            "head.weight": ("float32", (4, 2), (1, 0, 8)),
            "other": ("float32", (4, 2), (1, 8, 8)),
        }
    )
    assert kept == ["embed", "other"]
    assert left == ["tied, counted once: head.weight (is embed.weight)"]


def test_adapters_beside_the_weights_that_they_change_are_said():
    adapters = ["q.lora_A.default.weight", "q.lora_B.default.weight"]
    text = "measured as tensors of their own, and the weights beside them without B·A, whose scale is not in the file"
    assert doubts(trained(entries(**of("q.base_layer.weight", *adapters)))[0]) == [
        f"{text}: q.lora_A.default, q.lora_B.default"
    ]
    assert doubts(trained(entries(**of(*adapters)))[0]) == []


def test_views_of_one_storage_are_tied_only_where_they_hold_the_same_values(tmp_path):
    base = torch.arange(16.0).reshape(4, 4)
    parts = {"row": base[:1, :4], "column": base[:4, :1], "corner": base[:2, :2], "turned": base[:1, :4].T}
    for old in (False, True):
        torch.save(parts, tmp_path / "a.pt", _use_new_zipfile_serialization=not old)
        with pytest.warns(LeftOut, match=r"tied, counted once: turned \(is row\)"):
            found = dict(weights(tmp_path / "a.pt"))
        assert {name: array.ravel().tolist() for name, array in found.items()} == {
            "row": [0, 1, 2, 3],
            "column": [0, 4, 8, 12],
            "corner": [0, 1, 4, 5],
        }


def test_variables_of_tensorflow_are_kernels(tmp_path):
    np.savez(tmp_path / "a.npz", **{"dense/kernel:0": np.ones((2, 3)), "dense/bias:0": np.ones(3)})
    np.savez(tmp_path / "b.npz", **{"dense/kernel": np.ones((2, 3)), "dense/bias": np.ones(3)})
    found = [list(dict(weights(tmp_path / name))) for name in ("a.npz", "b.npz")]
    assert found == [["dense", "dense.bias"]] * 2


def test_numbers_that_are_not_measured_are_called_what_they_are():
    kinds = {"a": "float32", "spec": "complex64", "s": "sparse_coo float32", "q": "strided qint8", "n": "int64"}
    entries = {name: Entry(dtype, (2,), lambda: None) for name, dtype in kinds.items()}
    assert trained(entries)[1] == [
        "complex numbers, which are not measured: spec (complex64)",
        "sparse or quantised tensors, which are not read: s (sparse_coo float32), q (strided qint8)",
        "no floating point numbers: n (int64)",
    ]


def test_moments_of_weights_over_training_are_no_weights():
    names = ("fc.weight", "fc.weight_mean", "fc.weight_sq_mean")
    entries = {name: Entry("float32", (2, 2), lambda: None) for name in names}
    assert [weight.stored_as for weight in trained(entries)[0]] == ["fc.weight"]
    alone = {name: entries[name] for name in names[:2]}
    assert len(trained(alone)[0]) == 2
