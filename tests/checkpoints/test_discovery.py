import re

import pytest

from tandv.checkpoints import Checkpoint, LeftOut, NoCheckpoints, StepsInferred, find
from tandv.checkpoints.discovery import labels, steps_of


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(where):
    return [(one.step, one.path.name) for one in find(where)]


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (["step_0", "step_10", "step_000200"], [0, 10, 200]),
        (["epoch=1-step=200.ckpt", "epoch=2-step=400.ckpt"], [200, 400]),
        (["epoch=3-val_loss=0.25.ckpt", "epoch=12-val_loss=0.125.ckpt"], [3, 12]),
        (["checkpoint-500", "checkpoint-1500"], [500, 1500]),
        (["ckpt_iter5_of_run7.pt", "ckpt_iter10_of_run7.pt"], [5, 10]),
        (["model_ep2.pth", "model_ep11.pth"], [2, 11]),
        (["global_step1000", "global_step2000"], [1000, 2000]),
        (["0", "500"], [0, 500]),
        (["p53_2_final.pt", "p53_10_final.pt"], [2, 10]),
        (["run1_5.pt", "run2_5.pt"], [1, 2]),
        (["7.safetensors", "best.safetensors"], [7, None]),
        (["step_5.pt", "model_9.pt"], [5, None]),
        (["best.pt", "last.pt"], [None, None]),
        (["model-step5-00001-of-00002.safetensors"], [5]),
        (["step-0050-of-0100.pt", "step-0100-of-0100.pt"], [50, 100]),
        (["Epoch-1-of-10.pt", "Epoch-2-of-10.pt"], [1, 2]),
    ],
)
def test_names_tell_their_steps(names, steps):
    assert steps_of(names) == steps


def test_a_folder_is_in_the_order_of_steps_and_without_what_is_no_model(tmp_path):
    touch(tmp_path, "step_10.pt", "step_2.pt", "step_1.pth", "optimizer_2.pt", "notes.txt", ".hidden_3.pt", "log.csv")
    assert found(tmp_path) == [(1, "step_1.pth"), (2, "step_2.pt"), (10, "step_10.pt")]
    assert find(str(tmp_path))[0] == Checkpoint(1, tmp_path / "step_1.pth")


def test_folders_named_by_date_are_checkpoints_unless_they_are_runs(tmp_path):
    touch(tmp_path / "a", "20240101-120000/model.pt", "20240101-130000/model.pt", "20240102-010000/model.pt")
    with pytest.warns(StepsInferred, match="the order of the dates in the names"):
        assert found(tmp_path / "a") == [(0, "20240101-120000"), (1, "20240101-130000"), (2, "20240102-010000")]
    touch(tmp_path / "b", "2024-01-01/model.pt", "2024-01-02/model.pt", "2024-01-01/train.log", "2024-01-02/train.log")
    touch(tmp_path / "c", "2024-01-01/step_10.pt", "2024-01-02/step_10.pt")
    for runs in ("b", "c"):
        with pytest.raises(NoCheckpoints, match="several folders in .* hold checkpoints: 2024-01-01, 2024-01-02"):
            find(tmp_path / runs)


def test_names_without_numbers_are_counted_and_it_is_said(tmp_path):
    touch(tmp_path, "b.pt", "a.pt", "c.pt")
    with pytest.warns(StepsInferred, match="a.pt, b.pt and 1 more: the steps are the places of the files in the order"):
        names = found(tmp_path)
    assert names == [(0, "a.pt"), (1, "b.pt"), (2, "c.pt")]


def test_what_has_no_step_beside_others_is_left_out_and_said(tmp_path):
    touch(tmp_path, "epoch=0-step=5.ckpt", "last.ckpt")
    with pytest.warns(LeftOut, match="last.ckpt: no step number in the name; rename it"):
        assert found(tmp_path) == [(5, "epoch=0-step=5.ckpt")]


def test_of_equal_steps_the_later_name_counts(tmp_path):
    touch(tmp_path, "step=5.ckpt", "step=5-v1.ckpt", "step=6.ckpt")
    with pytest.warns(LeftOut, match=re.escape("step=5.ckpt: step=5-v1.ckpt is of step 5 too")):
        assert found(tmp_path) == [(5, "step=5-v1.ckpt"), (6, "step=6.ckpt")]


def test_folders_of_a_trainer_are_checkpoints_and_its_final_model_is_not(tmp_path):
    for step in (500, 1000):
        touch(
            tmp_path / f"checkpoint-{step}", "model.safetensors", "optimizer.pt", "rng_state.pth", "training_args.bin"
        )
    touch(tmp_path, "model.safetensors")
    with pytest.warns(LeftOut, match="model.safetensors: no step number"):
        assert found(tmp_path) == [(500, "checkpoint-500"), (1000, "checkpoint-1000")]


def test_a_folder_that_is_one_checkpoint_is_one(tmp_path):
    folder = tmp_path / "checkpoint-7"
    touch(folder, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "optimizer.pt")
    assert found(folder) == found(tmp_path) == [(7, "checkpoint-7")]
    touch(tmp_path / "orbax" / "500", "_METADATA", "manifest.ocdbt")
    assert found(tmp_path / "orbax") == [(500, "500")]
    touch(tmp_path / "odd" / "step_3", "mp_rank_00_model_states.pt")
    assert found(tmp_path / "odd") == [(3, "step_3")]


def test_a_run_of_trainers_folders_is_one_whatever_it_is_called(tmp_path):
    for run in ("sft_epoch3", "tmp501e3d7c", "step2"):
        for step in (10, 20):
            folder = tmp_path / run / f"checkpoint-{step}"
            folder.mkdir(parents=True)
            (folder / "config.json").write_text("{}")
            (folder / "model.safetensors").write_bytes(b"")
        assert [checkpoint.step for checkpoint in find(tmp_path / run)] == [10, 20]


def test_shards_beside_each_other_count_once(tmp_path):
    touch(tmp_path, *(f"step_{n}-0000{i}-of-00002.safetensors" for n in (1, 2) for i in (1, 2)))
    assert found(tmp_path) == [(n, f"step_{n}-00001-of-00002.safetensors") for n in (1, 2)]


def test_the_folder_below_is_found_if_it_is_the_only_one(tmp_path):
    touch(tmp_path / "version_0" / "checkpoints", "epoch=0-step=5.ckpt")
    assert found(tmp_path) == [(5, "epoch=0-step=5.ckpt")]
    touch(tmp_path / "version_1" / "checkpoints", "epoch=0-step=5.ckpt")
    with pytest.raises(
        NoCheckpoints, match="several folders .* version_0.checkpoints, version_1.checkpoints; give one"
    ):
        find(tmp_path)


def test_lists_and_single_files(tmp_path):
    touch(tmp_path, "step_3.pt", "step_20.pt")
    assert found([tmp_path / "step_20.pt", str(tmp_path / "step_3.pt")]) == [(3, "step_3.pt"), (20, "step_20.pt")]
    assert found(tmp_path / "step_3.pt") == [(3, "step_3.pt")]


def test_files_of_the_same_name_are_told_apart_by_their_folders(tmp_path):
    touch(tmp_path, "a/step_1.pt", "b/step_1.pt", "b/step_2.pt")
    paths = [tmp_path / "a" / "step_1.pt", tmp_path / "b" / "step_1.pt", tmp_path / "b" / "step_2.pt"]
    assert [*labels(paths).values()] == ["a/step_1.pt", "b/step_1.pt", "b/step_2.pt"]
    with pytest.warns(LeftOut, match="^a/step_1.pt: b/step_1.pt is of step 1 too and came later"):
        assert found(paths) == [(1, "step_1.pt"), (2, "step_2.pt")]


def test_a_wrong_place_says_what_is_there(tmp_path):
    with pytest.raises(NoCheckpoints, match="no checkpoints in .*: it is empty; looked for .pt, .pth"):
        find(tmp_path)
    touch(tmp_path, "notes.txt")
    with pytest.raises(NoCheckpoints, match="it holds notes.txt; looked for"):
        find(tmp_path)
    with pytest.raises(NoCheckpoints, match="nowhere does not exist"):
        find(tmp_path / "nowhere")
    with pytest.raises(NoCheckpoints, match="these are no checkpoints: .*a.pt.*b.pt"):
        find([tmp_path / "a.pt", tmp_path / "b.pt"])
    with pytest.raises(NoCheckpoints, match="empty"):
        find([])
