"""Every plot of a log draws from a place what it draws from the table, and reads no more than it shows."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from stored import counted_only, stored

from tandv import viz
from tandv.log.logframe import example_log
from tandv.viz.layout.tables import drawn

LOG = counted_only(example_log(layers=6, steps=40))

PLOTS = {
    "scalar_line": lambda df: viz.scalar_line(df, ["head", "embed"], "Gradient", ["rm2", "max_abs"]),
    "exp_hist": lambda df: viz.exp_hist(df, "head", "Activation", [0, 39]),
    "exp_heatmap": lambda df: viz.exp_heatmap(df, "head", ["Activation", "Gradient"], inc=2),
    "scalar_global_heatmap": lambda df: viz.scalar_global_heatmap(df, ["Activation", "Gradient"], "rm2", inc=3),
    "all types": lambda df: viz.scalar_global_heatmap(df),
    "by type": lambda df: viz.scalar_global_heatmap(df, "Weight", "std", y="name", colour="change"),
    "norms": lambda df: viz.norms(df, per_layer=True),
    "overview": lambda df: viz.overview(df, title="a run"),  # a place is called by its name
    "overview of weights": lambda df: viz.overview(df, layer="head", tt="Weight", title="a run"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return stored(LOG, tmp_path_factory.mktemp("log") / "run", steps=3)


def texts(fig):
    return [text.get_text() for text in fig.texts] + [ax.get_title("left") for ax in fig.axes]


@pytest.mark.parametrize("plot", PLOTS)
def test_a_place_gives_the_same_picture(plot, run):
    one, other = PLOTS[plot](LOG), PLOTS[plot](run)
    assert texts(one) == texts(other)
    tables = [[drawn(ax) for ax in fig.axes] for fig in (one, other)]
    assert len(tables[0]) == len(tables[1])
    for ours, theirs in zip(*tables, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert ours[:5] == theirs[:5]
            assert np.array_equal(ours.steps, theirs.steps)
            assert np.array_equal(np.asarray(ours.values, float), np.asarray(theirs.values, float), equal_nan=True)
            if ours.not_finite is not None:
                assert np.array_equal(ours.not_finite, theirs.not_finite)


def test_a_heat_map_reads_its_statistic_and_no_row_of_another_type(run, monkeypatch):
    read = []
    whole = pq.ParquetFile.read_row_group

    def reading(self, number, columns=None, **options):
        table = whole(self, number, columns=columns, **options)
        read.append((set(columns), len(table)))
        return table

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", reading)
    viz.scalar_global_heatmap(run, "Weight_Gradient", "rm2")
    assert set().union(*(names for names, _ in read)) <= {
        *("metadata/tensor_type", "metadata/name", "metadata/step"),
        *(f"scalar_stats/{name}" for name in ("rm2", "numel", "nans", "infs")),
    }
    assert sum(rows for names, rows in read if "scalar_stats/rm2" in names) < len(LOG) / 2


def test_the_viewer_opens_a_place(run):
    viewer = viz.interactive(viz.scalar_global_heatmap, df=str(run), tt="Weight", scalar_metric="rm2")
    assert viewer.select(tt="Gradient").state.arguments["tt"] == "Gradient"
    assert viewer.state.layers == LOG[("metadata", "name")].unique().tolist()
    viewer.close()
