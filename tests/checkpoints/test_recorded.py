"""The steps that files record beside the weights."""

import json

import pytest
import torch

from tandv.checkpoints.recorded import recorded_steps, step_in


@pytest.mark.parametrize(
    ("extras", "step"),
    [
        ({"global_step": 200, "epoch": 1}, ("global_step", 200)),
        ({"epoch": 1}, ("epoch", 1)),
        ({"epoch": 0.5}, ("epoch", 0.5)),
        ({"trainer": {"iteration": 7}}, ("iteration", 7)),
        ({"optimizer": {"state": {0: {"step": 7}}}, "step": "many", "epoch": True}, None),
        ({"step": -1}, None),
        ({"iter_num": 5000, "best_val_loss": 1.5}, ("iter_num", 5000)),
        ({"training_step": 500, "total_reward": 3.0}, ("training_step", 500)),
        ({"step": 2**53 + 1}, None),
        ({}, None),
    ],
)
def test_a_step_is_a_scalar_under_a_known_key(extras, step):
    assert step_in(extras) == step


def test_all_files_must_record_different_steps(tmp_path):
    paths = [tmp_path / f"{name}.pt" for name in "abc"]
    for path, step in zip(paths, (30, torch.tensor(10), 20), strict=True):
        torch.save({"model": {"w": torch.ones(2, 2)}, "global_step": step}, path)
    assert recorded_steps(paths) == ("global_step", [30, 10, 20])
    torch.save({"model": {"w": torch.ones(2, 2)}, "global_step": 30}, paths[1])
    assert recorded_steps(paths) is None
    torch.save({"w": torch.ones(2, 2)}, paths[1])
    assert recorded_steps(paths) is None
    paths[1].write_bytes(b"")
    assert recorded_steps(paths) is None


def test_a_folder_of_a_trainer_records_its_step(tmp_path):
    (tmp_path / "trainer_state.json").write_text(json.dumps({"epoch": 1.5, "global_step": 300}))
    assert recorded_steps([tmp_path]) == ("global_step", [300])
    assert recorded_steps([tmp_path, tmp_path.parent]) is None
