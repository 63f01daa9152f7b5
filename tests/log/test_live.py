"""A log for screens gives what the whole frame gives, however it lies, and while it grows."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import counted_only, rows_of, stored

from tandv.log import logframe
from tandv.log.files import write_csv, write_parquet, write_pickle
from tandv.log.live import LiveLog
from tandv.log.logframe import example_log, select
from tandv.log.shown import ABSENT, INFINITE, NAN, shares_of
from tandv.log.store.writing import Store
from tandv.messages import UnknownName

LOG = counted_only(example_log(layers=4, steps=24))  # 20 rows a step; NaN at the last step, infinities at the end
METRICS = ("rm2", "numel", "zeros")


def in_old_parts(df, place):
    """A run of an older tandv: parts with a column for each exponent, then the finished log."""
    (place / "parts").mkdir(parents=True)
    for part, steps in enumerate((slice(0, 10), slice(10, 24))):
        write_parquet(select(df, step=steps), place / "parts" / f"{part:06d}.parquet")


FORMS = {
    "finished": lambda df, place: stored(df, place, steps=3),
    "killed": lambda df, place: stored(df, place, steps=3, close=False),
    "one block": lambda df, place: stored(df, place, steps=24, group=100),
    "old parts": in_old_parts,
    "pickle": lambda df, place: write_pickle(df, place),
    "csv": lambda df, place: write_csv(df, place),
    "parquet": lambda df, place: write_parquet(df, place),
}


def same_as(log, df, **chosen):
    """Compare every answer with rows of a frame."""
    rows = select(df, **chosen)
    assert log.steps.tolist() == logframe.steps(rows)
    assert set(log.tensors) == set(zip(rows["metadata", "tensor_type"], rows["metadata", "name"], strict=True))
    low, high = log.exponents
    assert (low, high) == (min(logframe.exponents(df)), max(logframe.exponents(df)))
    for tt in logframe.tensor_types(rows):
        at = {(one, step): i for i, one in enumerate(log.layers(tt)) for step in log.steps.tolist()}
        of_type = select(rows, tt=tt)
        keys = list(zip(of_type["metadata", "name"], of_type["metadata", "step"], strict=True))
        cells = [(at[key], int(np.searchsorted(log.steps, key[1]))) for key in keys]
        for metric in METRICS:
            wanted = np.full((len(log.layers(tt)), len(log.steps)), np.nan, np.float32)
            flags = np.full(wanted.shape, ABSENT, np.uint8)
            bad = (of_type["scalar_stats", "nans"] > 0) * NAN + (of_type["scalar_stats", "infs"] > 0) * INFINITE
            for cell, value, flag in zip(cells, of_type["scalar_stats", metric], bad, strict=True):
                wanted[cell], flags[cell] = value, flag
            found = log.matrix(tt, metric)
            assert found.layers == log.layers(tt)
            np.testing.assert_allclose(found.values, wanted, rtol=1e-6)
            assert np.array_equal(found.flags, flags)
        for layer in log.layers(tt):
            of_tensor = select(of_type, layer=layer)
            found = log.exponents_of(tt, layer)
            row = np.searchsorted(log.steps, of_tensor["metadata", "step"])
            assert found.bins.tolist() == list(range(low, high + 1))
            assert np.array_equal(np.flatnonzero(found.logged), row)
            for n in found.bins.tolist():
                there = ("exponent_counts", n) in df.columns
                assert found.counts[row, n - low].tolist() == (
                    of_tensor["exponent_counts", n].tolist() if there else [0] * len(row)
                )
            for lane, label in (
                ("nans", ("scalar_stats", "nans")),
                ("numel", ("scalar_stats", "numel")),
                ("zeros", ("exponent_counts", -np.inf)),
                ("infs", ("exponent_counts", np.inf)),
            ):
                assert getattr(found, lane)[row].tolist() == of_tensor[label].tolist()
            assert not found.counts[~found.logged].any()
            one = of_tensor.iloc[len(of_tensor) // 2]
            cell = log.cell(tt, layer, int(one["metadata", "step"]))
            assert cell.text["dtype"] == one["metadata", "dtype"]
            for metric in logframe.scalar_metrics(df):
                assert cell.statistics[metric] == pytest.approx(one["scalar_stats", metric], rel=1e-6, nan_ok=True)
            assert cell.counts == {
                n: one["exponent_counts", n] for n in logframe.exponents(df) if one["exponent_counts", n]
            }
            ends = (one["exponent_counts", -np.inf], one["exponent_counts", np.inf], one["scalar_stats", "nans"])
            assert (cell.zeros, cell.infs, cell.nans) == ends
    return True


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_log_answers_as_its_frame(form, tmp_path):
    FORMS[form](LOG, tmp_path / "run")
    log = LiveLog(tmp_path / "run")
    assert same_as(log, LOG)
    assert (log.name, log.notes, log.phases, log.phase, log.ranks, log.rank) == ("run", [], [], None, [], None)
    assert log.layers("Weight") == logframe.layers(LOG)
    assert not log.refresh()
    assert log.version == 1


def test_a_log_at_an_address_answers_as_its_frame(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    run = stored(LOG, tmp_path / "run", steps=5)
    memory = fsspec.filesystem("memory")
    memory.put(str(run), "/live-run", recursive=True)
    try:
        assert same_as(LiveLog("memory://live-run"), LOG)
    finally:
        memory.rm("/live-run", recursive=True)


@pytest.mark.slow
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(st.booleans(), min_size=len(LOG), max_size=len(LOG)),
    steps=st.integers(1, 12),
    group=st.sampled_from([16, 64, 1000]),
    close=st.booleans(),
)
def test_whatever_rows_are_there_and_however_they_are_joined(rows, steps, group, close, tmp_path_factory):
    rows[0] = True
    df = counted_only(LOG[np.array(rows)].reset_index(drop=True))
    assert same_as(LiveLog(stored(df, tmp_path_factory.mktemp("a") / "run", steps=steps, group=group, close=close)), df)


@pytest.fixture
def files_read(monkeypatch):
    """The numbers of rows of which files were read."""
    found = []
    whole = pq.ParquetFile.read_row_groups

    def reading(self, *arguments, **options):
        found.append(self.metadata.num_rows)
        return whole(self, *arguments, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", reading)
    return found


def test_a_log_that_is_written_grows_and_only_new_files_are_read(tmp_path, files_read):
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text('{"status": "running"}')
    log = LiveLog(run)
    assert (log.tensors, log.steps.tolist(), log.notes) == ([], [], ["the run has no rows yet"])
    store = Store(run, batch=100, block=200, group=30)
    for step in range(24):
        store.add(rows_of(select(LOG, step=step)))
        if step % 3 == 0:
            while store.join():
                pass
        if step == 13:  # nothing of what was joined before is read again
            files_read.clear()
        version = log.version
        assert log.refresh()
        assert log.version == version + 1
        assert not log.refresh()
        log.matrix("Weight", "rm2")
        if step == 13:
            assert sum(files_read) <= 2 * (20 + 100)  # keys and values of a new part and a new batch
        if step % 6 == 5:
            assert same_as(log, counted_only(select(LOG, step=slice(0, step + 1))))
    store.close()
    assert log.refresh()
    assert same_as(log, LOG)
    assert log.notes == []


def test_files_that_were_joined_since_they_were_seen_are_looked_for_again(tmp_path):
    store = Store(tmp_path, batch=1000, block=4000)
    for step in range(24):
        store.add(rows_of(select(LOG, step=step)))
    log = LiveLog(tmp_path)
    log._source.handles.close()
    store.close()  # the 24 parts are one file now
    assert same_as(log, LOG)
    shutil.rmtree(tmp_path / "parts")
    assert log.refresh()
    assert log.tensors == []


def test_statistics_that_come_later_are_absent_before(tmp_path):
    early, late = LOG[LOG["metadata", "step"] < 10], LOG[LOG["metadata", "step"] >= 10]
    store = Store(tmp_path, batch=1000)
    store.add(rows_of(early.drop(columns=[("scalar_stats", "rm8")])))
    log = LiveLog(tmp_path)
    assert "rm8" not in log.metrics
    store.add(rows_of(late))
    assert log.refresh()
    found = log.matrix("Weight", "rm8")
    assert (found.flags[:, :10] == ABSENT).all()
    assert np.isnan(found.values[:, :10]).all()
    assert not found.flags[:, 10:].any()


def test_the_rows_of_one_step_may_lie_in_two_files(tmp_path):
    first = (LOG["metadata", "step"] < 5) | ((LOG["metadata", "step"] == 5) & (LOG["metadata", "name"] == "head"))
    store = Store(tmp_path, batch=1000)
    store.add(rows_of(LOG[first]))
    store.add(rows_of(LOG[~first]))
    log = LiveLog(tmp_path)
    assert same_as(log, LOG)
    assert log.notes == []


def with_phases(df):
    both = logframe.concat([df, df])
    both["metadata", "phase"] = logframe.categories(["eval"] * len(df) + [""] * len(df))
    both.loc[: len(df) - 1, ("scalar_stats", "rm2")] *= 2
    return both.sort_values(("metadata", "step"), kind="stable", ignore_index=True)


@pytest.mark.parametrize("form", ["finished", "pickle"])
def test_one_phase_is_shown_and_that_is_said(form, tmp_path):
    df = with_phases(LOG)
    FORMS[form](df, tmp_path / "run")
    log = LiveLog(tmp_path / "run")
    assert (log.phases, log.phase) == (["", "eval"], "")
    assert same_as(log, df, phase="")
    assert log.notes == ["shown is what lies outside of any phase; the log has (none), eval"]
    assert same_as(LiveLog(tmp_path / "run", phase="eval"), df, phase="eval")
    assert LiveLog(tmp_path / "run", phase="eval").notes == []
    assert log.reopened("eval").phase == "eval"
    with pytest.raises(UnknownName, match="no phase 'evil' in this log; did you mean 'eval'"):
        LiveLog(tmp_path / "run", phase="evil")


def test_a_phase_that_comes_first_in_a_log_without_rows_outside_of_any(tmp_path):
    df = select(with_phases(LOG), phase="eval")
    store = Store(tmp_path, batch=1000)
    store.add(rows_of(df[df["metadata", "step"] < 10]))
    log = LiveLog(tmp_path)
    assert log.phase == "eval"
    later = LOG[LOG["metadata", "step"] >= 10]
    store.add(rows_of(later))
    assert log.refresh()  # from now on there are rows outside of any phase
    assert log.phase == ""
    assert same_as(log, counted_only(later))


def with_ranks(df):
    both = logframe.concat([df, df])
    both["metadata", "rank"] = np.repeat([0, 1], len(df)).astype(np.int32)
    both.loc[: len(df) - 1, ("scalar_stats", "max_abs")] *= 2
    return both.sort_values(("metadata", "step"), kind="stable", ignore_index=True)


@pytest.mark.parametrize("form", ["finished", "pickle"])
def test_ranks_are_merged_or_one_is_chosen_and_that_is_said(form, tmp_path, monkeypatch):
    df = with_ranks(LOG)
    FORMS[form](df, tmp_path / "run")
    log = LiveLog(tmp_path / "run")
    assert (log.ranks, log.rank, log.notes) == ([0, 1], None, ["the ranks 0, 1 are merged"])
    assert same_as(log, df)
    one = LiveLog(tmp_path / "run", rank=1)
    assert (one.rank, one.notes) == (1, [])
    assert same_as(one, df, rank=1)
    with pytest.raises(UnknownName, match="no rank 7 in this log"):
        LiveLog(tmp_path / "run", rank=7)
    if form == "finished":
        monkeypatch.setattr("tandv.log._source._MERGED", 10)
        large = LiveLog(tmp_path / "run")
        assert large.rank == 0
        assert large.notes == ["shown is rank 0 of 0, 1: the log is too large to merge them here"]
        assert same_as(large, df, rank=0)


def test_a_log_of_one_rank_shows_it(tmp_path):
    df = select(with_ranks(LOG), rank=1)
    log = LiveLog(stored(df, tmp_path / "run"))
    assert (log.ranks, log.notes) == ([1], [])
    assert same_as(log, df)


@pytest.mark.parametrize("form", ["finished", "pickle"])
def test_what_overflows_is_told_by_the_largest_magnitude(form, tmp_path):
    FORMS[form](LOG, tmp_path / "run")
    log = LiveLog(tmp_path / "run")
    limit = float(log.matrix("Weight", "max_abs").values[1, 3])
    assert np.array_equal(log.overflows("Weight", limit), log.matrix("Weight", "max_abs").values > limit)
    assert not log.overflows("Weight", limit)[1, 3]
    assert log.overflows("Weight", np.nextafter(limit, 0))[1, 3]  # nearer than any float32 is


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda log: log.matrix("Wieght", "rm2"), "no tensor type 'Wieght' in this log; did you mean 'Weight'"),
        (lambda log: log.matrix("Weight", "rn2"), "no statistic 'rn2' in this log; did you mean"),
        (lambda log: log.cell("Weight", "haed", 3), "no layer 'haed' in this log; did you mean 'head'"),
        (lambda log: log.shares("Wieght", "haed"), "no tensor type 'Wieght'"),
        (lambda log: log.exponents_of("Weight", "haed"), "no layer 'haed'"),
    ],
)
def test_what_is_not_in_the_log_is_named(ask, words, tmp_path):
    log = LiveLog(stored(LOG, tmp_path / "run"))
    with pytest.raises(UnknownName, match=words):
        ask(log)
    assert log.cell("Weight", "head", 99) is None


def test_numbers_beyond_float32_are_no_infinities(tmp_path):
    df = example_log(layers=1, steps=2, tensor_types=["Weight"])
    df["scalar_stats", "rm2"] = np.array([1e300, -np.inf])
    found = LiveLog(stored(df, tmp_path / "run")).matrix("Weight", "rm2")
    assert found.values[0].tolist() == [1e300, -np.inf]
    assert found.flags[0].tolist() == [0, INFINITE]


def test_one_part_beyond_float32_makes_the_whole_float64(tmp_path):
    df = example_log(layers=1, steps=4, tensor_types=["Weight"])
    df["scalar_stats", "rm2"] = np.array([0.5, 0.25, 1e300, 2.0])
    found = LiveLog(stored(df, tmp_path / "run", steps=1)).matrix("Weight", "rm2")
    assert found.values[0].tolist() == [0.5, 0.25, 1e300, 2.0]


def test_a_log_without_counts_of_nan_shows_them_by_its_statistics(tmp_path):
    df = LOG.drop(columns=[("scalar_stats", name) for name in ("nans", "infs", "zeros", "numel", "calls")])
    write_pickle(df, tmp_path / "log.pkl")
    found = LiveLog(tmp_path / "log.pkl").matrix("Gradient", "rm2")
    assert found.flags[-1, -1] == NAN
    assert not found.flags[:-1].any()


def test_a_part_of_the_steps_is_that_part_of_all(tmp_path):
    log = LiveLog(stored(LOG, tmp_path / "run", steps=3))
    whole, part = log.exponents_of("Weight", "head"), log.exponents_of("Weight", "head", 5, 11)
    assert part.steps.tolist() == list(range(5, 12))
    for name in ("counts", "nans", "infs", "zeros", "numel", "logged"):
        assert np.array_equal(getattr(part, name), getattr(whole, name)[5:12])
    shares = log.shares("Weight", "head", 5, 11, columns=3)
    assert all(np.array_equal(a, b) for a, b in zip(shares, shares_of(part, columns=3), strict=True))
    assert log.exponents_of("Weight", "head", 90).steps.tolist() == []
    assert log.shares("Weight", "head", 90).shares.shape[0] == 0


def test_asking_for_much_keeps_memory_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("tandv.log._reads._ARRAYS", 8000)
    log = LiveLog(stored(LOG, tmp_path / "run", steps=3))
    assert same_as(log, LOG)
    assert log._reads.arrays.bytes <= 8000


@pytest.mark.parametrize("flat", [True, False])
def test_a_layer_without_a_name_has_one_that_can_be_chosen(flat, tmp_path):
    df = example_log(layers=2, steps=3)
    df["metadata", "name"] = df["metadata", "name"].astype(object).where(df["metadata", "name"] != "embed", "")
    if flat:
        write_pickle(df, tmp_path / "log.pkl")
    log = LiveLog(tmp_path / "log.pkl" if flat else stored(df, tmp_path / "run"))
    assert sorted(log.layers("Weight")) == ["(no name)", "head"]
    assert log.matrix("Weight", "rm2").layers == log.layers("Weight")
    assert log.cell("Weight", "(no name)", 0) is not None
    assert ("Weight", "(no name)") in log.order()
