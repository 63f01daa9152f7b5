"""Which files of a folder are taken, at which steps, and what is said of the others."""

import os
import re

import pytest
import torch

from tandv.checkpoints import (
    BrokenCheckpoint,
    Checkpoint,
    LeftOut,
    NoCheckpoints,
    SeveralGroups,
    StepsInferred,
    UnknownName,
    evaluate,
    find,
)
from tandv.checkpoints.selection import GroupOfFiles, select


def touch(folder, text):
    for name in text.split():
        (folder / name).touch()
    return folder


def save(folder, name, scale=1.0, **beside):
    torch.save({"model": {"w.weight": scale * torch.ones(2, 2)}, **beside}, folder / name)


def found(where, **filters):
    return [(one.step, one.path.name) for one in find(where, **filters)]


GUIDED_DIFFUSION = "model010000.pt ema_0.9999_010000.pt opt010000.pt model020000.pt ema_0.9999_020000.pt opt020000.pt"


def test_of_a_model_its_averages_and_its_optimiser_the_model_is_taken(tmp_path):
    touch(tmp_path, GUIDED_DIFFUSION)
    with pytest.warns(LeftOut) as said:
        assert found(tmp_path) == [(10_000, "model010000.pt"), (20_000, "model020000.pt")]
    assert [str(one.message) for one in said] == [
        "ema_0.9999_010000.pt, ema_0.9999_020000.pt: averages of the model, of the group ema_0.9999_*; measured is "
        "model*, and group='ema_0.9999_*' (--group) measures these"
    ]


@pytest.mark.parametrize("group", ["ema_0.9999_*", "ema", "ema*"])
def test_another_group_is_taken_without_a_word_if_it_is_asked_for(tmp_path, group):
    touch(tmp_path, GUIDED_DIFFUSION)
    assert found(tmp_path, group=group) == [(10_000, "ema_0.9999_010000.pt"), (20_000, "ema_0.9999_020000.pt")]


def test_groups_are_listed_and_the_measured_one_marked(tmp_path):
    touch(tmp_path, GUIDED_DIFFUSION)
    assert select(tmp_path).groups == [
        GroupOfFiles("ema_0.9999_*", 2, 10_000, 20_000, measured=False),
        GroupOfFiles("model*", 2, 10_000, 20_000, measured=True),
    ]


def test_raw_and_averaged_weights_are_never_in_one_curve(tmp_path):
    for i in range(4):
        save(tmp_path, f"{('raw', 'ema')[i % 2]}_{i}00.pt", scale=10.0 ** (i % 2))
    with pytest.warns(LeftOut, match="ema_100.pt, ema_300.pt: averages of the model"):
        curves = evaluate(tmp_path, "mean", cache=False)
    assert curves["mean"].to_dict() == {0: 1.0, 200: 1.0}


def test_groups_between_which_nothing_tells_are_refused_with_all_ways_out(tmp_path):
    touch(tmp_path, "G_100.pt G_200.pt D_100.pt")
    text = (
        f"the names in {tmp_path} differ in more than their step, and one curve would mix G_* (2 files, steps 100 to "
        "200), D_* (1 file, step 100). Give group='G_*' (--group) for one of them, include= or exclude= (--include, "
        "--exclude) with globs, or step_pattern= (--step-pattern) if it is the step that was misread"
    )
    with pytest.raises(SeveralGroups, match=f"^{re.escape(text)}$"):
        find(tmp_path)
    with pytest.raises(SeveralGroups, match="group='\\*' fits groups with equal steps"):
        find(tmp_path, group="*")
    assert found(tmp_path, group="D_*") == [(100, "D_100.pt")]
    assert found(tmp_path, include="G_*") == found(tmp_path, exclude=["D*", "x"])


def test_groups_without_equal_steps_may_be_taken_together(tmp_path):
    touch(tmp_path, "step_100_calm-owl.pt step_200_red-fox.pt")
    with pytest.raises(SeveralGroups, match=r"for one of them or group='\*' for all together"):
        find(tmp_path)
    assert found(tmp_path, group="*") == [(100, "step_100_calm-owl.pt"), (200, "step_200_red-fox.pt")]
    with pytest.raises(SeveralGroups, match=r"group='step' fits step_\*_calm-owl .1 file, step 100., step_\*_red-fox"):
        find(tmp_path, group="step")


def test_runs_of_several_seeds_are_refused(tmp_path):
    with pytest.raises(SeveralGroups, match=r"step\*_seed3 \(2 files, steps 100 to 200\), step\*_seed4 \(1 file, step"):
        find(touch(tmp_path, "step100_seed3.pt step200_seed3.pt step300_seed4.pt"))
    (tmp_path / "last").mkdir()
    with pytest.raises(SeveralGroups, match="tell runs apart and hold no steps: seed3.pt, seed4.pt; measure them one"):
        find(touch(tmp_path / "last", "seed3.pt seed4.pt"))


def test_of_files_of_one_name_the_broken_one_is_named_with_its_folder(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
    save(tmp_path / "a", "step_1.pt")
    (tmp_path / "b" / "step_1.pt").write_bytes(b"junk")
    paths = [Checkpoint(1, tmp_path / "a" / "step_1.pt"), Checkpoint(2, tmp_path / "b" / "step_1.pt")]
    with pytest.warns(BrokenCheckpoint, match="^b/step_1.pt: it is damaged"):
        assert evaluate(paths, "mean", cache=False)["mean"].isna().tolist() == [False, True]


def test_parts_of_one_model_are_no_steps(tmp_path):
    with pytest.raises(SeveralGroups, match="parts of one model and hold no steps: params_shard_1.npz, params_shard_2"):
        find(touch(tmp_path, "params_shard_1.npz params_shard_2.npz"))


def test_the_step_of_a_single_file_is_what_it_records(tmp_path):
    save(tmp_path, "ckpt.pt", iter_num=5000)
    with pytest.warns(StepsInferred, match="ckpt.pt: the steps are what the files record as iter_num"):
        assert found(tmp_path) == [(5000, "ckpt.pt")]


def test_metrics_are_no_steps(tmp_path):
    touch(tmp_path, "val_loss=0.25.pt val_loss=0.125.pt")
    with pytest.warns(StepsInferred, match="the names hold no steps"):
        assert [step for step, _ in found(tmp_path)] == [0, 1]


def test_how_dates_were_read_is_said(tmp_path):
    with pytest.warns(StepsInferred, match="the order of the dates in the names .day, month, year., 0, 1, 2"):
        assert found(touch(tmp_path, "01-05-2024.pt 15-04-2024.pt")) == [(0, "15-04-2024.pt"), (1, "01-05-2024.pt")]


def test_tensor_parallel_shards_are_one_checkpoint(tmp_path):
    touch(tmp_path, " ".join(f"consolidated.{rank:02d}.pth" for rank in range(8)))
    assert found(tmp_path) == [(0, "consolidated.00.pth")]


# -------------------------------------------------------------------------- names that hold no single step


def test_epochs_with_something_inside_are_in_order_unless_the_files_record_their_step(tmp_path):
    for name in ("epoch0_iter50.pt", "epoch1_iter50.pt"):
        save(tmp_path, name)
    with pytest.warns(
        StepsInferred, match="the places in the order of epoch and iteration, 0, 1, 2, ...: the iteration"
    ):
        assert found(tmp_path) == [(0, "epoch0_iter50.pt"), (1, "epoch1_iter50.pt")]
    for epoch, name in enumerate(["epoch0_iter50.pt", "epoch1_iter50.pt"]):
        save(tmp_path, name, global_step=50 + 500 * epoch)
    with pytest.warns(StepsInferred, match="the steps are what the files record as global_step; step_pattern="):
        assert found(tmp_path) == [(50, "epoch0_iter50.pt"), (550, "epoch1_iter50.pt")]


def test_dates_are_an_order_and_no_steps(tmp_path):
    touch(tmp_path, "2024-05-02.pt 2024-05-01.pt")
    with pytest.warns(StepsInferred, match="the steps are the order of the dates in the names, 0, 1, 2"):
        assert found(tmp_path) == [(0, "2024-05-01.pt"), (1, "2024-05-02.pt")]


def test_best_and_last_are_counted_with_a_warning_unless_the_files_record_their_step(tmp_path):
    save(tmp_path, "best.pt")
    save(tmp_path, "last.pt")
    with pytest.warns(StepsInferred, match="best.pt, last.pt: the steps are the places of the files in the order of"):
        assert found(tmp_path) == [(0, "best.pt"), (1, "last.pt")]
    save(tmp_path, "best.pt", epoch=7)
    save(tmp_path, "last.pt", epoch=3)
    with pytest.warns(StepsInferred, match="the steps are what the files record as epoch"):
        assert found(tmp_path) == [(3, "last.pt"), (7, "best.pt")]


def test_an_average_beside_a_model_without_a_step_is_left_out(tmp_path):
    touch(tmp_path, "model.pt model_ema.pt")
    with pytest.warns(LeftOut, match="model_ema.pt: averages of the model; measured are the others"):
        assert found(tmp_path) == [(0, "model.pt")]
    assert found(tmp_path, group="model_ema") == [(0, "model_ema.pt")]
    with pytest.raises(UnknownName, match="no group 'emu' in .*'model'"):
        found(tmp_path, group="emu")


def test_of_equal_steps_one_that_is_called_best_gives_way(tmp_path):
    touch(tmp_path, "step_100.pt step_100_best.pt step_200_final.pt")
    with pytest.warns(LeftOut, match="step_100_best.pt: step_100.pt is of step 100 too$"):
        assert found(tmp_path) == [(100, "step_100.pt"), (200, "step_200_final.pt")]


def test_fractions_of_epochs_are_the_index_of_the_curves(tmp_path):
    for name in ("epoch_0.5.pt", "epoch_1.pt", "epoch_1.5.pt"):
        save(tmp_path, name)
    curves = evaluate(tmp_path, "mean", cache=False)
    assert curves.index.tolist() == [0.5, 1.0, 1.5] and curves.index.dtype == "float64"


# --------------------------------------------------------------------------------------- what the user says


def test_a_pattern_says_what_the_step_is(tmp_path):
    touch(tmp_path, "run_7_at_5k.pt run_8_at_5k.pt")
    assert [step for step, _ in found(tmp_path, step_pattern=r"run_(\d+)")] == [7, 8]
    for name in ("run_7_at_5k.pt", "run_8_at_5k.pt"):
        save(tmp_path, name)
    assert evaluate(tmp_path, "mean", step_pattern=r"run_(\d+)", cache=False).index.tolist() == [7, 8]


@pytest.mark.parametrize(
    ("filters", "error", "words"),
    [
        ({"step_pattern": "(("}, ValueError, "step_pattern='((' is no regular expression (missing )"),
        ({"step_pattern": "step"}, ValueError, "step_pattern='step' has no groups; give a regular expression with one"),
        ({"step_pattern": r"(s)(\d)"}, ValueError, "has 2 groups; give a regular expression with one group around"),
        ({"step_pattern": r"x(\d)"}, NoCheckpoints, "finds no number in the names in {}: step_1.pt, step_2.pt"),
        ({"include": "m*"}, NoCheckpoints, "include=m* leave none of 2 checkpoints: step_1.pt, step_2.pt"),
        ({"include": "s*", "exclude": ["*.pt"]}, NoCheckpoints, "include=s* and exclude=*.pt leave none of 2"),
        ({"group": "stop_*"}, UnknownName, "no group 'stop_*' in {}; did you mean 'step_*'?"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, filters, error, words):
    touch(tmp_path, "step_1.pt step_2.pt")
    with pytest.raises(error, match=re.escape(words.format(tmp_path))):
        find(tmp_path, **filters)


def test_checkpoints_that_were_found_have_their_steps_and_are_not_chosen_again(tmp_path):
    for name in ("model_1k.pt", "model_2k.pt"):
        save(tmp_path, name)
    listed = find(tmp_path, include="*_2k*")
    assert evaluate(listed, "mean", cache=False).index.tolist() == [2000]
    with pytest.raises(ValueError, match="include, group choose among files; give a folder or paths"):
        evaluate(listed, "mean", include="model*", group="x")


# ----------------------------------------------------------------- one bad file never ends the rest


def test_a_dangling_link_and_a_folder_that_must_not_be_read_are_checkpoints_that_fail(tmp_path, monkeypatch):
    save(tmp_path, "step_1.pt")
    os.symlink("gone.pt", tmp_path / "step_2.pt")
    os.symlink("gone", tmp_path / "step_3")
    (tmp_path / "step_4").mkdir()
    listdir = os.listdir

    def denied(path="."):
        if str(path).endswith("step_4"):
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", denied)
    monkeypatch.setattr(os, "scandir", denied)
    with pytest.warns() as said:
        curves = evaluate(tmp_path, "mean")
    assert curves["mean"].isna().to_dict() == {1: False, 2: True, 3: True, 4: True}
    assert sorted(str(one.message) for one in said) == [
        "step_2.pt: it is a link to gone.pt, which is not there",
        "step_3: it is a link to gone, which is not there",
        "step_4: it cannot be read: permission denied",
    ]
    assert curves.attrs["measured"].endswith("not measured: step_2.pt, step_3, step_4")
    assert found([tmp_path / "step_1.pt", tmp_path / "step_2.pt"])[1] == (2, "step_2.pt")


@pytest.mark.parametrize("name", ["gpt2.pt", "model_fp16.pt", "llama-7b.pt", "qwen2.5-0.5b.pt", "yolov8n.pt"])
def test_a_number_of_a_models_name_is_no_step(name, tmp_path):
    torch.save({"model": {"a.weight": torch.ones(2, 2)}, "iter_num": 70}, tmp_path / name)
    with pytest.warns(StepsInferred, match="the steps are what the files record as iter_num"):
        assert [one.step for one in find(tmp_path)] == [70]
