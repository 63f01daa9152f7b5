import json

import pytest

from tandv.log.example import example_log
from tandv.log.files import write_pickle
from tandv.log.runs import runs_in


def run(folder, started, **about):
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"started": started, **about}))
    return folder


def test_runs_are_listed_in_the_order_in_which_they_began_with_status_steps_and_size(tmp_path):
    log = example_log(layers=2, steps=3)
    write_pickle(
        log, run(tmp_path / "sweep" / "b", "2026-01-02", status="finished", model="GPT", log="log.pkl") / "log.pkl"
    )
    run(tmp_path / "a", "2026-01-01", status="empty")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "run.json").write_text("{")
    (tmp_path / "no run").mkdir()
    damaged, first, second = runs_in(tmp_path)
    assert (first.path, first.status, first.steps, first.first) == (str(tmp_path / "a"), "empty", 0, None)
    assert (second.path, second.model, second.status) == (str(tmp_path / "sweep" / "b"), "GPT", "finished")
    assert (second.steps, second.first, second.last) == (3, 0, 2)
    files = list((tmp_path / "sweep" / "b").iterdir())
    assert second.size == sum(file.stat().st_size for file in files)
    assert damaged.status == "damaged" and damaged.path == str(tmp_path / "c")
    assert runs_in(tmp_path / "a") == [first]


def test_where_there_is_no_folder_it_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere; runs are in tandv-runs where training"):
        runs_in(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is a file; give a folder of runs"):
        runs_in(tmp_path / "file")
