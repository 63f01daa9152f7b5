"""Files of Keras as its versions write them: a group for each layer, and what of them is the model."""

import json
import zipfile

import h5py
import numpy as np
import pytest

from tandv.checkpoints import LeftOut, UnreadableCheckpoint, evaluate, find, weights

KERNEL, BIAS = np.arange(6.0).reshape(3, 2), np.array([1.0, 2.0])
HEAD = np.array([[3.0], [4.0]])


def write_numbered(file, layers, optimiser=True):
    """Write groups as `save_weights` of Keras 3 does: the path of each layer, its name, and its variables."""
    with h5py.File(file, "w") as opened:
        for path, (name, variables) in layers.items():
            group = opened.create_group(f"{path}/vars")
            group.attrs["name"] = name
            for number, array in enumerate(variables):
                group[str(number)] = array
        if optimiser:
            for number in range(3):
                opened[f"optimizer/vars/{number}"] = KERNEL * 1000


SEQUENTIAL = {
    "layers/batch_normalization": ("batch_normalization_3", [BIAS, BIAS, BIAS * 9, BIAS * 9]),
    "layers/dense": ("first", [KERNEL, BIAS]),
    "layers/dense_1": ("dense_8", [HEAD]),
    "layers/dropout": ("dropout", []),
}


def test_numbered_variables_have_the_names_of_their_layers_and_the_optimiser_is_left_out(tmp_path):
    write_numbered(tmp_path / "model_1.weights.h5", SEQUENTIAL)
    with pytest.warns(LeftOut, match="batch_normalization.moving_mean, batch_normalization.moving_variance"):
        found = dict(weights(tmp_path / "model_1.weights.h5"))
    # what the user called a layer, and what the file calls the others: dense_8 is of the session
    assert set(found) == {"first", "first.bias", "dense_1", "batch_normalization.gamma", "batch_normalization.beta"}
    assert found["first"].tolist() == KERNEL.tolist()


def test_an_archive_has_the_order_of_its_configuration(tmp_path):
    write_numbered(tmp_path / "model.weights.h5", SEQUENTIAL)
    order = ["dense_8", "first", "batch_normalization_3"]
    config = {"config": {"layers": [{"class_name": "Dense", "config": {"name": name}} for name in order]}}
    with zipfile.ZipFile(tmp_path / "model_7.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    (tmp_path / "model.weights.h5").unlink()
    assert [one.step for one in find(tmp_path)] == [7]
    with pytest.warns(LeftOut):
        curves = evaluate(tmp_path, ["norm_ratio", "max_activation", "log_width"], cache=False)
    assert curves.loc[7].tolist() == pytest.approx(
        [np.linalg.norm(KERNEL) / 5, max(KERNEL.sum(0).max(), 7), np.log(3) + np.log(2)]
    )


def test_files_of_keras_are_checkpoints_whatever_they_are_called(tmp_path):
    for name in ("cp-0001.weights.h5", "cp-0012.weights.h5", "results.h5"):
        write_numbered(tmp_path / name, SEQUENTIAL)
    assert [one.step for one in find(tmp_path)] == [1, 12]
    (tmp_path / "vae-3.keras").touch()
    assert [one.step for one in find(tmp_path, include="vae*")] == [3]


def test_attention_recurrent_layers_and_modules_of_classes_of_ones_own(tmp_path):
    heads, lstm = np.ones((4, 2, 3)), [np.ones((4, 12)), np.ones((3, 12)), np.ones(12)]
    write_numbered(
        tmp_path / "net.weights.h5",
        {
            "enc/layers/multi_head_attention/query_dense": ("query", [heads, np.ones((2, 3))]),
            "enc/layers/multi_head_attention/output_dense": ("attention_output", [np.ones((2, 3, 4)), np.ones(4)]),
            "lstm/cell": ("lstm_cell", lstm),
            "conv": ("conv1d", [np.ones((5, 2, 7))]),
            "": ("net", [np.ones(3)]),
        },
    )
    curves = evaluate([tmp_path / "net.weights.h5"], "max_activation", per_tensor=True, cache=False)
    assert curves.iloc[0].drop("max_activation").to_dict() == {
        "max_activation:conv": 10.0,  # 7 outputs, each of 5 · 2
        "max_activation:enc.multi_head_attention.query[0]": 4.0,
        "max_activation:enc.multi_head_attention.query[1]": 4.0,
        "max_activation:enc.multi_head_attention.attention_output[0]": 3.0,
        "max_activation:enc.multi_head_attention.attention_output[1]": 3.0,
        "max_activation:lstm.cell": 4.0,
        "max_activation:lstm.cell.recurrent_kernel": 3.0,
    }


@pytest.mark.parametrize("whole", [False, True], ids=["weights", "model"])
def test_the_named_variables_of_older_versions(whole, tmp_path):
    with h5py.File(tmp_path / "model_3.h5", "w") as opened:
        group = opened.create_group("model_weights") if whole else opened
        group.attrs["layer_names"] = ["up", "drop", "head"]
        for layer, names in {"up": ["up/kernel:0", "up/bias:0"], "drop": [], "head": ["model/head/kernel:0"]}.items():
            group.create_group(layer).attrs["weight_names"] = names
        group["up/up/kernel:0"], group["up/up/bias:0"] = np.ones((2, 2, 3, 4)), np.ones(3)
        group["head/model/head/kernel:0"] = HEAD
        if whole:
            opened["optimizer_weights/iteration"] = np.ones(5)
            up = {"class_name": "Conv2DTranspose", "config": {"name": "up"}}
            opened.attrs["model_config"] = json.dumps({"config": {"layers": [up]}})
    found = dict(weights(tmp_path / "model_3.h5"))
    assert list(found) == ["up", "up.bias", "head"] if not whole else ["head", "up", "up.bias"]
    # three outputs by the class of the layer, or by its bias
    assert {name: array.shape for name, array in found.items()} == (
        {"up": (2, 2, 4, 3), "up.bias": (3,), "head": (2, 1)}
    )


def test_damaged_files_parts_and_values_elsewhere_are_refused(tmp_path):
    for name in ("model_1.weights.h5", "model_2.keras"):
        (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
        with pytest.raises(UnreadableCheckpoint, match="it is damaged, or not of Keras"):
            list(weights(tmp_path / name))
    write_numbered(tmp_path / "net_00000.weights.h5", SEQUENTIAL)
    (tmp_path / "net.weights.json").write_text("{}")
    with pytest.raises(UnreadableCheckpoint, match="a part of weights that are split over files"):
        list(weights(tmp_path / "net_00000.weights.h5"))
    (tmp_path / "secret").write_bytes(bytes(48))
    with h5py.File(tmp_path / "link.weights.h5", "w") as opened:
        group = opened.create_group("layers/dense/vars")
        group.create_dataset("0", (3, 2), "f8", external=[(str(tmp_path / "secret"), 0, 48)])
    with pytest.raises(UnreadableCheckpoint, match="layers/dense/vars/0 may be in another file"):
        list(weights(tmp_path / "link.weights.h5"))


def test_other_files_of_hdf5_are_trees_of_arrays(tmp_path):
    with h5py.File(tmp_path / "params.h5", "w") as opened:
        opened["net/fc/kernel"], opened["net/fc/bias"] = KERNEL, BIAS
    assert dict(weights(tmp_path / "params.h5")).keys() == {"net.fc", "net.fc.bias"}
