"""Composition of heads: against whole matrices, and heads whose directions are set by hand."""

import numpy as np
import pytest

from tandv.analysis.circuits import HeadWeights, composition_scores
from tandv.analysis.head_weights import head_weights

RNG = np.random.default_rng(0)
LAYERS = {
    name: HeadWeights(*RNG.normal(size=(3, 4, 12, 3)), RNG.normal(size=(4, 3, 12))) for name in ("b.0", "b.1", "b.2")
}


def by_whole_matrices(earlier, one, later, other):
    norm = np.linalg.norm
    ov, of_later = earlier.value[one] @ earlier.output[one], later.value[other] @ later.output[other]
    qk = later.query[other] @ later.key[other].T
    return [norm(ov @ read) / norm(ov) / norm(read) for read in (qk, qk.T, of_later)]


def test_scores_are_those_of_whole_matrices():
    table = composition_scores(LAYERS)
    assert len(table) == 3 * 4 * 4 and (table["chance"] == 1 / np.sqrt(12)).all()
    expected = by_whole_matrices(LAYERS["b.0"], 1, LAYERS["b.2"], 3)
    np.testing.assert_allclose(table.loc[("b.0", 1, "b.2", 3), ["q", "k", "v"]], expected)


def test_chance_is_the_score_of_heads_rotated_at_random():
    head = HeadWeights(*(part[:1] for part in LAYERS["b.0"]))
    squares = []
    for _ in range(200):
        turn, _ = np.linalg.qr(RNG.normal(size=(12, 12)))
        turned = HeadWeights(turn @ head.query, turn @ head.key, turn @ head.value, head.output @ turn.T)
        squares.append(composition_scores({"0": head, "1": turned}).iloc[0][["q", "k", "v"]] ** 2)
    np.testing.assert_allclose(np.sqrt(np.mean(squares, axis=0)), 1 / np.sqrt(12), rtol=0.1)


def test_layers_that_share_no_stream_are_refused():
    other = HeadWeights(*np.ones((3, 4, 8, 3)), np.ones((4, 3, 8)))
    with pytest.raises(ValueError, match=r"there are 2 layers, of the widths \[8, 12\]"):
        composition_scores({"a": LAYERS["b.0"], "b": other})


QUERY, KEY, VALUE = RNG.normal(size=(3, 8, 8))  # as rows: x @ QUERY
OUT = RNG.normal(size=(8, 8))
STORED = {
    "separate": {"wq.weight": QUERY.T, "wk.weight": KEY.T, "wv.weight": VALUE.T, "wo.weight": OUT.T},
    "of flax": {f"{n}.kernel": m.reshape(8, 2, 4) for n, m in (("query", QUERY), ("key", KEY), ("value", VALUE))}
    | {"out.kernel": OUT.reshape(2, 4, 8)},
    "of torch": {"in_proj_weight": np.concatenate([QUERY, KEY, VALUE], 1).T, "out_proj.weight": OUT.T},
    "of GPT-2": {"c_attn.weight": np.concatenate([QUERY, KEY, VALUE], 1), "c_proj.weight": OUT},
    "of Phi-3": {"qkv_proj.weight": np.concatenate([QUERY, KEY, VALUE], 1).T, "o_proj.weight": OUT.T},
    "of GPT-NeoX": {  # of each head its queries, keys and values
        "query_key_value.weight": np.stack([m.reshape(8, 2, 4) for m in (QUERY, KEY, VALUE)], 2).reshape(8, 24).T,
        "dense.weight": OUT.T,
    },
    "with an axis of heads": {
        **{f"W_{n}": np.moveaxis(m.reshape(8, 2, 4), 1, 0) for n, m in (("Q", QUERY), ("K", KEY), ("V", VALUE))},
        "W_O": OUT.reshape(2, 4, 8),
    },
}


@pytest.mark.parametrize("kind", STORED)
def test_weights_are_the_same_however_they_are_stored(kind):
    state = {f"blocks.{n}.attn.{name}": array for n in (10, 2) for name, array in STORED[kind].items()}
    state |= {"blocks.2.attn.c_attn.bias": np.zeros(24), "blocks.2.mlp.c_proj.weight": np.zeros((8, 32))}
    found = head_weights(state, heads=2)
    assert list(found) == ["blocks.2.attn", "blocks.10.attn"]
    for part, whole in zip(found["blocks.2.attn"][:3], (QUERY, KEY, VALUE), strict=True):
        np.testing.assert_array_equal(part[1], whole[:, 4:])
    np.testing.assert_array_equal(found["blocks.2.attn"].output[1], OUT[4:])


def test_fewer_heads_of_keys_are_repeated():
    state = {"q_proj.weight": QUERY.T, "k_proj.weight": KEY.T[:4], "v_proj.weight": VALUE.T[:4], "o_proj.weight": OUT.T}
    found = head_weights({f"attn.{name}": array for name, array in state.items()}, heads=2)["attn"]
    np.testing.assert_array_equal(found.key, np.stack([KEY[:, :4]] * 2))


SIDE_BY_SIDE = np.concatenate([QUERY, KEY[:, :4], VALUE[:, :4]], 1)  # 4 heads of queries, 2 of keys and of values


@pytest.mark.parametrize("name", ["qkv_proj", "c_attn", "query_key_value"])
def test_one_projection_of_fewer_heads_of_keys(name):
    first, second = np.split(KEY[:, :4], 2, 1), np.split(VALUE[:, :4], 2, 1)
    turns = [part for n in (0, 1) for part in (QUERY[:, 4 * n : 4 * n + 4], first[n], second[n])]
    whole = np.concatenate(turns, 1) if name == "query_key_value" else SIDE_BY_SIDE
    state = {f"h.0.attn.{name}.weight": whole.T, "h.0.attn.dense.weight": OUT.T}
    found = head_weights(state, heads=4)["h.0.attn"]
    np.testing.assert_array_equal(found.query, [QUERY[:, 2 * n : 2 * n + 2] for n in range(4)])
    np.testing.assert_array_equal(found.key, [first[0], first[0], first[1], first[1]])
    np.testing.assert_array_equal(found.value, [second[0], second[0], second[1], second[1]])


def test_groups_that_are_stored_in_two_ways_are_refused():
    state = {"layers.0.query_key_value.weight": SIDE_BY_SIDE.T, "layers.0.dense.weight": OUT.T}
    with pytest.raises(ValueError, match="2 groups of heads, in turn as in Falcon or side by side as in ChatGLM"):
        head_weights(state, heads=4)


IN_TURN = np.stack([m.reshape(8, 2, 4) for m in (QUERY, KEY, VALUE)], 2).reshape(8, 24)
BIG_CODE = {"h.0.attn.c_attn.weight": IN_TURN.T, "h.0.attn.c_attn.bias": np.zeros(24), "h.0.attn.c_proj.weight": OUT.T}


class Config:
    model_type, multi_query, num_attention_heads = "gpt_bigcode", False, 2


@pytest.mark.parametrize("config", [Config(), {"model_type": "gpt_bigcode", "multi_query": False, "n_head": 2}])
def test_a_configuration_tells_parts_in_turn_from_parts_side_by_side(config):
    found = head_weights(BIG_CODE, 2, config)["h.0.attn"]
    for part, whole in zip(found[:3], (QUERY, KEY, VALUE), strict=True):
        np.testing.assert_array_equal(part[1], whole[:, 4:])
    beside = BIG_CODE | {"h.0.attn.c_attn.weight": np.concatenate([QUERY, KEY, VALUE], 1).T}
    np.testing.assert_array_equal(head_weights(beside, 2, {"model_type": "gpt2"})["h.0.attn"].key[1], KEY[:, 4:])
    with pytest.raises(ValueError, match="heads=4, but the configuration has 2 heads"):
        head_weights(BIG_CODE, 4, config)


def test_without_a_configuration_what_names_do_not_tell_is_said(recwarn):
    plain = {name: array for name, array in BIG_CODE.items() if name != "h.0.attn.c_attn.bias"}
    masked = BIG_CODE | {"h.0.attn.bias": np.ones((1, 1, 4, 4))}  # neither is of GPT-BigCode
    head_weights(plain, 2), head_weights(masked, 2)
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"h.0.attn.c_attn.weight: taken for all queries.*give config=model.config"):
        head_weights(BIG_CODE, 2)
    falcon = {"layers.0.query_key_value.weight": SIDE_BY_SIDE.T, "layers.0.dense.weight": OUT.T}
    np.testing.assert_array_equal(head_weights(falcon, 4, {"model_type": "chatglm"})["layers.0"].query[3], QUERY[:, 6:])


def test_what_is_not_known_is_said():
    with pytest.raises(ValueError, match="no attention layer is known by its names among fc.weight"):
        head_weights({"fc.weight": np.eye(2)}, heads=2)
    with pytest.raises(ValueError, match=r"q_proj.weight has the shape \(8, 8\), which is no 3 heads"):
        head_weights({f"a.{n}_proj.weight": np.eye(8) for n in "qkvo"}, heads=3)


def test_a_number_of_heads_that_does_not_divide_is_named():
    state = {f"l.w{part}.weight": np.eye(16) for part in "qkvo"}
    with pytest.raises(
        ValueError, match=r"l.wq.weight has the shape \(16, 16\), which is no 3 heads; give their number"
    ):
        head_weights(state, heads=3)
    with pytest.raises(ValueError, match="heads=0 is no number of heads; give 1 or more"):
        head_weights(state, heads=0)
