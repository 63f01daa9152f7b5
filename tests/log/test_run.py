import numpy as np
import pandas as pd
import pytest

from tandv.log import logframe
from tandv.log.files import UnreadableFile, write_parquet, write_pickle
from tandv.log.logframe import SchemaError, example_log, select
from tandv.log.run import DamagedPart, parts, read_run

WRITERS = {"pkl": write_pickle, "parquet": write_parquet}


@pytest.fixture
def run(tmp_path):
    """The folder of a run that was killed: three parts, one of them unfinished."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "run.json").write_text('{"status": "running"}')
    df = example_log(steps=20)
    for i, steps in enumerate((slice(0, 7), slice(7, 20))):
        part = logframe.concat([select(df, step=steps)])
        write_parquet(part, tmp_path / "parts" / f"{i:06d}.parquet")
    (tmp_path / "parts" / ".000002.parquet").write_text("half a file")
    return tmp_path


def test_a_running_run_is_its_parts(run):
    pd.testing.assert_frame_equal(read_run(run), example_log(steps=20))


def test_parts_may_differ_in_their_exponents(run):
    extra = logframe.frame(
        {"name": ["new"], "type": [""], "tensor_type": ["Weight"], "step": [99], "dtype": ["float32"]},
        {"std": np.ones(1, np.float32)},
        np.array([[0, 3_000_000_000, 0]]),
        [-100],
    )
    write_parquet(extra, run / "parts" / "000002.parquet")
    df = read_run(run)
    assert df[("exponent_counts", -100)].tolist() == [0] * 500 + [3_000_000_000]
    assert logframe.layers(df)[-1] == "new"
    assert logframe.exponents(df) == [-100, *range(-24, 16)]


@pytest.mark.parametrize("suffix", ["pkl", "parquet"])
def test_the_finished_log_counts_and_the_parts_stand_in_when_it_is_damaged(suffix, run):
    finished = select(example_log(steps=20), step=3).reset_index(drop=True)
    WRITERS[suffix](finished, run / f"log.{suffix}")
    assert logframe.steps(read_run(run)) == [3]
    (run / f"log.{suffix}").write_bytes(b"broken")
    with pytest.warns(DamagedPart, match=f"log.{suffix}"):
        assert len(read_run(run)) == 500


def test_a_damaged_part_is_named_and_the_rest_returned(run):
    (run / "parts" / "000000.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.warns(DamagedPart, match="000000.parquet") as caught:
        df = read_run(run)
    assert len(caught) == 1
    assert logframe.steps(df) == list(range(7, 20))
    (run / "parts" / "000001.parquet").write_bytes(b"")
    with pytest.raises(UnreadableFile, match="000000.parquet[^$]*000001.parquet"):
        read_run(run)


def test_a_run_without_rows_or_folder_says_what_to_do(tmp_path):
    with pytest.raises(SchemaError, match="has no rows yet: wait until"):
        read_run(tmp_path)
    with pytest.raises(FileNotFoundError, match="the folder is missing"):
        read_run(tmp_path / "other")
    (tmp_path / "log.pkl").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="open it with read_pickle"):
        read_run(tmp_path / "log.pkl")


def test_parts_are_ordered_by_number(tmp_path):
    (tmp_path / "parts").mkdir()
    for name in ("000010.parquet", "000002.parquet", "1000000.parquet", ".000003.parquet", "000004.txt"):
        (tmp_path / "parts" / name).touch()
    assert [p.name for p in parts(tmp_path)] == ["000002.parquet", "000010.parquet", "1000000.parquet"]
