"""What is known of each gradient, pooled over the model: numbers that are worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from tandv.analysis.optimisation import insight_curves
from tandv.log.logframe import SchemaError, example_log
from tandv.messages import UnknownName

LOG = example_log(layers=2, steps=3, tensor_types=["Weight_Gradient"]).copy()
FIRST = LOG[("metadata", "name")].astype(str) == "embed"


def of_layers(**columns):
    """Return the log with columns of (values of the first layer by step, values of the second)."""
    log = LOG.copy()
    for name, (first, second) in columns.items():
        log[("scalar_stats", name)] = np.where(
            FIRST, np.array(first)[log[("metadata", "step")]], np.array(second)[log[("metadata", "step")]]
        ).astype(float)
    return log


def test_counts_add_and_norms_add_as_squares():
    log = of_layers(**{"zeros_1e-05": ([1, 2, 3], [10, 20, 30]), "update_norm": ([3, 0, 0], [4, 1, 2])})
    found = insight_curves(log)
    assert found["zeros_1e-05"].tolist() == [11, 22, 33] and found["update_norm"].tolist() == [5, 1, 2]
    assert insight_curves(log, per_layer=True)["zeros_1e-05:head"].tolist() == [10, 20, 30]


def test_shares_are_of_all_weights_together():
    nan = np.nan
    log = of_layers(
        numel=([100] * 3, [300] * 3),
        sign_flips=([nan, 0.5, nan], [nan, 1.0, 0.25]),
        signed=([nan, 0.5, 0.0], [nan, 1.0, 1.0]),
        **{"zeros_released_1e-05": ([nan, 1, 0], [nan, 4, 0]), "zeros_retained_1e-05": ([nan, 9, 0], [nan, 6, 0])},
    )
    found = insight_curves(log)
    assert found["sign_flips"].tolist()[1:] == [(25 + 300) / 350, 75 / 300] and np.isnan(found["sign_flips"][0])
    assert found["zeros_released_share_1e-05"][1] == 5 / 20 and np.isnan(found["zeros_released_share_1e-05"][2])


def test_a_sum_without_one_of_its_tensors_is_not_known():
    log = of_layers(gradient_norm=([3, 3, 3], [4, np.nan, 4]))
    found = insight_curves(log)["gradient_norm"]
    assert found.tolist()[::2] == [5, 5] and np.isnan(found[1])


def test_means_of_epochs_are_indexed_by_epoch():
    found = insight_curves(of_layers(**{"zeros_1e-05": ([1, 2, 9], [0, 0, 0])}), steps_per_epoch=2)
    assert found["zeros_1e-05"].to_dict() == {0: 1.5, 1: 9.0} and found.attrs["unit"] == "epoch"


def test_a_log_without_insight_says_how_to_record_it():
    with pytest.raises(UnknownName, match=r"no numbers of insight; record them with track\(..., insight=True\)"):
        insight_curves(LOG)


def test_rows_that_are_there_twice_are_refused_and_not_summed():
    log = example_log(layers=2, steps=3, tensor_types=["Weight_Gradient"])
    log[("scalar_stats", "zeros_1e-05")] = 4.0
    with pytest.raises(SchemaError, match="6 rows repeat the name, tensor_type and step"):
        insight_curves(pd.concat([log, log]))
