import json

from typer.testing import CliRunner

from tandv.cli import app
from tandv.cli.listing import in_bytes

run = CliRunner().invoke


def test_runs_are_a_table_or_json(tmp_path):
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"status": "empty", "model": "GPT", "started": "2026-01-02T03:04:05"}))
    head, line = run(app, ["runs", str(tmp_path / "runs")]).stdout.splitlines()
    assert head.split() == ["RUN", "STATUS", "STEPS", "SIZE", "MODEL", "STARTED"]
    size = (folder / "run.json").stat().st_size
    assert line.split() == [str(folder), "empty", "0", str(size), "B", "GPT", "2026-01-02", "03:04"]
    (found,) = json.loads(run(app, ["runs", str(tmp_path / "runs"), "--json"]).stdout)
    assert (found["path"], found["steps"], found["size"]) == (str(folder), 0, size)


def test_without_a_folder_it_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = run(app, ["runs"])
    assert told.exit_code == 2 and "there is no folder tandv-runs; runs are in" in told.output
    (tmp_path / "tandv-runs").mkdir()
    told = run(app, ["runs"])
    assert told.exit_code == 0 and "There is no run in tandv-runs." in told.output


def test_versions_are_lines_or_json():
    assert run(app, ["versions"]).stdout.startswith("tandv          ")
    assert "torch" in json.loads(run(app, ["versions", "--json"]).stdout)


def test_sizes_are_in_units_that_people_read():
    assert [in_bytes(size) for size in (0, 999, 1000, 2_500_000, 3 * 10**9)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "2.5 MB",
        "3.0 GB",
    ]
