"""Every metric is explained where people choose it."""

import numpy as np

from tandv.checkpoints import METRICS, metrics
from tandv.glossary import INSIGHT, MEANINGS, OF_METRICS, PUBLISHED, UNITS, insight_meaning, meaning, metric_and_tensor
from tandv.measure.insight.definitions import counted_in_gradients
from tandv.measure.insight.host import Compared
from tandv.track.common.units import LASTING, NAMES
from tandv.track.insight import numbers


def test_every_metric_has_a_meaning():
    assert list(MEANINGS) == list(METRICS)
    assert list(OF_METRICS) == list(metrics.DEFINITIONS)


def test_a_tensor_is_named_and_an_own_metric_has_none():
    assert meaning("rank:layers.0") == (
        "numerical rank, averaged over matrices (published:rank is another definition), of layers.0 alone"
    )
    assert meaning("mine_of_model") == meaning("mine:layers.0") == ""


def test_a_published_metric_has_its_own_meaning_and_its_name_has_a_colon():
    assert metric_and_tensor("published:condition:layers.0") == ("published:condition", "layers.0")
    assert meaning("published:rank") == "exp of the entropy of singular values: effective_rank"
    assert all(
        meaning(name.removeprefix("published:")).endswith(f"({name} is another definition)") for name in PUBLISHED
    )


def test_every_column_of_insight_has_a_meaning():
    layout = numbers.Layout([4])
    asked = numbers.InsightSettings((1e-5,))
    counts = np.zeros((1, len(counted_in_gradients(1))))
    compared = Compared([0], np.ones(1), np.ones(1), counts, np.zeros(1))
    moved = numbers.Moved([0], np.ones(1, bool), np.ones(1, bool), np.zeros((1, 2)), np.zeros((1, 4)))
    columns = numbers.numbers(asked, ["a"], layout, compared, moved).columns
    known = {name.format("1e-05") for name in INSIGHT} - {"gradient_norm"}  # which comes from the row itself
    assert set(columns) == known
    assert all(map(insight_meaning, columns))
    assert insight_meaning("rm2") == ""


def test_every_column_of_units_has_a_meaning():
    assert tuple(UNITS) == NAMES
    assert f"the last {LASTING} recorded steps" in UNITS["dead_units"]
