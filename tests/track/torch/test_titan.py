"""Pipeline stages × `fully_shard` × checkpointed blocks × float8 emulation: one log, equal to that of one process."""

import pytest

import tests.track.torch.titan_ranks as titan
from tandv.track.common import read_pickle
from tests.processes import run_all
from tests.track.torch.test_distributed import table

pytestmark = pytest.mark.slow


def test_a_loop_as_torchtitans_has_the_log_of_one_process(tmp_path):
    assert run_all(titan.begin, [(rank, tmp_path) for rank in range(4)]) == [0] * 4
    titan.alone(tmp_path / "alone")
    one, other = (table(read_pickle(tmp_path / name / "log.pkl")) for name in ("alone", "together"))
    assert other.index.tolist() == one.index.tolist()
    roots = [label for label in one.index if label[2] == "Titan"]  # each stage has an output of its own
    one, other = one.drop(index=roots), other.drop(index=roots)
    for name in ("numel", "nans", "infs", "calls"):
        assert dict(other[name]) == dict(one[name]), name
    for name in ("mean_abs", "rm2", "max_abs"):
        first = [label for label in one.index if label[0] == "0" and label[1] != "Weight_Update"]
        assert other.loc[first, name].tolist() == pytest.approx(one.loc[first, name].tolist(), rel=1e-3), name
