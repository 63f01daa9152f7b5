"""A log that is opened where it lies gives the same rows as the whole frame, and reads no more than it needs."""

import re
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from stored import counted_only, stored

from tandv.log import logframe
from tandv.log.files import read_parquet, write_csv, write_parquet, write_pickle
from tandv.log.grid import grid
from tandv.log.logframe import example_log, select
from tandv.log.opened import Log, opened
from tandv.log.reading import read
from tandv.log.run import DamagedPart, read_run
from tandv.log.store.columns import about
from tandv.messages import UnknownName

LOG = counted_only(example_log(layers=5, steps=40))  # 25 rows a step


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {end: stored(LOG, folder / end, steps=3, close=end == "finished") for end in ("finished", "killed")}


@pytest.fixture(params=["finished", "killed"])
def run(request, made_once, tmp_path):
    return shutil.copytree(made_once[request.param], tmp_path / "run")


@pytest.fixture
def columns_read(monkeypatch):
    """What is read of files, as (name of the file, row group, column)."""
    found = []
    whole = pq.ParquetFile.read_row_group

    def reading(self, number, columns=None, **options):
        found.extend((number, name) for name in columns)
        return whole(self, number, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", reading)
    return found


def same(one, other):
    """Compare rows; columns of counts that one lacks are zero in the other."""
    plain = [table.reset_index(drop=True).astype(dict.fromkeys(TEXT, object)) for table in (one, other)]
    pd.testing.assert_frame_equal(*plain)


TEXT = [("metadata", name) for name in logframe.TEXT]


def test_the_whole_log_is_as_it_was_recorded(run):
    pd.testing.assert_frame_equal(read_run(run), LOG)
    assert read_run(run).attrs["run"] == str(run)


@pytest.mark.parametrize(
    "chosen",
    [
        {"layer": "head"},
        {"tt": "Gradient", "step": 7},
        {"layer": re.compile("mlp|head"), "tt": ["Weight", "Activation"], "step": slice(2, None, 3)},
        {"step": [3, 17, 39]},
        {"tt": "Weight", "step": 39},
        {"layer": "layers.0.mlp.up", "tt": "Weight"},  # the last of its type in the files
        {"layer": "embed", "step": 0},
        {"step": slice(38, 1000)},
    ],
)
def test_a_selection_is_that_of_the_whole_frame(chosen, run):
    same(select(run, **chosen), select(LOG, **chosen))


def test_what_is_known_of_a_log_without_reading_a_row(run, columns_read):
    log = opened(run)
    assert log.layers() == logframe.layers(LOG)
    assert logframe.layers(run, "Weight") == logframe.layers(LOG, "Weight")
    assert logframe.tensor_types(log) == logframe.tensor_types(LOG)
    assert logframe.scalar_metrics(run) == logframe.scalar_metrics(LOG)
    assert logframe.exponents(run) == logframe.exponents(LOG)
    assert logframe.labels(run) == logframe.labels(LOG)
    assert (logframe.phases(run), logframe.ranks(run)) == ([], [])
    assert log.rows == 1000
    assert not columns_read
    assert logframe.steps(str(run)) == list(range(40))


def test_only_the_groups_and_columns_that_are_needed_are_read(run, columns_read):
    logframe.curves(run, "head", "Weight", "rm2")
    names = [name for _, name in columns_read]
    assert set(names) <= {*(f"metadata/{name}" for name in (*logframe.METADATA, "phase")), "scalar_stats/rm2"}
    groups = [group for file in opened(run)._state.files for group in file.groups]
    holding = [group for group in groups if group.first <= ("Weight", "head") <= group.last]
    assert names.count("metadata/step") == len(holding) < len(groups)
    assert 0 < names.count("scalar_stats/rm2") <= len(holding)
    columns_read.clear()
    grid(run, "Weight", "rm2", step=slice(0, 6))  # the footer says that nothing there is NaN
    assert {name for _, name in columns_read} <= {
        "metadata/tensor_type", "metadata/name", "metadata/step", "scalar_stats/rm2",
    }  # fmt: skip


@pytest.mark.parametrize("kind", logframe.tensor_types(LOG))
def test_a_grid_is_that_of_the_whole_frame(kind, run):
    found, wanted = grid(run, kind, "rm2"), grid(LOG, kind, "rm2")
    assert found.layers == wanted.layers
    for name in ("steps", "values", "nans", "infs", "logged"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)
    bad = (wanted.nans > 0) | (wanted.infs > 0)
    assert np.array_equal(found.numel[bad], wanted.numel[bad])
    part = grid(run, kind, "rm2", layer=["head", "embed"], step=slice(30, None))
    assert np.array_equal(part.values, wanted.values[[0, -1]][:, 30:], equal_nan=True)


@pytest.mark.parametrize(
    "ask",
    [
        lambda df: select(df, "haed"),
        lambda df: select(df, step=99),
        lambda df: select(df, step=[1, 99]),
        lambda df: select(df, step=slice(100, 200)),
        lambda df: select(df, "head", step=slice(100, 200, 5)),
        lambda df: select(df, "head", "Wieght"),
        lambda df: select(df, re.compile("zz")),
        lambda df: select(df, "head", phase="eval"),
        lambda df: logframe.curves(df, "head", "Weight", "rn2"),
        lambda df: grid(df, "Wieght", "rm2"),
        lambda df: grid(df, "Weight", "rn2"),
    ],
)
def test_what_is_not_there_is_named_as_of_a_frame(ask, run):
    words = []
    for df in (LOG, run):
        with pytest.raises(UnknownName) as error:
            ask(df)
        words.append(str(error.value))
    assert words[0] == words[1]


def test_phases_and_ranks_are_kept_apart_and_merged_as_in_a_frame(tmp_path):
    df = logframe.concat([LOG, LOG])
    df["metadata", "rank"] = np.repeat([0, 1], len(LOG)).astype(np.int32)
    df["metadata", "phase"] = logframe.categories(np.where(df["metadata", "step"] % 2, "eval", ""))
    df = df.sort_values(("metadata", "step"), kind="stable", ignore_index=True)
    run = stored(df, tmp_path / "run")
    assert (logframe.ranks(run), logframe.phases(run)) == ([0, 1], ["", "eval"])
    for chosen in ({"rank": 1}, {"phase": "eval"}, {"layer": "head", "rank": [0, 1], "phase": re.compile("")}):
        ours, theirs = select(run, **chosen), select(df, **chosen)
        key = [("metadata", name) for name in ("step", "tensor_type", "name")]
        ours, theirs = (one.astype(dict.fromkeys(TEXT, object)).sort_values(key) for one in (ours, theirs))
        assert ours["scalar_stats", "rm2"].tolist() == pytest.approx(
            theirs["scalar_stats", "rm2"].tolist(), nan_ok=True
        )
        assert ours["scalar_stats", "numel"].tolist() == theirs["scalar_stats", "numel"].tolist()
    one = logframe.curves(run, "head", "Weight", "rm2", phase="eval")
    pd.testing.assert_frame_equal(one, logframe.curves(df, "head", "Weight", "rm2", phase="eval"))
    assert np.array_equal(grid(run, "Weight", "rm2", phase="eval").steps, np.arange(1, 40, 2))


def test_without_the_order_of_the_model_names_are_in_natural_order(run):
    (run / "layers.json").unlink()
    blocks = [f"layers.0.{name}" for name in ("attention.wo", "attention.wq", "mlp.up")]
    assert logframe.layers(run) == ["embed", "head", *blocks]
    assert logframe.tensor_types(run) == logframe.tensor_types(LOG)
    found = read_run(run)
    assert found["metadata", "step"].is_monotonic_increasing
    assert found["metadata", "name"].tolist()[:5] == ["embed", "head", *blocks]


def test_the_index_is_kept_until_the_run_goes_on(tmp_path):
    run = stored(LOG[LOG["metadata", "step"] < 20], tmp_path / "run", close=False)
    log = opened(run)
    assert opened(str(run)) is log
    assert opened(log) is log
    assert logframe.steps(log) == list(range(20))
    shutil.rmtree(run)
    stored(LOG, run, close=False)
    assert logframe.steps(log) == list(range(20))  # as it was when it was opened
    assert logframe.steps(opened(run)) == list(range(40))


def test_one_name_in_two_folders_is_two_logs(tmp_path, monkeypatch):
    for name, steps in (("one", 10), ("other", 20)):
        stored(LOG[LOG["metadata", "step"] < steps], tmp_path / name / "run")
        write_pickle(LOG[LOG["metadata", "step"] < steps], tmp_path / name / "log.pkl")
        monkeypatch.chdir(tmp_path / name)
        assert logframe.steps("run") == logframe.steps("log.pkl") == list(range(steps))
    write_pickle(LOG, "log.pkl")
    assert logframe.steps("log.pkl") == list(range(40))


def test_a_file_that_has_been_joined_meanwhile_is_looked_for_again(tmp_path):
    run = stored(LOG, tmp_path / "run", close=False)
    log = Log(run)
    shutil.rmtree(run)
    stored(LOG, run)
    same(log.frame(layer="head"), select(LOG, "head"))
    shutil.rmtree(run)
    with pytest.raises(FileNotFoundError):
        log.frame(layer="head")


def test_columns_that_are_asked_for(run):
    found = read_run(run, layers="head", tensor_types="Weight", steps=slice(0, 3), columns=["std", "exponent_counts"])
    assert found.shape == (3, 5 + 1 + len(logframe.exponents(LOG)) + 2)
    assert read_run(run, columns=["rm2"])["scalar_stats"].columns.tolist() == ["rm2"]
    with pytest.raises(UnknownName, match="no statistic 'sdt' in this log; did you mean 'std'"):
        read_run(run, columns=["sdt", "rm2"])


def test_all_that_is_not_there_is_named_at_once(run):
    with pytest.raises(UnknownName, match=r"(?s)no layer 'haed'.*did you mean 'head'.*no tensor type 'Wieght'"):
        read_run(run, layers=["haed", "embed"], tensor_types="Wieght")


def test_what_is_no_log():
    with pytest.raises(TypeError, match="a log is a table, or the place of one, not a dict; tandv.read opens the"):
        logframe.layers({})  # type: ignore[arg-type]


def test_one_file_of_a_run_is_opened_as_a_file(run):
    file = opened(run)._state.files[0]
    for opening in (read, read_parquet):
        assert len(opening(file.place.path)) == sum(group.rows for group in file.groups)


@pytest.mark.parametrize("write", [write_pickle, write_parquet, write_csv])
def test_a_log_in_one_file_is_read_whole_and_answers_the_same(write, tmp_path):
    write(LOG, tmp_path / "log")
    log = opened(tmp_path / "log")
    assert log.whole is not None
    assert logframe.steps(log) == list(range(40))
    assert select(log, "head", "Weight", 3)["scalar_stats", "rm2"].tolist() == pytest.approx(
        select(LOG, "head", "Weight", 3)["scalar_stats", "rm2"].tolist()
    )
    assert grid(log, "Weight", "rm2").layers == logframe.layers(LOG)
    with pytest.raises(UnknownName, match="no layer 'haed'"):
        select(log, "haed")
    whole = log.frame()
    whole["metadata", "step"] = 0  # what is done to one is not done to the next
    assert logframe.steps(log.frame()) == list(range(40))


def test_counts_that_need_64_bits(tmp_path):
    df = LOG[LOG["metadata", "step"] < 4].reset_index(drop=True).astype({("exponent_counts", 0): np.int64})
    df.loc[7, ("exponent_counts", 0)] = 3_000_000_000
    run = stored(df, tmp_path / "run")
    assert select(run)["exponent_counts", 0].tolist() == df["exponent_counts", 0].tolist()


def test_a_damaged_file_is_named_and_the_rest_is_there(run):
    files = opened(run)._state.files
    first = files[0].place
    with open(first.path, "r+b") as file:
        file.truncate(100)
    with pytest.warns(DamagedPart, match=re.escape(first.name)):
        found = read_run(run)
    lost = sum(group.rows for group in files[0].groups)
    assert len(found) == 1000 - lost
    write_pickle(LOG, run / "log.pkl")  # the finished log has them all
    assert len(read_run(run)) == 1000


def test_a_file_of_a_newer_tandv_says_so(run, monkeypatch):
    newer = about(None, "")["tandv"].replace('"format": 1', '"format": 2')
    path = opened(run)._state.files[0].place.path
    table = pq.read_table(path)
    with pq.ParquetWriter(path, table.schema) as file:
        file.write_table(table)
        file.add_key_value_metadata({"tandv": newer})
    with pytest.raises(ValueError, match=r"was written by a newer tandv \(form 2, this one reads up to 1\); update it"):
        read_run(run)


def test_two_runs_in_one_folder(tmp_path):
    run, other = stored(LOG, tmp_path / "run"), stored(LOG, tmp_path / "other", steps=40, batch=2000)
    last = max(int(path.stem[-6:]) for path in (run / "parts").iterdir()) + 1
    beside, across = run / "parts" / f"{last:06d}.parquet", run / "parts" / f"000003-{last + 9:06d}.parquet"
    shutil.copy(next((other / "parts").iterdir()), beside)
    with pytest.raises(logframe.SchemaError, match=f"{beside.name} are of two runs: two runs lie in one folder; move"):
        read_run(run)
    with pytest.raises(logframe.SchemaError, match="two runs lie in one folder"):
        logframe.curves(run, "head", "Weight", "rm2")
    beside.rename(across)
    with pytest.raises(logframe.SchemaError, match="two runs lie in one folder"):
        read_run(run)


def test_a_file_of_another_run_that_seems_to_be_covered_is_found(tmp_path):
    run, other = stored(LOG, tmp_path / "run"), stored(LOG, tmp_path / "other")
    wide = max((run / "parts").iterdir(), key=lambda path: len(path.name))
    assert "-" in wide.name
    shutil.copy(next((other / "parts").iterdir()), run / "parts" / f"{wide.name[:6]}.parquet")
    with pytest.raises(logframe.SchemaError, match=f"{wide.name[:6]}.parquet are of two runs"):
        read_run(run)


def test_rows_that_are_there_twice_are_two_runs(run):
    files = sorted((run / "parts").iterdir())
    shutil.copy(files[0], run / "parts" / f"{int(files[-1].stem[-6:]) + 1:06d}.parquet")
    with pytest.raises(logframe.SchemaError, match="rows twice.*two runs lie in one folder; move"):
        read_run(run)


@pytest.mark.parametrize("write", [write_pickle, write_parquet, write_csv])
def test_a_log_at_a_place_is_written_as_one_file(write, run, tmp_path):
    write(run, tmp_path / "log")
    assert read(tmp_path / "log").shape == LOG.shape
