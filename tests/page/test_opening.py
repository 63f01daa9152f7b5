"""What the page can show, and one sentence for each thing that it cannot."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from stored import counted_only, stored

import tandv
from tandv.curves import write_curves
from tandv.log.files import write_parquet, write_pickle
from tandv.log.logframe import example_log
from tandv.page.opening import CannotShow, measured, opened
from tandv.place import place_of

LOG = counted_only(example_log(layers=3, steps=6))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def checkpoints(folder):
    folder.mkdir(parents=True)
    for step in (0, 5):
        save_file(
            {"fc1.weight": (step + 1.0) * np.eye(3), "fc2.weight": np.eye(2, 3)}, folder / f"step_{step}.safetensors"
        )


def names(*given):
    return [(one.run.name, one.log is not None) for one in opened(given, measured)]


def test_a_log_is_shown_wherever_it_lies(here):
    stored(LOG, here / "runs" / "a")
    write_pickle(LOG, "log.pkl")
    write_parquet(LOG, "log.parquet")
    assert names("runs/a", here / "log.pkl", "log.parquet") == [("a", True), ("log.pkl", True), ("log.parquet", True)]
    assert opened(["runs/a"], measured)[0].run.log().steps.tolist() == list(range(6))


def test_a_log_at_an_address_is_shown():
    write_parquet(LOG, "log.parquet")
    place_of("memory://runs/log.parquet").put(Path("log.parquet").read_bytes())
    (one,) = opened(["memory://runs/log.parquet"], measured)
    assert (one.run.name, one.run.log().steps.tolist()) == ("log.parquet", list(range(6)))


def test_curves_are_shown_from_files_and_from_memory(here):
    for ending in ("csv", "json"):
        write_curves({"loss": [2.0, 1.0]}, f"curves.{ending}")
    pd.DataFrame({"step": [0, 7], "loss": [2.0, 1.0]}).to_parquet("curves.parquet")
    shown = opened(["curves.csv", "curves.json", "curves.parquet", {"loss": [2.0, 1.0]}], measured)
    assert [one.run.curves.table["loss"].tolist() for one in shown] == [[2.0, 1.0]] * 4
    assert shown[2].run.curves.table.index.tolist() == [0, 7]
    assert all(one.log is None for one in shown)


def test_checkpoints_are_measured_once(here):
    checkpoints(here / "run")
    said = []
    (one,) = opened(["run"], lambda folder, name: measured(folder, name, said.append))
    assert one.run.curves.table["spectral"].tolist() == [1.0, 6.0]
    assert said == ["Measuring 2 checkpoints in run (what was measured before is kept) ..."]


def test_runs_are_named_by_a_dict_or_by_what_tells_them_apart(here):
    for seed in (0, 1):
        stored(LOG, here / f"seed{seed}" / "demo")
    assert names({"mine": "seed0/demo", "yours": LOG}) == [("mine", True), ("yours", True)]
    assert [name for name, _ in names("seed0/demo", "seed1/demo")] == ["seed0/demo", "seed1/demo"]


def test_what_is_in_memory_is_named_by_where_it_came_from_or_by_what_it_is(here):
    log = tandv.read(stored(LOG, here / "runs" / "a"))
    assert names(log) == [("a", True)]
    assert names(LOG) == [("log", True)] and names({"loss": [1.0]}) == [("curves", False)]
    assert names(log, log) == [("run 0", True), ("run 1", True)]
    assert names(LOG, {"loss": [1.0]}) == [("run 0", True), ("run 1", False)]


def test_all_that_cannot_be_shown_is_named_at_once_and_nothing_is_measured(here):
    checkpoints(here / "run")
    (here / "empty").mkdir()
    (here / "notes.txt").write_text("hello")
    (here / "curves.csv").write_text("step,loss\n0,much\n")

    def never(folder, name):
        raise AssertionError("measured although something else is wrong")

    with pytest.raises(CannotShow) as raised:
        opened(["run", "nowhere", "empty", "notes.txt", "curves.csv", 3], never, ["--out is wrong"])
    words = str(raised.value)
    for part in ("--out is wrong", "nowhere", "empty", "notes.txt", "curves.csv", "not a int"):
        assert part in words, words
    assert "column 'loss' holds something that is not a number" in words and "top-level" not in words
    with pytest.raises(CannotShow, match="there is nothing to show"):
        opened([], measured)
    with pytest.raises(CannotShow, match="these are runs: a"):
        stored(LOG, here / "many" / "a")
        opened(["many"], measured)


def test_checkpoints_of_which_none_can_be_measured_are_an_error(here):
    (here / "run").mkdir()
    (here / "run" / "step_1.safetensors").write_bytes(b"no")
    with pytest.raises(CannotShow, match="nothing could be measured in run"):
        opened(["run"], measured)


def test_where_something_is_wrong_anyway_no_log_is_opened(here, monkeypatch):
    run = str(stored(LOG, here / "run"))

    def never(*_):
        raise AssertionError("a log was opened")

    monkeypatch.setattr("tandv.page.opening.answers.opened", never)
    with pytest.raises(CannotShow, match=r"^--out page.png must end in .html$"):
        opened([run], measured, ["--out page.png must end in .html"])


def test_logs_are_closed_where_another_cannot_be_shown(here, monkeypatch):
    closed = []
    monkeypatch.setattr("tandv.page.answers.Run.close", lambda run: closed.append(run.name))
    (here / "text.txt").write_text("nothing")
    with pytest.raises(CannotShow, match="text.txt"):
        opened([str(stored(LOG, here / "run")), "text.txt"], measured)
    assert closed == ["run"]


def test_a_folder_that_is_no_run_names_the_tables_in_it(here):
    (here / "plain").mkdir()
    write_curves({"loss": [2.0, 1.0]}, here / "plain" / "log.csv")
    with pytest.raises(CannotShow, match=r"What may be shown in it: `tandv view plain/log\.csv`"):
        opened(["plain"], measured)


def test_tables_beside_checkpoints_are_named_in_a_note(here):
    checkpoints(here / "run")
    write_curves({"loss": [2.0, 1.0]}, here / "run" / "log.csv")
    [shown] = opened(["run"], measured)
    assert any("log.csv is not shown; give it as well: `tandv view run/log.csv`" in note for note in shown.run.notes)
