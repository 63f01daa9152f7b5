"""Attention as probabilities: entropies against scipy, patterns against attention written by hand."""

import math

import ml_dtypes
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from scipy.stats import entropy as reference_entropy

from tandv.analysis.attention import (
    attention_curves,
    attention_entropy,
    duplicate_token_score,
    head_entropy,
    head_scores,
    head_specialisation,
    induction_score,
    previous_token_score,
    without_sink,
)


def random_attention(*shape: int, causal: bool = False, seed: int = 0) -> np.ndarray:
    scores = np.random.default_rng(seed).normal(size=shape) * 2
    return softmax(np.where(np.tri(shape[-1], dtype=bool), scores, -np.inf) if causal else scores, axis=-1)


def looking_at(keys: list[int]) -> np.ndarray:
    """One head, [1, query, key], whose row i looks at keys[i] alone."""
    return np.eye(len(keys))[None, keys]


def test_random_attention_has_the_entropy_of_its_rows():
    attention = random_attention(2, 3, 64, 64)
    expected = reference_entropy(attention, axis=-1)
    np.testing.assert_allclose(attention_entropy(attention), expected, rtol=1e-12)
    of_a_softmax_again = reference_entropy(softmax(attention, axis=-1), axis=-1)
    assert abs(of_a_softmax_again.mean() - math.log(64)) < 0.1  # what it must not be: log 64 whatever is given
    assert expected.mean() < 3


def test_one_hot_is_zero_and_uniform_is_log_n():
    assert attention_entropy(np.eye(64)).max() == 0
    np.testing.assert_allclose(attention_entropy(np.full((5, 64), 1 / 64)), math.log(64))
    np.testing.assert_allclose(attention_entropy([[0.5, 0.25, 0.25]]), 1.5 * math.log(2))


def test_a_causal_row_is_measured_by_the_keys_it_sees():
    uniform = np.tril(np.ones((5, 5))) / np.arange(1, 6)[:, None]
    np.testing.assert_allclose(attention_entropy(uniform, causal=True), np.log([1, 2, 3, 4, 5]), atol=1e-15)
    normalised = attention_entropy(uniform, causal=True, normalised=True)
    assert math.isnan(normalised[0])  # one key: no choice
    np.testing.assert_allclose(normalised[1:], 1)
    np.testing.assert_allclose(attention_entropy(uniform, normalised=True), np.log([1, 2, 3, 4, 5]) / math.log(5))


def test_with_cached_keys_the_last_query_sees_all():
    attention = np.array([[1 / 3, 1 / 3, 1 / 3, 0], [0.25, 0.25, 0.25, 0.25]])
    np.testing.assert_allclose(attention_entropy(attention, causal=True, normalised=True), [1, 1])


def test_padding_is_neither_seen_nor_counted():
    attention = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [np.nan, np.nan, np.nan]])
    visible = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(
        attention_entropy(attention, visible=visible, normalised=True), [1, 1, np.nan], equal_nan=True
    )
    two_heads = np.stack([attention, attention])
    np.testing.assert_allclose(head_entropy(two_heads, visible=visible), [math.log(2)] * 2)


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16, "float32"])
def test_half_precision_rows_pass_and_keep_their_entropy(dtype):
    attention = random_attention(4, 100, 100)
    np.testing.assert_allclose(attention_entropy(attention.astype(dtype)), attention_entropy(attention), atol=0.01)


@pytest.mark.parametrize(
    ("attention", "options", "words"),
    [
        (np.random.default_rng(0).normal(size=(4, 4)), {}, "before the softmax; use scipy.special.softmax"),
        (np.full((2, 3, 3), 0.5), {}, r"6 of 6 rows do not sum to 1, the first at \[0, 0\] \(sum 1.5\).*eval mode"),
        (random_attention(4, 4).T, {}, "the columns do: use numpy.swapaxes"),
        (np.full((3, 3), np.nan), {}, "every key is masked: say so with visible="),
        (np.full((3, 3), 1 / 3), {"causal": True}, r"2 rows attend to keys that causal=True hides, the first at \[0\]"),
        (np.ones(3) / 3, {}, r"shape \(3,\); give \[..., query, key\]"),
    ],
)
def test_what_is_not_probabilities_is_said_with_its_mend(attention, options, words):
    with pytest.raises(ValueError, match=f"(?s){words}"):
        attention_entropy(attention, **options)


def test_heads_are_averaged_over_examples_and_rows():
    attention = random_attention(4, 3, 8, 8)
    expected = reference_entropy(attention, axis=-1).mean(axis=(0, 2))
    np.testing.assert_allclose(head_entropy(attention), expected)
    found = head_specialisation(attention)
    np.testing.assert_allclose(found.head_entropies, expected)
    np.testing.assert_allclose(found[1:], [expected.mean(), expected.std(), expected.max() - expected.min()])


def test_a_focused_and_a_diffuse_head_differ_by_log_n():
    found = head_specialisation([np.eye(4), np.full((4, 4), 0.25)])
    np.testing.assert_allclose(found[1:], [math.log(4) / 2, math.log(4) / 2, math.log(4)])
    same = head_specialisation([np.eye(4), np.eye(4)])
    assert (same.entropy_spread, same.specialization_index) == (0, 0)


def test_a_head_that_looks_one_back_has_a_previous_token_score_of_one():
    assert previous_token_score(looking_at([0, 0, 1, 2])).tolist() == [1]
    assert previous_token_score(looking_at([0, 0, 1, 3])).tolist() == [pytest.approx(2 / 3)]
    assert previous_token_score(looking_at([0, 1, 2, 3])).tolist() == [0]


def test_duplicates_are_all_earlier_copies_of_the_token():
    tokens = [7, 8, 7, 7]  # queries 2 and 3 have copies: {0} and {0, 2}
    attention = np.array([[[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.6, 0.2, 0.2, 0], [0.1, 0.3, 0.4, 0.2]]])
    assert duplicate_token_score(attention, tokens).tolist() == [pytest.approx((0.6 + 0.5) / 2)]


def test_induction_is_what_followed_the_earlier_copy():
    tokens = [7, 8, 9, 7, 8, 9]  # queries 3, 4, 5; what followed: 1, 2, 3
    perfect = looking_at([0, 0, 0, 1, 2, 3])
    copies = looking_at([0, 0, 0, 0, 1, 2])
    assert induction_score(perfect, tokens).tolist() == [1]
    assert duplicate_token_score(perfect, tokens).tolist() == [0]
    assert induction_score(copies, tokens).tolist() == [0]
    assert duplicate_token_score(copies, tokens).tolist() == [1]


def test_a_run_of_one_token_does_not_make_looking_at_oneself_an_induction():
    assert induction_score(looking_at([0, 1, 2]), [7, 7, 7]).tolist() == [0]
    assert induction_score(looking_at([0, 0, 1]), [7, 7, 7]).tolist() == [1]  # only query 2 has a key: 1


def test_examples_of_a_batch_have_their_own_tokens():
    attention = np.stack([looking_at([0, 0, 0, 1]), looking_at([0, 0, 1, 2])])  # [2, 1, 4, 4]
    tokens = [[1, 2, 3, 1], [5, 6, 5, 6]]  # induction keys: 3→1 | 2→1, 3→2
    assert induction_score(attention, tokens).tolist() == [1]
    assert induction_score(attention, tokens[0]).tolist() == [0.5]  # the same tokens in both: 3→1 | 3→2


def test_no_repeated_token_gives_nan_and_not_zero():
    assert np.isnan(induction_score(looking_at([0, 0, 1]), [1, 2, 3])).all()
    assert np.isnan(duplicate_token_score(looking_at([0, 0, 1]), [1, 2, 3])).all()


def test_chance_is_the_score_of_looking_everywhere():
    tokens = [7, 8, 7, 8]  # queries 2, 3; one key each among 3 and 4
    table = head_scores(random_attention(2, 4, 4, causal=True), tokens)
    assert table.index.tolist() == [0, 1]
    np.testing.assert_allclose(table["induction_chance"], (1 / 3 + 1 / 4) / 2)
    np.testing.assert_allclose(table["duplicate_token_chance"], (1 / 3 + 1 / 4) / 2)
    np.testing.assert_allclose(table["previous_token_chance"], (1 / 2 + 1 / 3 + 1 / 4) / 3)
    assert list(head_scores(random_attention(2, 4, 4))) == ["previous_token", "previous_token_chance"]


def test_each_layer_tells_by_itself_whether_it_looks_ahead():
    back, ahead = random_attention(2, 4, 4, causal=True), random_attention(2, 4, 4)
    history = {0: {"decoder": back, "encoder": ahead}, 10: {"decoder": back, "encoder": ahead}}
    curves = attention_curves(history)
    names = {name.partition("/")[0] for name in curves if "previous_token" in name}
    assert names == {"decoder"}
    pd.testing.assert_frame_equal(
        curves.filter(like="encoder"), attention_curves({n: {"encoder": ahead} for n in history}, causal=False)
    )
    with pytest.raises(ValueError, match="not probabilities:\n  6 rows attend .* give causal=False, or mask"):
        attention_curves(history, causal=True)  # three of the four rows of two heads; their sums are right


def test_scores_say_what_shapes_they_take():
    with pytest.raises(ValueError, match="2 queries for 4 keys"):
        previous_token_score(np.full((1, 2, 4), 0.25))
    with pytest.raises(ValueError, match=r"\(one head: attention\[None\]\)"):
        previous_token_score(np.eye(3))
    with pytest.raises(ValueError, match=r"tokens have shape \(3,\); for this attention give \(4,\) or \(2, 4\)"):
        induction_score(random_attention(2, 1, 4, 4), [1, 2, 3])


def test_heads_over_training_become_curves():
    tokens = [7, 8, 9, 7, 8, 9]
    late, early = looking_at([0, 0, 0, 1, 2, 3]), np.tril(np.ones((1, 6, 6))) / np.arange(1, 7)[:, None]
    curves = attention_curves({200: {"h.0": late}, 100: {"h.0": early}}, tokens)
    assert curves.index.tolist() == [100, 200]
    assert curves.index.name == "step"
    assert curves.loc[200, ["h.0/head0/induction", "h.0/head0/entropy"]].tolist() == [1, 0]
    assert curves.loc[100, "h.0/head0/induction"] == pytest.approx(curves.loc[100, "h.0/induction_chance"])
    assert curves.loc[100, "h.0/head0/entropy"] == pytest.approx(np.log([1, 2, 3, 4, 5, 6]).mean())
    assert curves["h.0/specialization_index"].tolist() == [0, 0]


def padded(attention, before=0, after=0):
    """Return attention with queries of padding that attend to nothing, and keys of padding that nothing attends to."""
    rows = np.asarray(attention, float)
    return np.pad(rows, [(0, 0)] * (rows.ndim - 2) + [(before, after)] * 2)


LOWER = np.tril(np.ones((2, 1, 6, 6))) / np.arange(1, 7)[:, None]  # 2 examples, a head that attends equally
TOKENS = np.array([[5, 7, 9, 5, 7, 9], [1, 2, 3, 4, 5, 6]])


@pytest.mark.parametrize("before, after", [(0, 4), (4, 0), (2, 2)], ids=["right", "left", "both"])
def test_padding_changes_no_entropy_and_no_score(before, after):
    tokens = np.pad(TOKENS, [(0, 0), (before, after)])
    mask = np.pad(np.ones((2, 6), bool), [(0, 0), (before, after)])
    short = attention_curves({0: {"attn": LOWER}}, TOKENS, causal=True)
    long = attention_curves({0: {"attn": padded(LOWER, before, after)}}, tokens, causal=True, mask=mask)
    pd.testing.assert_frame_equal(long, short)


def test_queries_of_padding_that_attend_to_the_sequence_do_not_count():
    attention = np.full((1, 2, 8, 8), 0.0)
    attention[..., :6, :6] = LOWER[0]
    attention[..., 6:, :6] = 1 / 6  # as a causal model without a mask does after the end
    mask = [True] * 6 + [False] * 2
    assert head_entropy(attention, causal=True, mask=mask).tolist() == head_entropy(LOWER[0], causal=True).tolist() * 2
    assert previous_token_score(attention, mask).tolist() == previous_token_score(LOWER[0]).tolist() * 2


def test_rows_that_attend_to_nothing_are_left_out_without_a_mask():
    assert head_entropy(padded(LOWER, 3, 0)).tolist() == pytest.approx(head_entropy(LOWER).tolist())


def test_examples_that_look_padded_are_said():
    tokens = np.pad(TOKENS, [(0, 0), (0, 3)])
    with pytest.warns(UserWarning, match="2 of 2 examples end with token 0 at least 3 times.*mask="):
        attention_curves({0: {"attn": padded(LOWER, 0, 3)}}, tokens, causal=True)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"the mask has shape \(2, 5\); for this attention give \(6,\) or \(2, 6\)"):
        head_scores(LOWER, mask=np.ones((2, 5)))


SINK = np.array([[[[0.6, 0.0, 0.0, 0.4], [0.2, 0.6, 0.0, 0.2], [0.0, 0.5, 0.5, 0.0]]]])  # one head, 3 tokens and a sink


def test_a_sink_is_kept_apart():
    found = without_sink(SINK)
    assert found.attention.shape == (1, 1, 3, 3) and found.sink.tolist() == [[[0.4, 0.2, 0.0]]]
    of_tokens = [0.0, reference_entropy([0.25, 0.75]), math.log(2)]
    np.testing.assert_allclose(head_entropy(SINK), np.mean(of_tokens))
    np.testing.assert_allclose(previous_token_score(SINK), (0.2 + 0.5) / 2)
    with pytest.warns(UserWarning, match="attn: the last key is taken for an attention sink"):
        curves = attention_curves({0: {"attn": SINK}}, tokens=[5, 7, 5])
    assert curves["attn/head0/sink"][0] == pytest.approx(0.2)
    assert curves["attn/head0/induction"][0] == 0.5 and curves["attn/head0/duplicate_token"][0] == 0
    with pytest.warns(UserWarning, match="sink"):
        masked = attention_curves({0: {"attn": SINK}}, mask=[True, True, False])
    assert masked["attn/head0/sink"][0] == pytest.approx(0.3)


def test_a_cached_key_and_what_is_not_causal_are_no_sink():
    cached = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    assert without_sink(cached).sink is None and without_sink(random_attention(2, 3)).sink is None
