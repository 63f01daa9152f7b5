"""Whatever opens the folder of a run finds every bin: a run that was killed, that goes on, that has ended."""

from collections import Counter
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.compute as pc
import pyarrow.dataset
import pytest
from stored import rows_of, stored

from tandv.log import logframe
from tandv.log.logframe import example_log
from tandv.log.store.writing import Store

LOG = example_log(layers=4, steps=40)
BINS = {exponent: int(LOG["exponent_counts", exponent].sum()) for exponent in logframe.exponents(LOG)}


def by_duckdb(pattern: str) -> Counter:
    entries = f"select unnest(map_entries(exponent_counts)) as bin from '{pattern}'"
    found = duckdb.sql(f"select bin.key, sum(bin.value) from ({entries}) group by all").fetchall()
    return Counter({exponent: int(count) for exponent, count in found})


def by_polars(pattern: str) -> Counter:
    pairs = pl.col("exponent_counts").cast(pl.List(pl.Struct({"key": pl.Int16, "value": pl.Int64})))
    bins = pl.scan_parquet(pattern).select(pairs).explode("exponent_counts").unnest("exponent_counts")
    return Counter(dict(bins.group_by("key").agg(pl.col("value").sum()).collect().rows()))


def by_arrow(pattern: str) -> Counter:
    dataset = pyarrow.dataset.dataset(Path(pattern).parent, format="parquet")
    found = Counter()
    for chunk in dataset.to_table(columns=["exponent_counts"])["exponent_counts"].chunks:
        for exponent in pc.unique(chunk.keys).to_pylist():
            found[exponent] += pc.sum(pc.filter(chunk.items, pc.equal(chunk.keys, exponent))).as_py()
    return found


def by_pandas(pattern: str) -> Counter:
    found = Counter()
    for row in pd.read_parquet(Path(pattern).parent)["exponent_counts"]:
        found.update(dict(row))
    return found


@pytest.fixture(scope="module", params=["running", "killed", "finished"])
def run(request, tmp_path_factory):
    """Of a running run the store is still held; there are joined files of several sizes and parts."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param != "running":
        yield stored(LOG, folder, steps=1, close=request.param == "finished")
        return
    store = Store(folder, batch=100, block=400)
    for step in logframe.steps(LOG):
        store.add(rows_of(LOG[LOG["metadata", "step"] == step]))
        store.join()  # one piece of it at a time: some of the joining is still to be done
    yield folder


@pytest.mark.parametrize("count", [by_duckdb, by_polars, by_arrow, by_pandas], ids=lambda engine: engine.__name__)
def test_every_engine_counts_every_bin(run, count):
    assert count(f"{run}/parts/*.parquet") == {exponent: total for exponent, total in BINS.items() if total}


def test_a_bin_that_a_row_does_not_have_is_null_and_not_another_bin(run):
    query = f"select sum(exponent_counts[-99]), sum(exponent_counts[-3]) from '{run}/parts/*.parquet'"
    assert duckdb.sql(query).fetchall() == [(None, BINS[-3])]


def test_the_rows_of_a_tensor_are_chosen_by_its_name(run):
    chosen = pl.scan_parquet(f"{run}/parts/*.parquet").filter(
        (pl.col("metadata/name") == "head") & (pl.col("metadata/tensor_type") == "Weight")
    )
    expected = logframe.select(LOG, "head", "Weight")["scalar_stats", "numel"]
    assert chosen.sort("metadata/step").collect()["scalar_stats/numel"].to_list() == expected.tolist()
