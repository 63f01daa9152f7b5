"""Every metric is explained where people choose it."""

from tandv.checkpoints import METRICS
from tandv.meanings import MEANINGS, meaning


def test_every_metric_has_a_meaning():
    assert list(MEANINGS) == list(METRICS)


def test_a_tensor_is_named_and_an_own_metric_has_none():
    assert meaning("rank:layers.0") == "numerical rank, averaged over matrices, of layers.0 alone"
    assert meaning("mine_of_model") == meaning("mine:layers.0") == ""
