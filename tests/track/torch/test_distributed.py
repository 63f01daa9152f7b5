"""Several ranks write one log, equal to that of one process with the whole batch."""

import functools
import json

import numpy as np
import pandas as pd
import pytest
from torch import nn

import tests.track.torch.ranks as ranks
from tandv.log.across_ranks import rank_extremes
from tandv.log.run import read_run
from tandv.log.selection import select
from tandv.messages import UnknownName
from tandv.track.common import read_pickle
from tandv.track.torch import track
from tests.processes import run_all

pytestmark = pytest.mark.slow

COUNTS = ("numel", "zeros", "nans", "infs")


def spawn(scenario, size, folder) -> list[int | None]:
    """Run a scenario on `size` ranks; return how their processes ended."""
    return run_all(ranks.begin, [(rank, size, folder, scenario) for rank in range(size)])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return a function that lets so many ranks do everything once, and returns the folder of their runs."""

    @functools.cache
    def done(size):
        folder = tmp_path_factory.mktemp(f"ranks{size}")
        assert spawn(ranks.everything, size, folder) == [0] * size
        return folder

    return done


@pytest.fixture(params=[2, 4])
def runs(request, done):
    return done(request.param), request.param


@pytest.fixture
def pair(done):
    return done(2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The log of the same run in one process."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    ranks.train(ranks.net(), ranks.batch, folder)
    return read_pickle(folder / "log.pkl")


def table(log):
    frame = log["scalar_stats"].copy()
    metadata = log["metadata"].astype(str)
    frame.index = [tuple(row) for row in metadata[["step", "tensor_type", "name", "type", "dtype"]].to_numpy()]
    return frame


def test_the_rows_are_those_of_one_process(runs, whole):
    folder, size = runs
    for kind in ("ddp", "fsdp", "tensor", *(["grid", "large"] if size == 4 else ["compiled"])):
        log = read_pickle(folder / kind / "log.pkl")
        expected = whole[whole["metadata"]["step"] == 0] if kind in ("grid", "compiled") else whole
        one, other = table(log), table(expected)
        assert list(one.index) == list(other.index), kind
        for name in COUNTS:
            assert one[name].tolist() == other[name].tolist(), (kind, name)
        replicas = {"ddp": size, "fsdp": size, "grid": 2, "large": 2}.get(kind, 1)
        for label in one.index:
            of, calls = label[1], one.loc[[label], "calls"].item()
            assert calls == (replicas if of in ("Activation", "Gradient") else 1), (kind, label)
            if of in ("Activation", "Weight", "Weight_Gradient") and label[0] == "0" and kind != "grid":
                for name in ("mean", "std", "rm4", "max_abs", "min_abs"):
                    found, wanted = one.loc[[label], name].item(), other.loc[[label], name].item()
                    assert found == pytest.approx(wanted, rel=1e-4, abs=1e-6), (kind, label, name)
            if of == "Gradient" and label[0] == "0":  # each rank's loss is the mean over its own samples
                found, wanted = one.loc[[label], "rm2"].item(), other.loc[[label], "rm2"].item()
                assert found == pytest.approx(replicas * wanted, rel=1e-4), (kind, label)


def test_heads_and_experts_are_those_of_one_process(pair, tmp_path):
    ranks.train(ranks.Heads(), ranks.words, tmp_path, steps=1, attention=True, experts=True)
    one, other = read_pickle(pair / "heads" / "log.pkl"), read_pickle(tmp_path / "log.pkl")
    for kind, rows in (("Attention", 2), ("Experts", 3), ("Router", 1)):
        found, wanted = (table(log[log["metadata"]["tensor_type"] == kind]) for log in (one, other))
        assert list(found.index) == list(wanted.index) and len(found) == rows
        numbers = (rows.drop(columns="calls") for rows in (found, wanted))
        np.testing.assert_allclose(*numbers, rtol=1e-5, atol=1e-6)  # of products of other sizes


def test_activations_are_counted_exactly_under_data_parallelism(runs, whole):
    one, other = (
        log[(log["metadata"]["tensor_type"] == "Activation") & (log["metadata"]["step"] == 0)]["exponent_counts"]
        for log in (read_pickle(runs[0] / "ddp" / "log.pkl"), whole)
    )
    columns = one.columns.union(other.columns, sort=False)
    filled = [counts.reindex(columns=columns, fill_value=0).to_numpy() for counts in (one, other)]
    assert np.array_equal(*filled)


def test_each_rank_keeps_its_rows_where_that_is_asked_for(pair, whole):
    log = read_pickle(pair / "per_rank" / "log.pkl")
    assert log["metadata"]["rank"].value_counts().to_dict() == {0: len(log) // 2, 1: len(log) // 2}
    norm = log[(log["metadata"]["name"] == "norm") & (log["metadata"]["tensor_type"] == "Activation")]
    steps = len(set(log["metadata"]["step"]))
    assert norm["metadata"]["rank"].tolist() == [0, 1] * steps
    assert norm["scalar_stats"]["numel"].tolist() == [16] * 2 * steps
    pd.testing.assert_frame_equal(read_run(pair / "per_rank"), log)
    own = read_run(pair / "per_rank" / "ranks" / "0001")
    assert own["scalar_stats"].equals(log[log["metadata"]["rank"] == 1].reset_index(drop=True)["scalar_stats"])
    one, other = table(select(log, columns=[("scalar_stats", "numel")])), table(whole)
    outputs = [label for label in one.index if label[1] == "Activation"]
    assert one.loc[outputs, "numel"].tolist() == other.loc[outputs, "numel"].tolist()
    about = json.loads((pair / "per_rank" / "run.json").read_text())
    assert about["ranks"] == {"size": 2, "steps_of_all": steps, "incomplete": []}


def test_the_odd_rank_is_the_same_whether_ranks_are_merged_or_not(pair):
    kept, apart = (
        rank_extremes(pair / kind, "rm2", tt=["Activation", "Gradient"]).sort_values(["step", "tensor_type", "name"])
        for kind in ("ddp", "per_rank")
    )
    assert len(kept) and kept.to_numpy().tolist() == apart[apart["step"].isin(kept["step"])].to_numpy().tolist()
    with pytest.raises(UnknownName, match="no tensor type 'Weight'"):  # copies, of which one counts
        rank_extremes(pair / "ddp", "rm2", tt="Weight")
    sharded = rank_extremes(pair / "fsdp", "max_abs", tt="Weight")
    whole = select(pair / "fsdp", tt="Weight", columns=[("scalar_stats", "max_abs")])
    assert sorted(sharded["largest"]) == sorted(whole[("scalar_stats", "max_abs")].astype(float))


def test_stages_that_keep_their_rows_have_the_order_of_one_log(pair):
    log, merged = read_pickle(pair / "stages_apart" / "log.pkl"), read_pickle(pair / "stages" / "log.pkl")
    assert table(log).index.tolist() == table(merged).index.tolist()
    assert log["metadata"]["rank"].tolist() == [
        0 if name.startswith("first") else 1 for name in log["metadata"]["name"]
    ]


def test_a_rank_that_dies_leaves_the_rows_that_it_has_written(tmp_path):
    assert spawn(ranks.killed_apart, 2, tmp_path) == [0, -9]
    log = read_run(tmp_path / "killed")
    steps = {rank: set(log[log["metadata"]["rank"] == rank]["metadata"]["step"]) for rank in (0, 1)}
    assert steps[0] == {0, 1, 2} and {0} <= steps[1] <= {0, 1}
    told = json.loads((tmp_path / "killed" / "run.json").read_text())["ranks"]["incomplete"]
    missing = [step for period in told for step in range(period["steps"][0], period["steps"][1] + 1)]
    assert set(missing) == {0, 1, 2} - steps[1] and all(period["missing"] == [1] for period in told)


def test_what_ranks_do_apart(pair):
    assert set(read_pickle(pair / "every" / "log.pkl")["metadata"]["step"]) == {0, 2}
    stages = read_pickle(pair / "stages" / "log.pkl")["metadata"]
    assert stages[stages["tensor_type"] == "Weight"]["name"].tolist() == ["first", "first.bias", "last", "last.bias"]
    assert len(read_pickle(pair / "alone" / "log.pkl")) == 3  # an output, a weight, a bias


def test_what_was_recorded_before_a_failure_stays(pair):
    assert set(read_pickle(pair / "raised" / "log.pkl")["metadata"]["step"]) == {0, 1}


def test_a_rank_whose_tracker_fails_is_missing_in_the_steps_that_follow(pair):
    log = read_pickle(pair / "failed" / "log.pkl")
    calls = log[log["metadata"]["tensor_type"] == "Activation"].groupby(("metadata", "step"))[
        [("scalar_stats", "calls")]
    ]
    assert calls.max().to_dict()["scalar_stats", "calls"] == {0: 2, 1: 1, 2: 1}
    facts = json.loads((pair / "failed" / "run.json").read_text())["ranks"]
    assert facts == {"size": 2, "steps_of_all": 1, "incomplete": [{"steps": [1, 2], "missing": [1]}]}


def test_a_rank_that_dies_takes_no_flushed_row_along(tmp_path):
    assert spawn(ranks.killed, 2, tmp_path) == [0, -9]
    assert set(read_run(tmp_path / "killed")["metadata"]["step"]) == {0, 1, 2}
    incomplete = json.loads((tmp_path / "killed" / "run.json").read_text())["ranks"]["incomplete"]
    assert incomplete == [{"steps": [2, 2], "missing": [1]}]


def test_phases_of_several_ranks_are_kept_apart(pair):
    log = read_run(pair / "phases")
    rows = log[log[("metadata", "tensor_type")] == "Activation"]
    found = zip(rows[("metadata", "phase")], rows["scalar_stats"]["calls"], rows["scalar_stats"]["mean"], strict=True)
    assert sorted(found) == [("", 2, 1.5), ("rollout", 2, 15.0)]


def test_data_parallel_in_threads_is_refused():
    with pytest.raises(ValueError, match=r"nn\.DataParallel runs copies of the model in threads"):
        track(nn.Sequential(nn.DataParallel(nn.Linear(1, 1))))
