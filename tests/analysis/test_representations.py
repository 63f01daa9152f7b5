"""Movement and dimension: against formulas written out and scikit-learn."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from tandv.analysis.representations import (
    chance_cka,
    compare_representations,
    cosine_similarity,
    effective_dimension,
    project,
    svcca,
    weight_change,
)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def rotation(n: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(draw(n, n, seed=seed))[0]


def mixed(n: int, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two representations that share some of what they say."""
    x, y = draw(n, p), draw(n, q, seed=1)
    y[:, : min(p, q)] += x[:, : min(p, q)]
    return x, y


def test_weight_change_by_hand():
    found = weight_change([[3.0, 0.0], [0.0, 4.0]], [[3.0, 0.0], [1.0, 2.0]])
    l2 = math.sqrt(1 + 4)
    np.testing.assert_allclose(found, [l2, l2 / 5, 2, 0.75, (9 + 8) / (5 * math.sqrt(14))])
    assert weight_change([1.0, 2.0], [1.0, 2.0]) == (0, 0, 0, 0, pytest.approx(1))
    assert weight_change([0.0], [2.0])[:4] == (2, math.inf, 2, 2)
    with pytest.raises(ValueError, match=r"before has shape \(2,\) and after \(3,\)"):
        weight_change([1, 2], [1, 2, 3])


@pytest.mark.parametrize("power", [-700, 700])  # squares leave the range of float64
def test_change_and_dimensions_at_any_size(power):
    found = weight_change(np.ldexp([3.0, 0.0], power), np.ldexp([3.0, 4.0], power))
    np.testing.assert_allclose(found[:2], [math.ldexp(4, power), 4 / 3])
    dimensions = effective_dimension(np.ldexp(np.eye(4)[:, :3], power), centre=False)
    np.testing.assert_allclose(dimensions, 3)


def test_half_precision_weights_lose_nothing_more():
    old, new = np.full(10_000, 100, "float16"), np.full(10_000, 200, "float16")  # the sum of squares is beyond float16
    assert weight_change(old, new).l2 == 10_000
    assert weight_change(np.zeros(2, "uint8"), np.array([255, 0], "uint8")).l2 == 255
    assert weight_change(np.array([255, 1], "uint8"), np.array([0, 1], "uint8")).mean == 127.5


@pytest.mark.parametrize("scale", [1e-200, 1, 1e200])
def test_cosine_at_any_scale(scale):
    assert cosine_similarity([scale, 0], [scale, scale]) == pytest.approx(math.sqrt(0.5))
    assert cosine_similarity([scale, -scale], [-2 * scale, 2 * scale]) == pytest.approx(-1)
    assert cosine_similarity([scale, 0], [0, scale]) == 0
    assert math.isnan(cosine_similarity([0, 0], [scale, 1]))


def test_dimensions_of_a_known_spectrum():
    basis = np.linalg.qr(draw(30, 4) - draw(30, 4).mean(0))[0]
    samples = basis * [4, 2, 2, 1] @ rotation(4)  # σ = 4, 2, 2, 1; λ = 16, 4, 4, 1
    found = effective_dimension(samples + 5)
    np.testing.assert_allclose(found, [25 / 16, 625 / (256 + 16 + 16 + 1), 3, 9 / 4])


@pytest.mark.parametrize("k", [1, 3, 10])
def test_k_equal_directions_are_k_dimensions(k):
    samples = np.linalg.qr(draw(40, k) - draw(40, k).mean(0))[0]
    expected = [k, k, math.ceil(0.9 * k), k]  # 9 of 10 hold exactly 90 %, whatever the rounding
    np.testing.assert_allclose(effective_dimension(samples @ rotation(k)), expected)


def test_dimension_agrees_with_the_eigenvalues_of_the_covariance():
    x = draw(200, 6) * [5, 3, 2, 1, 1, 0.1]
    explained = PCA().fit(x).explained_variance_
    found = effective_dimension(x)
    assert found.participation_ratio == pytest.approx(explained.sum() ** 2 / (explained**2).sum())
    assert found.stable_rank == pytest.approx(explained.sum() / explained[0])
    assert found.components_90 == 1 + np.searchsorted(np.cumsum(explained) / explained.sum(), 0.9)


def test_a_shift_is_no_dimension_and_nothing_has_none():
    x = draw(20, 3)
    np.testing.assert_allclose(effective_dimension(x + 100), effective_dimension(x))
    assert effective_dimension(x + 100, centre=False).participation_ratio < 1.1
    assert np.isnan(effective_dimension(np.full((5, 3), 0.1))).all()


def test_compared_weights_are_a_row_for_each_layer():
    before = {"fc1": np.array([3.0, 4.0]), "fc2": np.array([1.0, 0.0])}
    table = compare_representations(before, {"fc1": np.array([3.0, 5.0]), "fc2": np.array([0.0, 1.0])})
    assert table.loc["fc1", ["l2", "relative", "max", "mean"]].tolist() == [1, 0.2, 1, 0.5]
    assert table["cosine_similarity"].tolist() == [pytest.approx(29 / (5 * math.sqrt(34))), 0]
    assert list(table) == ["l2", "relative", "max", "mean", "cosine_similarity"]


def test_compared_activations_have_cka_beside_its_chance():
    x = draw(30, 4)
    table = compare_representations({"fc": x}, {"fc": x @ rotation(4)}, "activations")
    assert table.loc["fc", "cka"] == pytest.approx(1)
    assert table.loc["fc", "cka_chance"] == pytest.approx(chance_cka(x, x @ rotation(4)))
    assert table.loc["fc", "participation_ratio_before"] == pytest.approx(effective_dimension(x).participation_ratio)
    assert table.loc["fc", "cosine_similarity"] < 0.9


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_diverged_layer_has_no_answer_and_stops_no_other(value):
    x = draw(9, 3)
    bad = x.copy()
    bad[2, 1] = value
    table = compare_representations({"bad": x, "fc": x}, {"bad": bad, "fc": x}, "activations")
    assert table.loc["bad", ["cka", "cka_chance", "participation_ratio_after"]].isna().all()
    assert table.loc["fc", "cka"] == pytest.approx(1)
    assert np.isnan(svcca(bad, x)[:2]).all()


def test_compared_attention_has_entropies():
    table = compare_representations({"h": np.full((1, 4, 4), 0.25)}, {"h": np.eye(4)[None]}, "attention")
    assert table.loc["h", ["entropy_before", "entropy_after"]].tolist() == [pytest.approx(math.log(4)), 0]


def test_all_that_cannot_be_compared_is_said_at_once():
    with pytest.raises(ValueError) as error:
        compare_representations({"a": [1.0], "b": [1.0]}, {"b": [1.0, 2.0], "c": [1.0]})
    for words in ("'a' is in before only", "'c' is in after only", "'b' has shape (1,) before and (2,) after"):
        assert words in str(error.value)
    with pytest.raises(ValueError, match="there are no layers"):
        compare_representations({}, {})
    with pytest.raises(ValueError, match="kind='grads' is not one of 'weights', 'activations', 'attention'"):
        compare_representations({"a": [1.0]}, {"a": [1.0]}, "grads")  # type: ignore[arg-type]


def test_a_projection_is_one_basis_for_all_steps():
    x = draw(15, 4) * [5, 2, 1, 1]
    found = project({0: {"fc": x}, 100: {"fc": x + [3, 0, 0, 0]}}, "fc")
    together = PCA(2).fit(np.r_[x, x + [3, 0, 0, 0]])
    np.testing.assert_allclose(np.abs(found.points), np.abs(together.transform(np.r_[x, x + [3, 0, 0, 0]])))
    np.testing.assert_allclose(found.explained, together.explained_variance_ratio_)
    moved = found.points.loc[100] - found.points.loc[0]
    np.testing.assert_allclose(moved - moved.iloc[0], 0, atol=1e-12)  # every sample moved alike
    assert np.abs(moved.iloc[0]).max() > 2


def test_tsne_keeps_groups_and_steps_apart_and_is_the_same_each_time():
    groups = np.repeat([[0.0, 0, 0], [50.0, 0, 0]], 10, axis=0) + draw(20, 3)
    history = {0: {"fc": groups}, 5: {"fc": groups + draw(20, 3, seed=3) / 10}}
    found = project(history, "fc", method="tsne")
    assert found.explained is None
    assert found.points.index.names == ["step", "sample"]
    points = found.points.to_numpy().reshape(2, 2, 10, 2)  # step, group, sample
    centres = points.mean(axis=(0, 2))
    spread = np.linalg.norm(points - centres[:, None], axis=-1).max()
    assert np.linalg.norm(centres[0] - centres[1]) > spread
    pd.testing.assert_frame_equal(found.points, project(history, "fc", method="tsne").points)


def test_a_projection_needs_its_layer():
    with pytest.raises(ValueError, match="layer 'out' is at no step; known layers: fc"):
        project({0: {"fc": draw(4, 2)}}, "out")
    with pytest.raises(ValueError, match="changes its number of features"):
        project({0: {"fc": draw(4, 2)}, 1: {"fc": draw(4, 3)}}, "fc")
    with pytest.raises(ValueError, match="not one of 'pca', 'tsne'"):
        project({0: {"fc": draw(4, 2)}}, "fc", method="umap")  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_projection_names_the_step_and_sample_that_is_not_finite(method):
    bad = np.eye(4)
    bad[2, 1] = -np.inf
    with pytest.raises(
        ValueError, match="'fc' at step 7: 0 NaN and 1 infinite values in 1 of 4 samples, the first is 2"
    ):
        project({0: {"fc": np.eye(4)}, 7: {"fc": bad}}, "fc", method=method)
