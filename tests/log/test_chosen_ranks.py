"""Of a run in which each rank has a folder of its own, the rows of some are read without looking at the others."""

import numpy as np
import pandas as pd
import pytest
from stored import stored_by_rank

from tandv.log.example import example_log
from tandv.log.files import write_parquet
from tandv.log.logframe import curves, ranks, select
from tandv.log.opened import Log, opened
from tandv.log.ranks import RANK
from tandv.messages import UnknownName

STD = [("scalar_stats", "std")]


@pytest.fixture(scope="module")
def whole():
    one = example_log(layers=2, steps=3, tensor_types=["Weight", "Gradient"])
    df = pd.concat([one] * 4, ignore_index=True)
    df[RANK] = np.repeat(np.arange(4), len(one))
    df[("scalar_stats", "std")] = np.arange(len(df), dtype=np.float32)
    return df


@pytest.fixture
def run(whole, tmp_path):
    return stored_by_rank(whole, tmp_path / "run")


def damaged(run, *ranks):
    """Make the files of some ranks no parquet at all."""
    for rank in ranks:
        for file in (run / f"ranks/{rank:04d}" if rank else run).glob("parts/*.parquet"):
            file.write_bytes(b"nothing")
    return run


def in_order(df):
    keys = [("metadata", name) for name in ("rank", "tensor_type", "name", "step")]
    return df.sort_values(keys)[[*keys, *STD]].to_numpy().tolist()


@pytest.mark.parametrize("chosen", [0, 3, [1, 3]])
def test_the_others_are_not_even_opened(run, whole, chosen):
    wanted = [chosen] if isinstance(chosen, int) else chosen
    damaged(run, *(set(range(4)) - set(wanted)))  # with any of which a warning would be an error
    found = select(run, rank=chosen, columns=STD)
    assert in_order(found) == in_order(select(whole, rank=chosen, columns=STD))
    assert ranks(opened(run, chosen)) == wanted
    some = select(run, "head", "Gradient", step=2, rank=chosen, columns=STD)
    assert in_order(some) == in_order(select(whole, "head", "Gradient", step=2, rank=chosen, columns=STD))
    lines = curves(run, "head", "Weight", "std", rank=chosen)
    pd.testing.assert_frame_equal(lines, curves(whole, "head", "Weight", "std", rank=chosen))


def test_of_a_log_that_is_open_the_files_of_others_are_not_read(run, whole):
    log = Log(run)
    damaged(run, 0, 1, 3)
    assert in_order(select(log, rank=2, columns=STD)) == in_order(select(whole, rank=2, columns=STD))
    assert log.ranks() == [0, 1, 2, 3] and log.of_ranks([2]).ranks() == [2]


def test_all_are_named_where_one_is_asked_for_that_is_not_there(run):
    for log in (run, Log(run)):
        with pytest.raises(UnknownName, match=r"no rank 7 in this log.*0, 1, 2, 3"):
            select(log, rank=[1, 7])
        with pytest.raises(ValueError, match="rank is an empty list"):
            select(log, rank=[])


def test_a_rank_without_rows_yet_is_not_there(run):
    (run / "ranks/0009/parts").mkdir(parents=True)
    with pytest.raises(UnknownName, match="no rank 9"):
        select(run, rank=9)


def test_a_log_in_one_file_is_read_as_ever(whole, tmp_path):
    write_parquet(whole, tmp_path / "log.parquet")
    found = select(tmp_path / "log.parquet", rank=1, columns=STD)
    assert in_order(found) == in_order(select(whole, rank=1, columns=STD))
