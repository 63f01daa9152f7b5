"""A statistic of all layers and steps as arrays, worked out by hand."""

import numpy as np
import pytest
from stored import stored

from tandv.log import logframe
from tandv.log.grid import grid
from tandv.messages import UnknownName


def log(rows, **more):
    """A log of (layer, tensor type, step, std, nans, infs) rows."""
    name, kind, step, std, nans, infs = zip(*rows, strict=True)
    text = {"name": name, "type": ["Linear"] * len(rows), "tensor_type": kind, "dtype": ["float32"] * len(rows)}
    counts = {"nans": np.array(nans), "infs": np.array(infs), "numel": np.full(len(rows), 8)}
    scalars = {"std": np.array(std, np.float32), **counts}
    return logframe.frame({**text, "step": step, **more}, scalars, np.ones((len(rows), 3), int), [0])


ROWS = [
    ("embed", "Weight", 0, 1.0, 0, 0),
    ("embed", "Gradient", 0, 9.0, 0, 0),
    ("head", "Weight", 0, 2.0, 0, 0),
    ("head", "Weight", 10, 0.5, 4, 1),
    ("embed", "Gradient", 10, 9.0, 0, 0),
]


def test_each_row_is_in_the_cell_of_its_layer_and_step():
    found = grid(log(ROWS), "Weight", "std")
    assert found.layers == ["embed", "head"]
    assert found.steps.tolist() == [0, 10]
    assert np.array_equal(found.values, [[1.0, np.nan], [2.0, 0.5]], equal_nan=True)
    assert found.logged.tolist() == [[True, False], [True, True]]
    assert found.nans.tolist() == [[0, 0], [0, 4]]
    assert found.infs.tolist() == [[0, 0], [0, 1]]
    assert found.numel.tolist() == [[8, 0], [8, 8]]


def test_layers_and_steps_can_be_chosen():
    found = grid(log(ROWS), "Weight", "std", layer="head", step=slice(5, None))
    assert (found.layers, found.values.tolist()) == (["head"], [[0.5]])


def test_what_is_not_there_and_what_is_there_twice():
    with pytest.raises(UnknownName, match="no statistic 'sdt' in this log; did you mean 'std'"):
        grid(log(ROWS), "Weight", "sdt")
    with pytest.raises(UnknownName, match="no tensor type 'weight'"):
        grid(log(ROWS), "weight", "std")


@pytest.mark.parametrize("name", ["numel", "nans", "std"])
def test_a_run_on_disk_gives_what_its_table_gives_also_of_counts_that_footers_know(tmp_path, name):
    # In the first files nothing is NaN, so that their footers say that the counts need not be read.
    df = log([*ROWS, ("embed", "Weight", 10, 1.0, 0, 0), ("embed", "Weight", 20, 1.0, 3, 0)])
    run = stored(df, tmp_path / "run", steps=1, batch=2, block=4, group=1)
    values = grid(run, "Weight", name).values
    assert np.array_equal(values, grid(df, "Weight", name).values, equal_nan=True)
