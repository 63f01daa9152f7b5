"""What lies at a place, in one sentence that says what to do."""

import pytest
from stored import stored

from tandv.log.files import UnreadableFile
from tandv.log.finding import lies_at
from tandv.log.logframe import SchemaError, example_log, layers
from tandv.log.reading import read
from tandv.log.run import read_run

LOG = example_log(layers=2, steps=4)


def test_a_run_a_file_and_nothing(tmp_path):
    stored(LOG, tmp_path / "run")
    assert lies_at(tmp_path / "run") == "run"
    assert lies_at(tmp_path / "run" / "layers.json") == "file"
    with pytest.raises(FileNotFoundError, match="there is nothing of this name"):
        lies_at(tmp_path / "rnu")
    with pytest.raises(TypeError, match="cannot read a int, only what lies at a path"):
        lies_at(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("opening", [read, read_run, layers])
def test_a_folder_of_runs_names_them(opening, tmp_path):
    for name in ("demo", "other"):
        stored(LOG, tmp_path / name)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UnreadableFile, match="it is no run itself, these are runs: demo, other; give one of them"):
        opening(tmp_path)


@pytest.mark.parametrize("opening", [read, read_run, layers])
def test_the_parts_alone(opening, tmp_path):
    run = stored(LOG, tmp_path / "run", close=False)
    with pytest.raises(UnreadableFile, match="these are parts; give the folder of the run, which holds them"):
        opening(run / "parts")


@pytest.mark.parametrize("opening", [read, read_run, layers])
def test_a_run_without_rows_yet(opening, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(SchemaError, match="has no rows yet: wait until it has flushed its first steps, or check that"):
        opening(tmp_path)


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "model.pt").touch()
    with pytest.raises(UnreadableFile, match=r"it is a folder with model\.pt, and no run\.json, parts, log\.pkl or"):
        read_run(tmp_path)
