"""Attention that is summed batch by batch is that of all examples together."""

import numpy as np
import pytest
from pandas.testing import assert_frame_equal
from scipy.special import softmax

from tandv.analysis.attention import attention_curves, attention_means
from tandv.analysis.patterns import mean_pattern

LENGTH, DRAWN = 6, np.random.default_rng(0)
TOKENS = DRAWN.integers(0, 4, (7, LENGTH))
MASK = np.arange(LENGTH) < np.array([[6], [4], [6], [5], [6], [3], [6]])


def causal_patterns(sink: bool = False) -> np.ndarray:
    """Return [example, head, query, key] of two heads, with one key more for a sink."""
    scores = DRAWN.normal(size=(7, 2, LENGTH, LENGTH + sink))
    seen = np.tri(LENGTH, dtype=bool)
    return softmax(np.where(np.pad(seen, ((0, 0), (0, int(sink))), constant_values=True), scores, -np.inf), axis=-1)


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "padded"])
@pytest.mark.parametrize("tokens", [None, TOKENS], ids=["positions", "tokens"])
def test_batches_of_unequal_size_are_as_all_examples_together(mask, tokens):
    whole = {"a": causal_patterns(), "b": causal_patterns()}
    parts = [slice(0, 4), slice(4, 5), slice(5, 7)]
    batches = [
        ({n: array[p] for n, array in whole.items()}, *(None if one is None else one[p] for one in (tokens, mask)))
        for p in parts
    ]
    found = attention_means(iter(batches))
    assert_frame_equal(found.curves, attention_curves({0: whole}, tokens, mask=mask), rtol=1e-12)
    for layer, array in whole.items():
        np.testing.assert_allclose(found.patterns[layer], mean_pattern(array, mask), rtol=1e-12)
    assert (found.tokens is None) == (tokens is None) and (found.mask is None) == (mask is None)


def test_a_sink_is_said_once_and_its_share_is_a_curve():
    whole = {"a": causal_patterns(sink=True)}
    with pytest.warns(UserWarning, match="a: the last key is taken for an attention sink") as said:
        found = attention_means([({"a": whole["a"][p]}, None, None) for p in (slice(0, 2), slice(2, 7))])
    assert len(said) == 1
    share = whole["a"][..., -1].mean((0, 2))
    np.testing.assert_allclose(found.curves[["a/head0/sink", "a/head1/sink"]].to_numpy()[0], share, rtol=1e-12)


def test_scores_are_of_layers_that_look_back_in_all_batches_and_of_tokens_that_all_have():
    back, ahead = np.eye(3)[None, None], np.full((1, 1, 3, 3), 1 / 3)
    found = attention_means([({"a": back, "b": back}, [[0, 0, 1]], None), ({"a": ahead, "b": back}, None, None)])
    assert found.curves.columns.tolist() == [
        "a/head0/entropy", "a/specialization_index",
        "b/head0/entropy", "b/specialization_index", "b/head0/previous_token", "b/previous_token_chance",
    ]  # fmt: skip
    assert found.curves["a/head0/entropy"].item() == pytest.approx(np.log(3) / 2)


def test_batches_that_do_not_fit_and_no_batch_are_refused():
    with pytest.raises(ValueError, match=r"shapes \[\(1, 2, 2\), \(1, 3, 3\)\]; pad all sequences"):
        attention_means([({"a": np.eye(2)[None, None]}, None, None), ({"a": np.eye(3)[None, None]}, None, None)])
    with pytest.raises(ValueError, match="no batch"):
        attention_means([])
