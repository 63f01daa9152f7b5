"""An overview reads the same of a table and of a place, and counts of exponents only where a value may overflow."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from stored import counted_only, stored

from tandv import viz
from tandv.formats import known
from tandv.log.logframe import example_log
from tandv.viz.layout.heat import MISSING
from tandv.viz.of_log.contents import read_cells, read_kinds, read_overflow

E4M3 = known("float8_e4m3fn")[0]


def at(df, name, steps):
    return (df["metadata", "name"] == name) & df["metadata", "step"].isin(steps)


def overflowing():
    """Return a log whose only overflow of e4m3 is a quarter of `embed` at step 3; `head` has no row at step 0."""
    df = counted_only(example_log(layers=4, steps=8, tensor_types=["Weight"]))
    df["scalar_stats", "max_abs"] = np.float32(1.0)
    for name in ("nans", "infs"):
        df["scalar_stats", name] = 0
    df["exponent_counts", 9] = 0
    there = at(df, "embed", [3])
    df.loc[there, ("scalar_stats", "max_abs")] = np.float32(600.0)
    df.loc[there, ("exponent_counts", 9)] = df.loc[there, ("scalar_stats", "numel")] // 4
    last = df.columns[-1]
    assert last == ("exponent_counts", 9)
    exponents = sorted((label for label in df.columns if label[0] == "exponent_counts"), key=lambda label: label[1])
    df = df[[*(label for label in df.columns if label[0] != "exponent_counts"), *exponents]]
    return df[~at(df, "head", [0])].reset_index(drop=True)


LOG = overflowing()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return stored(LOG, tmp_path_factory.mktemp("log") / "run", steps=3)


@pytest.mark.parametrize("place", [False, True])
def test_the_share_that_overflows_is_where_it_is(place, run):
    log = run if place else LOG
    cells = read_cells(log, "rm2", tt="Weight")
    expected = np.zeros((4, 8))
    expected[cells.names.index("embed"), 3] = 0.25
    assert np.array_equal(read_overflow(log, E4M3, cells, "rm2", tt="Weight"), expected)
    assert cells.values[cells.names.index("head"), 0] == MISSING


def test_cells_of_a_table_and_of_a_place_are_equal(run):
    ours, theirs = read_cells(LOG, "rm2", tt="Weight"), read_cells(run, "rm2", tt="Weight")
    assert ours.names == theirs.names
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        assert np.array_equal(one, other)


def test_a_layer_that_is_not_there_at_the_step_has_its_kind(run):
    names = read_cells(run, "rm2", tt="Weight").names
    for step in (0, 3):
        assert read_kinds(run, names, step, tt="Weight") == read_kinds(LOG, names, step, tt="Weight")
    assert read_kinds(run, ["embed", "head"], 0, tt="Weight") == ["Embedding", "Linear"]


def test_counts_are_read_where_the_largest_value_may_overflow(run, monkeypatch):
    counted = []
    whole = pq.ParquetFile.read_row_group

    def reading(self, number, columns=None, **options):
        if "exponent_counts" in columns:
            counted.append(number)
        return whole(self, number, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", reading)
    cells = read_cells(run, "rm2", tt="Weight")
    assert not counted
    read_overflow(run, known("float32")[0], cells, "rm2", tt="Weight")
    assert not counted
    read_overflow(run, E4M3, cells, "rm2", tt="Weight")
    assert counted


def test_regions_of_overflow_are_outlined_alike(run):
    def outline(df):
        [lines] = [one for one in viz.overview(df, step=5).axes[1].collections if len(one.get_linewidths()) and
                   one.get_linewidths()[0] == 1.3]  # fmt: skip
        return np.array(lines.get_segments())

    assert np.array_equal(outline(LOG), outline(run))
    assert outline(LOG)[..., 0].min() == 2.5
    assert outline(LOG)[..., 0].max() == 3.5
