"""The curves that a run keeps in its folder: lines while it goes on, a table when it is closed."""

import math

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tandv.curves import as_curves, curves_beside, losses_of, read_curves, run_curves
from tandv.curves.of_run import LINES, DamagedCurves, line, write_table
from tandv.log.example import example_log
from tandv.place import Unreachable, place_of


@pytest.fixture
def folder(tmp_path):
    def folder(text: str):
        (tmp_path / "curves.jsonl").write_text(text)
        return tmp_path

    return folder


def test_a_number_that_is_missing_and_one_that_is_nan_are_told_apart(folder):
    run = folder(line(0, {"loss": 2.0}) + line(1, {"loss": math.nan, "lr": math.inf}) + line(4, {"lr": -math.inf}))
    curves = read_curves(run)
    assert curves.index.tolist() == [0, 1, 4]
    assert curves["lr"].tolist()[1:] == [math.inf, -math.inf]
    assert curves["loss"].isna().tolist() == [False, True, True]
    assert curves.attrs["nan"] == {"loss": [1]}
    write_table(curves, run / "curves.parquet")
    (run / "curves.jsonl").unlink()
    again = read_curves(run)
    pd.testing.assert_frame_equal(again, curves)
    assert again.attrs == curves.attrs
    column = pq.read_table(run / "curves.parquet").column("loss")
    assert column.is_null().to_pylist() == [False, False, True]
    assert math.isnan(column[1].as_py())


def test_a_torn_last_line_is_dropped(folder):
    whole = line(0, {"loss": 2.0}) + line(1, {"loss": 1.0})
    for end in range(len(whole) - 1, len(line(0, {"loss": 2.0})), -1):
        assert read_curves(folder(whole[:end]))["loss"].to_dict() == {0: 2.0}, whole[:end]


def test_a_line_damaged_in_between_is_counted_in_a_warning(folder):
    run = folder(
        line(0, {"loss": 2.0}) + '{"step": 1, "lo\n' + '[1]\n{"step": 2, "loss": "?"}\n' + line(3, {"loss": 1})
    )
    with pytest.warns(DamagedCurves, match=r"3 of 5 lines of .*curves\.jsonl are damaged"):
        assert read_curves(run)["loss"].to_dict() == {0: 2.0, 3: 1.0}


def test_several_lines_of_a_step_are_averaged_and_nan_is_not_hidden(folder):
    rows = [(5, 1.0), (5, 2.0), (6, 4.0), (6, math.nan), (3, math.inf), (3, -math.inf)]
    curves = run_curves(folder("".join(line(step, {"loss": value}) for step, value in rows)))
    assert curves is not None
    assert curves["loss"].fillna(-1).to_dict() == {3: -1.0, 5: 1.5, 6: -1.0}
    assert curves.attrs["nan"] == {"loss": [3, 6]}


def test_the_finished_table_is_taken_before_the_lines(folder):
    run = folder(line(0, {"loss": 2.0}))
    write_table(as_curves({"loss": [1.0]}), run / "curves.parquet")
    assert read_curves(run)["loss"].tolist() == [1.0]


def test_a_table_that_cannot_be_read_is_said(folder):
    (folder("") / "curves.parquet").write_bytes(b"PAR1")
    with pytest.warns(DamagedCurves, match=r"the curves of a run cannot be read: .*curves\.parquet"):
        assert run_curves(folder("")) is None


def test_lines_that_come_later_are_seen(folder):
    run = folder(line(0, {"loss": 2.0}))
    own = read_curves(run)
    own["loss"] = 7.0  # a copy of one's own
    assert read_curves(run)["loss"].tolist() == [2.0]
    with (run / "curves.jsonl").open("a") as file:
        file.write(line(1, {"loss": 1.0}))
    assert read_curves(run)["loss"].tolist() == [2.0, 1.0]


def test_a_folder_without_curves_says_how_to_have_some(tmp_path):
    assert run_curves(tmp_path) is None
    with pytest.raises(FileNotFoundError, match=r"no curves in .*tracker\.step\(loss=loss\)"):
        read_curves(tmp_path)


def test_curves_are_those_of_the_logs_run_unless_others_are_given(folder):
    log = example_log(layers=1, steps=2)
    assert curves_beside(log) is None
    log.attrs["run"] = str(folder(line(0, {"loss": 2.0})))
    for same in (log, log[log["metadata", "step"] == 0], log.attrs["run"]):
        curves = curves_beside(same)
        assert curves is not None
        assert curves["loss"].tolist() == [2.0]
    assert curves_beside(log, train_stats=False) is None
    given = curves_beside(log, {"accuracy": [0.5]})
    assert given is not None
    assert given.columns.tolist() == ["accuracy"]


def test_what_shares_an_axis_are_the_losses_else_the_first():
    assert list(losses_of(as_curves({"lr": [1], "Loss/train": [1], "val": [1]}))) == ["Loss/train", "val"]
    assert list(losses_of(as_curves({"lr": [1], "accuracy": [1]}))) == ["lr"]


def test_numbers_come_back_to_the_last_bit(folder):
    numbers = np.random.default_rng(0).standard_normal(50) * 10.0 ** np.arange(-150, 150, 6)
    run = folder("".join(line(step, {"x": float(value)}) for step, value in enumerate(numbers)))
    assert read_curves(run)["x"].tolist() == numbers.tolist()


def test_curves_are_read_where_the_run_lies():
    import fsspec

    place = fsspec.filesystem("memory")
    place.pipe_file("/of_run/run.json", b"{}")
    place.pipe_file("/of_run/curves.jsonl", line(0, {"loss": 2.0}).encode())
    for address in ("memory://of_run", "memory://of_run/run.json"):
        found = run_curves(address)
        assert found is not None
        assert found["loss"].tolist() == [2.0]
    assert read_curves("memory://of_run")["loss"].tolist() == [2.0]
    place.rm("/of_run", recursive=True)
    assert run_curves("memory://of_run") is None


def test_a_run_is_found_by_whatever_names_it(folder):
    run = folder(line(0, {"loss": 2.0}))
    (run / "run.json").write_text('{"status": "finished"}')
    (run / "log.pkl").write_bytes(b"")
    for path in (run, str(run), f"file://{run}", f"file://{run}/", run / "run.json", run / "log.pkl", run / LINES):
        assert read_curves(path)["loss"].to_dict() == {0: 2.0}, path


def test_curves_in_a_file_at_an_address():
    place = place_of("memory://curves-in-a-file/loss.csv")
    place.put(b"step,loss\n5,1.0\n")
    assert read_curves("memory://curves-in-a-file/loss.csv")["loss"].to_dict() == {5: 1.0}


@pytest.mark.parametrize("path", ["nope", "~/nope", "nope.csv", "nope.txt", "file:///nope", "memory://nope/nope"])
def test_a_place_where_nothing_is(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match="nope: there is nothing|nope\\....: there is nothing of this name; give"
    ):
        read_curves(path)


def test_a_folder_of_runs_names_them(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "curves.jsonl").write_text(line(0, {"loss": 2.0}))
    with pytest.raises(FileNotFoundError, match=r"no run itself, these are runs: a, b; give one of them, such as .*a$"):
        read_curves(tmp_path / "runs")
    with pytest.raises(FileNotFoundError, match="no run itself, these are runs: a, b"):
        read_curves(f"file://{tmp_path}/runs")
    with pytest.raises(FileNotFoundError, match=r"runs[/\\]c: there is nothing of this name"):
        read_curves(tmp_path / "runs" / "c")


@pytest.mark.parametrize("address", ["s3://", "memory://", "file://", "s3:///"])
def test_an_address_of_nothing(address):
    with pytest.raises(Unreachable, match="it names no folder or file; give one, such as .*://bucket/run"):
        read_curves(address)
