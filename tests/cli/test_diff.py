"""`tandv diff`: words, exit codes, JSON, maps, pictures."""

import json

import pytest
from typer.testing import CliRunner

from tandv.cli import app
from tandv.log.example import example_log


@pytest.fixture
def logs(tmp_path):
    a, b = example_log(layers=2, steps=4), example_log(layers=2, steps=4)
    about = b["metadata"]
    at = (about["tensor_type"] == "Weight") & (about["name"] == "head") & (about["step"] == 2)
    b.loc[at, ("scalar_stats", "rm2")] *= 2
    for name, df in (("a", a), ("b", b)):
        df.to_pickle(tmp_path / f"{name}.pkl")
    return str(tmp_path / "a.pkl"), str(tmp_path / "b.pkl")


def run(*arguments):
    return CliRunner().invoke(app, ["diff", *arguments])


def test_equal_runs_end_with_0(logs):
    done = run(logs[0], logs[0])
    assert done.exit_code == 0 and done.stdout.startswith("A and B are the same to the last bit")


def test_runs_that_part_end_with_1_and_name_where(logs):
    done = run(*logs)
    assert done.exit_code == 1
    assert "A and B part at step 2 in the weights, before the step: the weight 'head'" in done.stdout
    assert "Weight of head" in done.stdout


def test_json_has_the_same(logs):
    done = run(*logs, "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 1 and found["first"]["layer"] == "head" and found["first"]["step"] == 2


def test_what_cannot_be_read_ends_with_2(logs, tmp_path):
    done = run(logs[0], str(tmp_path / "nope"))
    assert done.exit_code == 2 and "there is nothing of this name" in done.output
    (tmp_path / "map.json").write_text("[1]")
    done = run(*logs, "--map", str(tmp_path / "map.json"))
    assert done.exit_code == 2 and "is no map" in done.output


def test_a_proposed_map_can_be_given(logs, tmp_path):
    names = tmp_path / "names.json"
    assert run(*logs, "--propose-map", str(names)).exit_code == 0
    assert json.loads(names.read_text()) == {}
    assert run(*logs, "--map", str(names)).exit_code == 1


def test_it_can_be_drawn(logs, tmp_path):
    done = run(*logs, "--out", str(tmp_path / "x.svg"))
    assert done.exit_code == 1 and "where two runs part" in (tmp_path / "x.svg").read_text()
    assert run(*logs, "--out", str(tmp_path / "x.nope")).exit_code == 2


def test_names_and_phases_that_no_run_has_are_said(logs, tmp_path):
    (tmp_path / "map.json").write_text('{"nope": "head"}')
    done = run(*logs, "--map", str(tmp_path / "map.json"))
    assert done.exit_code == 2 and "name of A in the map" in done.output
    done = run(*logs, "--phase", "x")
    assert done.exit_code == 2 and "no phase 'x'" in done.output
