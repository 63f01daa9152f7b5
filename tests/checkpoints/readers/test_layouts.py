"""Files and folders as training in earnest leaves them, written by the libraries themselves where they are here."""

import json
import pickle
import warnings

import flax.linen
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
import torch
import torch.distributed.checkpoint as dcp
from flax import serialization
from flax.training import train_state
from safetensors.torch import save_file
from torch import nn
from torch.distributed.checkpoint import metadata as of_dcp
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor._dtensor_spec import DTensorSpec, TensorMeta

from tandv.checkpoints import LeftOut, UnreadableCheckpoint, evaluate, find, weights
from tandv.checkpoints.readers.opening import opened


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def stepped(net):
    optimiser = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return optimiser.state_dict()


NET = model()
OPTIMISER = stepped(NET)
STATE = NET.state_dict()
EXPECTED = {"0": STATE["0.weight"], "0.bias": STATE["0.bias"], "1": STATE["1.weight"], "1.bias": STATE["1.bias"]}


def assert_same(path, key=None, expected=EXPECTED):
    found = dict(weights(path, key))
    assert {name: array.tolist() for name, array in found.items()} == {n: v.tolist() for n, v in expected.items()}
    assert list(found) == list(expected)


# --------------------------------------------------------------------------------------- torch.distributed


def test_a_distributed_checkpoint_is_read_without_its_optimiser(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is one process
        for step in (5, 10):
            dcp.save({"model": STATE, "optim": OPTIMISER, "step": 5}, checkpoint_id=str(tmp_path / f"step_{step}"))
    assert [one.step for one in find(tmp_path)] == [5, 10]
    assert_same(tmp_path / "step_5")
    with opened(tmp_path / "step_5") as checkpoint:
        assert checkpoint.key == "model"
        assert checkpoint.left_out == ("state of an optimiser: optim (12 tensors)",)
    (tmp_path / "step_5" / "__0_0.distcp").unlink()
    with pytest.raises(UnreadableCheckpoint, match="parts are missing: __0_0.distcp"):
        list(weights(tmp_path / "step_5"))


def test_tensors_that_processes_share_are_joined(tmp_path):
    whole = torch.arange(12.0).reshape(4, 3).bfloat16()
    chunks, places = [], {}
    for rank, (start, length) in enumerate([(0, 3), (3, 1)]):
        file = tmp_path / f"__{rank}_0.distcp"
        with open(file, "wb") as opened_file:
            opened_file.write(b"x" * 5)  # another tensor stands before
            torch.save(whole[start : start + length].clone(), opened_file)
        offset = torch.Size([start, 0])
        chunks.append(of_dcp.ChunkStorageMetadata(offset, torch.Size([length, 3])))
        size = file.stat().st_size - 5
        places[of_dcp.MetadataIndex("w", offset, rank)] = _StorageInfo(file.name, 5, size)
    about = of_dcp.TensorStorageMetadata(of_dcp.TensorProperties(torch.bfloat16), whole.shape, chunks)
    metadata = of_dcp.Metadata({"w": about}, storage_data=places)
    (tmp_path / ".metadata").write_bytes(pickle.dumps(metadata))
    ((name, array),) = weights(tmp_path)
    assert (name, array.dtype.name, array.astype(float).tolist()) == ("w", "bfloat16", whole.tolist())


def sharded(path, rows):
    """Save a tensor as DTensors are saved, of which this process has some rows."""
    local = torch.arange(6.0).reshape(2, 3)[:rows]
    split = DTensor(
        local,
        DTensorSpec(None, (Shard(0),), TensorMeta(torch.Size([2, 3]), (3, 1), torch.float32)),
        requires_grad=False,
    )
    torch.save({"model": {"fc.weight": split}}, path)


def test_a_part_of_split_tensors_is_no_model_and_the_whole_of_them_is(tmp_path):
    sharded(tmp_path / "a.pt", 2)
    assert_same(tmp_path / "a.pt", None, {"fc": torch.arange(6.0).reshape(2, 3)})
    sharded(tmp_path / "b.pt", 1)
    with pytest.raises(
        UnreadableCheckpoint, match="its tensors are split over processes, and it holds the parts of one"
    ):
        list(weights(tmp_path / "b.pt"))


def test_damaged_metadata_is_said_and_code_in_it_is_not_run(tmp_path):
    (tmp_path / ".metadata").write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(UnreadableCheckpoint, match="damaged, or not of torch.distributed.checkpoint .os.system"):
        list(weights(tmp_path))
    assert not (tmp_path / "ran").exists()


# ---------------------------------------------------------------------------------------- DeepSpeed, Megatron


def test_a_folder_of_deepspeed(tmp_path):
    folder = tmp_path / "global_step10"
    folder.mkdir()
    torch.save({"module": STATE, "optimizer": None, "ds_config": {}}, folder / "mp_rank_00_model_states.pt")
    torch.save({"optimizer_state_dict": OPTIMISER}, folder / "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt")
    assert [one.step for one in find(tmp_path)] == [10]
    assert_same(folder)
    torch.save({}, folder / "mp_rank_01_model_states.pt")
    with pytest.raises(
        UnreadableCheckpoint, match="one of 2 parts .DeepSpeed with a model that is parallel itself.: each"
    ):
        list(weights(folder))


def test_weights_that_zero_3_split_name_the_script_that_joins_them(tmp_path):
    folder = tmp_path / "global_step10"
    folder.mkdir()
    torch.save({"module": {}}, folder / "zero_pp_rank_0_mp_rank_00_model_states.pt")
    with pytest.raises(UnreadableCheckpoint, match="ZeRO-3.; join them first with its script zero_to_fp32.py"):
        list(weights(folder))


def test_layers_of_a_pipeline_of_deepspeed_say_what_they_are(tmp_path):
    folder = tmp_path / "global_step1000"
    folder.mkdir()
    torch.save({"module": None, "global_steps": 1000}, folder / "mp_rank_00_model_states.pt")
    torch.save(STATE, folder / "layer_00-model_00-model_states.pt")
    with pytest.raises(UnreadableCheckpoint, match="files of their own, 1 of them .DeepSpeed, pipeline"):
        list(weights(folder))


def test_a_folder_of_megatron(tmp_path):
    inner = {
        "embedding": {"word_embeddings": {"weight": torch.ones(5, 2)}},
        "encoder": {"layers.0.mlp.weight": torch.ones(4, 2)},
    }
    content = {"model": {"language_model": inner}, "optimizer": {"optimizer": OPTIMISER}, "iteration": 100}
    for rank in (0, 1):
        (tmp_path / f"iter_0000100/mp_rank_0{rank}").mkdir(parents=True)
        torch.save(content, tmp_path / f"iter_0000100/mp_rank_0{rank}/model_optim_rng.pt")
        if rank == 0:
            (one,) = find(tmp_path)
            assert one.step == 100
            names = [name for name, _ in weights(one.path)]
            assert names == ["embedding.word_embeddings", "encoder.layers.0.mlp"]
    with pytest.raises(UnreadableCheckpoint, match="one of 2 parts .Megatron.: each file holds a part of every tensor"):
        list(weights(tmp_path / "iter_0000100"))


def test_parts_of_a_tensor_parallel_model_are_not_measured_as_one(tmp_path):
    torch.save(STATE, tmp_path / "consolidated.00.pth")
    assert_same(tmp_path / "consolidated.00.pth")
    torch.save(STATE, tmp_path / "consolidated.01.pth")
    with pytest.raises(UnreadableCheckpoint, match="one of 2 parts .tensor parallel.: each file holds a part"):
        list(weights(tmp_path / "consolidated.00.pth"))
    torch.save(STATE, tmp_path / "model_world_size_8_rank_0.pt")
    with pytest.raises(UnreadableCheckpoint, match="one of 8 parts .fully sharded."):
        list(weights(tmp_path / "model_world_size_8_rank_0.pt"))


# -------------------------------------------------------------------------------------------------- diffusers


def pipeline(folder, *components):
    for name in components:
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text("{}")
        save_file(
            STATE, folder / name / ("model.safetensors" if "text" in name else "diffusion_pytorch_model.safetensors")
        )


def test_the_models_of_a_folder_of_diffusers_are_asked_for(tmp_path):
    pipeline(tmp_path / "pipe", "unet", "vae", "text_encoder")
    (tmp_path / "pipe" / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(
        UnreadableCheckpoint, match=r"several models: text_encoder \(4 tensors\), unet \(4 tensors\), vae"
    ):
        list(weights(tmp_path / "pipe"))
    in_order = {name: EXPECTED[name] for name in ("0.bias", "0", "1.bias", "1")}
    assert_same(tmp_path / "pipe", "unet", in_order)
    assert_same(tmp_path / "pipe" / "unet", None, in_order)
    norms = evaluate(tmp_path / "pipe", "weight_norm", key=["unet", "vae"], parallel=1)["weight_norm"]
    assert norms.iloc[0] == pytest.approx(np.sqrt(2 * sum(float(v.square().sum()) for v in STATE.values())))


def test_an_average_in_a_folder_beside_the_model_is_not_pooled(tmp_path):
    for step in (500, 1000):
        pipeline(tmp_path / f"checkpoint-{step}", "unet", "unet_ema")
    assert [one.step for one in find(tmp_path)] == [500, 1000]
    with pytest.warns(LeftOut, match=r"averages or copies of the model: unet_ema \(4 tensors\)"):
        assert len(list(weights(tmp_path / "checkpoint-500"))) == 4


# -------------------------------------------------------------------------------------------- NumPy and flax

PARAMS = {
    "Dense_0": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.ones(3)},
    "Dense_1": {"kernel": jnp.ones((3, 1), jnp.bfloat16)},
}
OF_FLAX = {"Dense_0": np.arange(6.0).reshape(2, 3), "Dense_0.bias": np.ones(3), "Dense_1": np.ones((3, 1))}


@pytest.mark.parametrize("name", ["step_3.msgpack", "checkpoint_3"])
def test_a_train_state_of_flax(name, tmp_path):
    state = train_state.TrainState.create(apply_fn=None, params=PARAMS, tx=optax.adamw(0.1))
    (tmp_path / name).write_bytes(serialization.to_bytes(state))
    (one,) = find(tmp_path)
    assert one.step == 3
    assert_same(one.path, None, OF_FLAX)
    with opened(one.path) as checkpoint:
        assert (checkpoint.key, checkpoint.left_out) == ("params", ("state of an optimiser: opt_state (7 tensors)",))
        assert checkpoint.entries["Dense_1.kernel"].dtype == "bfloat16"
    assert evaluate([one.path], "max_activation", parallel=1, cache=False)["max_activation"].tolist() == [7.0]  # 2 + 5


def test_parameters_of_flax_alone_and_large_arrays_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 8)  # bytes, instead of a gigabyte
    params = flax.linen.Dense(3).init(jax.random.key(0), jnp.ones((1, 2)))
    (tmp_path / "flax_model.msgpack").write_bytes(serialization.to_bytes(params))
    expected = params["params"]
    assert_same(
        tmp_path / "flax_model.msgpack",
        None,
        {name: np.asarray(expected[name]) for name in ("kernel", "bias")},
    )


def test_a_damaged_file_of_flax_says_so(tmp_path):
    whole = serialization.to_bytes(PARAMS)
    in_parts = serialization.msgpack_serialize({"a": {"__msgpack_chunked_array__": True, "chunks": {}}})
    for content in (b"", whole[: len(whole) // 2], b"\xc1", in_parts):
        (tmp_path / "model.msgpack").write_bytes(content)
        with pytest.raises(UnreadableCheckpoint, match="is empty|damaged, or not of flax|holds a|is damaged: an array"):
            list(weights(tmp_path / "model.msgpack"))


def test_archives_of_numpy(tmp_path):
    flat = {
        "params/Dense_0/kernel": np.ones((2, 3)),
        "params/Dense_0/bias": np.ones(3),
        "opt/mu/Dense_0/kernel": np.ones((2, 3)),
    }
    np.savez(tmp_path / "model_1.npz", **flat)
    np.savez_compressed(tmp_path / "model_2.npz", **{"fc2.weight": np.ones((2, 2)), "fc1.weight": np.ones((3, 2))})
    assert_same(tmp_path / "model_1.npz", None, {"Dense_0": np.ones((2, 3)), "Dense_0.bias": np.ones(3)})
    assert [name for name, _ in weights(tmp_path / "model_2.npz")] == ["fc2", "fc1"]  # as they were saved
    np.savez(tmp_path / "model_3.npz", a=np.array([None], object), b=np.ones(2))
    with pytest.warns(LeftOut, match="no floating point numbers: a .object."):
        assert [name for name, _ in weights(tmp_path / "model_3.npz")] == ["b"]
    (tmp_path / "model_4.npz").write_bytes(b"no archive")
    with pytest.raises(UnreadableCheckpoint, match="damaged, or not of numpy.savez"):
        list(weights(tmp_path / "model_4.npz"))


@pytest.mark.parametrize("name", ["checkpoint_5.pth.tar", "model_5.tar", "step_5.pkl", "epoch_5.pickle"])
def test_other_endings_of_files_whose_names_say_what_they_are(name, tmp_path):
    torch.save({"state_dict": STATE, "optimizer": OPTIMISER, "epoch": 5}, tmp_path / name)
    for other in ("log.pkl", "log_1.pkl", "data_1.npz", "results.h5", "sources.tar"):
        (tmp_path / other).write_bytes(b"")
    assert find(tmp_path) == [(5, tmp_path / name)]
    assert_same(tmp_path / name)


def test_eight_bit_arrays_of_a_pickle_keep_their_type(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"w": np.ones(3, ml_dtypes.float8_e4m3fn)}))
    assert [(name, array.dtype.name) for name, array in weights(tmp_path / "a.pkl")] == [("w", "float8_e4m3fn")]
