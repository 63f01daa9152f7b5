"""A rank that is slow, late or dies holds nobody up; rank 0 keeps every step, and run.json says what it lacks."""

import json

import pytest

import tests.track.torch.troubled_ranks as troubled
from tandv.track.common import read_pickle
from tests.processes import run_all

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("troubled")
    assert run_all(troubled.begin, [(rank, 4, folder) for rank in range(4)]) == [0, -9, 0, 0]
    return folder


def ranks_of(folder):
    return json.loads((folder / "run.json").read_text())["ranks"]


def calls(folder):
    """Return how many ranks' outputs are in each step."""
    log = read_pickle(folder / "log.pkl")
    outputs = log[log["metadata"]["name"] == "norm"]
    outputs = outputs[outputs["metadata"]["tensor_type"] == "Activation"]
    return dict(zip(outputs["metadata"]["step"].tolist(), outputs["scalar_stats"]["calls"].tolist(), strict=True))


def test_a_slow_rank_holds_nobody_up_and_its_rows_come_when_it_sends_them(folder):
    assert ranks_of(folder / "slow") == {"size": 4, "steps_of_all": 9, "incomplete": []}
    assert calls(folder / "slow") == dict.fromkeys(range(9), 4)


def test_where_a_step_ends_no_rank_waits(folder):
    assert max(json.loads((folder / f"waits{rank}").read_text()) for rank in range(4)) < 3


def test_a_rank_that_comes_late_takes_part_from_then_on(folder):
    assert ranks_of(folder / "late")["incomplete"] == [{"steps": [0, 1], "missing": [3]}]
    assert calls(folder / "late") == {0: 3, 1: 3, 2: 4, 3: 4}


def test_when_a_rank_dies_the_others_go_on_also_those_that_sent_through_it(folder):
    found = calls(folder / "killed")
    assert set(found) == set(range(8)) and found[0] == found[1] == 4 and found[6] == found[7] == 3
    assert all(1 in period["missing"] for period in ranks_of(folder / "killed")["incomplete"])
    weights = read_pickle(folder / "killed" / "log.pkl")["metadata"]
    assert set(weights[weights["name"] == "head.bias"]["step"]) == set(range(8))
