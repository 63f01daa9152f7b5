"""Norms over training from the rows of a log, against the tensors themselves."""

import math

import numpy as np
import pandas as pd
import pytest

from tandv.analysis.norms import norm_curves
from tandv.log import logframe
from tandv.log.logframe import SchemaError, UnknownName, example_log


def log_of(rows: list[tuple[str, str, int, np.ndarray]]) -> pd.DataFrame:
    """Return a log of tensors: name, tensor type, step and values."""
    names, kinds, steps, values = zip(*rows, strict=True)
    metadata = {"name": names, "type": [""] * len(rows), "tensor_type": kinds, "step": steps}
    scalars = {
        "rm2": np.array([math.sqrt(np.mean(np.square(x))) for x in values]),
        "numel": np.array([x.size for x in values]),
    }
    counts = np.zeros((len(rows), 2), np.int64)
    return logframe.frame(metadata | {"dtype": ["float32"] * len(rows)}, scalars, counts, [])


def test_the_norm_is_that_of_all_tensors_together():
    rng = np.random.default_rng(0)
    a, b, g = rng.normal(size=(4, 3)), rng.normal(size=7), rng.normal(size=(4, 3))
    log = log_of(
        [("a", "Weight", 0, a), ("b", "Weight", 0, b), ("a", "Weight_Gradient", 0, g), ("a", "Weight", 5, 2 * a)]
    )
    table = norm_curves(log, per_layer=True)
    assert table.loc[0, "weight_norm"] == pytest.approx(np.linalg.norm([*a.ravel(), *b]))
    assert table.loc[0, "weight_norm:a"] == pytest.approx(np.linalg.norm(a))
    assert table.loc[0, "gradient_norm"] == pytest.approx(np.linalg.norm(g))
    assert table.loc[5, "weight_norm:a"] == pytest.approx(2 * np.linalg.norm(a))
    # b is not known at step 5, and without it the norm would be too small
    assert table.loc[5, ["weight_norm", "weight_norm:b", "gradient_norm"]].isna().all()
    assert list(norm_curves(log)) == ["weight_norm", "gradient_norm"]


def test_rows_of_several_ranks_are_parts_of_one_tensor():
    log = log_of([("a", "Weight", 0, np.array([3.0])), ("a", "Weight", 0, np.array([4.0]))])
    log[("metadata", "rank")] = [0, 1]
    assert norm_curves(log).loc[0, "weight_norm"] == 5


def test_a_norm_is_nan_or_infinite_where_a_value_is():
    log = log_of([("a", "Weight", step, np.array([3.0, 4.0])) for step in range(3)])
    log[("scalar_stats", "nans")], log[("scalar_stats", "infs")] = [0, 1, 0], [0, 0, 2]
    table = norm_curves(log, per_layer=True)
    for name in ("weight_norm", "weight_norm:a"):
        assert table[name].tolist() == pytest.approx([5.0, math.nan, math.inf], nan_ok=True)
    assert table.attrs["nan"] == {"weight_norm": [1], "weight_norm:a": [1]}


def test_a_rank_can_be_chosen():
    log = log_of([("a", "Weight", 0, np.array([3.0])), ("a", "Weight", 0, np.array([4.0]))])
    log[("metadata", "rank")] = [0, 1]
    assert norm_curves(log, rank=1).loc[0, "weight_norm"] == 4
    assert norm_curves(log, rank=[0, 1]).loc[0, "weight_norm"] == 5


def test_what_a_log_lacks_is_said():
    log = example_log()
    only = log[(log[("metadata", "tensor_type")] == "Activation").to_numpy()]
    with pytest.raises(UnknownName, match="none of Weight, Weight_Gradient, Weight_Update, only Activation"):
        norm_curves(only)
    with pytest.raises(UnknownName, match="lacks rm2"):
        norm_curves(log.drop(columns=[("scalar_stats", "rm2")]))


def test_rows_that_are_there_twice_are_refused_and_not_summed():
    log = example_log(layers=2, steps=4, tensor_types=["Weight"])
    twice = pd.concat([log, log[log[("metadata", "step")] == 2]])  # as two logs of a run that was resumed
    with pytest.raises(SchemaError, match=r"2 rows repeat .*\('embed', 'Weight', 2\).*drop_duplicates"):
        norm_curves(twice)
    pd.testing.assert_frame_equal(norm_curves(twice.drop_duplicates()), norm_curves(log))
    ranks = pd.concat([log, log])
    ranks[("metadata", "rank")] = np.repeat([0, 1], len(log))
    np.testing.assert_allclose(norm_curves(ranks), np.sqrt(2) * norm_curves(log))  # parts of one tensor
