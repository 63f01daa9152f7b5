"""What features respond to, worked out by hand, against scipy and against draws."""

import math

import numpy as np
import pytest
from scipy import stats

from tandv.analysis.features import (
    activation_sparsity,
    augmentation_analysis,
    class_selectivity,
    decodability_curves,
    linear_decodability,
)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def one_way(values: np.ndarray) -> tuple[float, float]:
    """Return the mean squares between and within the rows of one feature [image, augmentation]."""
    f = stats.f_oneway(*values).statistic
    within = values.var(axis=1, ddof=1).mean()
    return f * within, within


def test_the_intraclass_correlation_is_that_of_an_analysis_of_variance():
    values = draw(6, 5) + 2 * draw(6, 1, seed=1)
    above, within = one_way(values)
    table = augmentation_analysis({"fc": values.reshape(30, 1)}, np.repeat(np.arange(6), 5))
    assert table.loc["fc", "icc"] == pytest.approx((above - within) / (above + 4 * within))
    assert table.loc["fc", ["between", "within"]].tolist() == pytest.approx([(above - within) / 5, within])


def test_features_add_their_variances_and_constant_ones_do_not_count():
    values = draw(2, 6, 5) + [[[2.0]] * 6, [[0.0]] * 6] * draw(1, 6, 1, seed=1)
    flat = np.c_[values.reshape(2, 30).T, np.ones(30)]
    table = augmentation_analysis({"fc": flat}, np.repeat(np.arange(6), 5))
    parts = [((above - within) / 5, within) for above, within in map(one_way, values)]
    between, within = np.sum(parts, axis=0)
    assert table.loc["fc", "icc"] == pytest.approx(between / (between + within))
    assert table.loc["fc", "mean_icc"] == pytest.approx(np.mean([b / (b + w) for b, w in parts]))


def test_images_may_have_different_numbers_of_augmentations():
    values = [[1.0], [3.0], [8.0], [10.0], [9.0]]  # means 2 and 9; MSW = (2 + 2)/3; MSB = 2·4.2² + 3·2.8² = 58.8
    table = augmentation_analysis({"fc": values}, ["a", "a", "b", "b", "b"])
    typical = 5 - 13 / 5  # (N − Σn²/N)/(g − 1)
    between = (58.8 - 4 / 3) / typical
    assert table.loc["fc"].tolist()[:4] == pytest.approx([between, 4 / 3, *[between / (between + 4 / 3)] * 2])


def test_augmentations_that_say_nothing_of_the_image_have_an_icc_around_zero():
    found = augmentation_analysis({"fc": draw(300, 50)}, np.repeat(np.arange(30), 10))
    assert abs(found.loc["fc", "icc"]) < 0.02
    assert math.isnan(augmentation_analysis({"fc": np.ones((4, 2))}, [0, 0, 1, 1]).loc["fc", "icc"])


def test_augmentations_of_one_image_are_compared_with_each_other():
    values = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 2.0, 1.0], [5.0, 5.0, 5.0]])
    found = augmentation_analysis({"fc": values}).loc["fc"]
    assert found["mean_r"] == pytest.approx(-1 / 3)  # of three pairs, 1 and twice -1; the last does not vary
    assert found["within"] == pytest.approx(values.var(axis=0, ddof=1).sum())
    assert np.isnan(found[["between", "icc", "mean_icc"]]).all()
    two = augmentation_analysis({"fc": values[:3].repeat(2, axis=0)}, [0, 0, 1, 1, 2, 2]).loc["fc"]
    assert (two["mean_r"], two["icc"]) == pytest.approx((1.0, 1.0))


def test_augmentations_need_several_of_an_image():
    with pytest.raises(ValueError, match="there are 4 rows of 4 images; give several augmentations of each image"):
        augmentation_analysis({"fc": draw(4, 2)}, [0, 1, 2, 3])
    with pytest.raises(ValueError, match="there is 1 row of 1 image; give several"):
        augmentation_analysis({"fc": draw(1, 2)})
    with pytest.raises(ValueError, match="layer 'fc' has 5 rows for 4 images"):
        augmentation_analysis({"fc": draw(5, 2)}, [0, 0, 1, 1])


def test_sparsity_counts_zeros_and_dead_features():
    relu = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, -0.01]])
    assert activation_sparsity(relu) == (pytest.approx(4 / 6), pytest.approx(1 / 3))
    assert activation_sparsity(relu, threshold=0.01) == (pytest.approx(5 / 6), pytest.approx(2 / 3))
    assert activation_sparsity(np.array([[np.nan], [0.0]])) == (0.5, 0)


def test_selectivity_by_hand():
    activations = [[4.0, 1.0, 0.0], [2.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 5.0]]
    found = class_selectivity(activations, ["a", "a", "b", "c"])
    assert found.means.loc["a"].tolist() == [3, 1, 0]
    np.testing.assert_allclose(found.index, [(3 - 0.5) / (3 + 0.5), 0, 1])
    assert found.preferred.tolist() == ["a", "a", "c"]


def test_an_absent_class_is_nan_and_changes_nothing():
    activations = [[3.0], [1.0]]
    found = class_selectivity(activations, [0, 2], classes=[0, 1, 2])
    np.testing.assert_allclose(found.means[0], [3, np.nan, 1])
    assert found.index.tolist() == [0.5]
    assert found.preferred.tolist() == [0]
    with pytest.raises(ValueError, match=r"labels hold \[2\], which are not among classes=\[0, 1\]"):
        class_selectivity(activations, [0, 2], classes=[0, 1])


def test_a_feature_without_a_preference_has_no_index():
    found = class_selectivity([[0.0, -1.0, 2.0], [0.0, 3.0, -1.0]], [0, 1])
    assert np.isnan(found.index).all()  # silent; the others' mean is negative
    assert np.isnan(class_selectivity([[1.0], [2.0]], [0, 0]).index).all()
    with pytest.raises(ValueError, match="2 samples and labels of shape"):
        class_selectivity([[1.0], [2.0]], [0])


def test_what_is_there_is_decodable_and_what_is_not_is_at_chance():
    labels = np.repeat([0, 1], [60, 140])
    x = draw(200, 5)
    x[:, 2] += 6 * labels
    found = linear_decodability(x, labels)
    assert found.accuracy > 0.97
    assert found.chance == 0.7
    nothing = linear_decodability(draw(200, 5, seed=1), labels)
    assert nothing.accuracy == pytest.approx(0.7, abs=0.05)


def test_the_middle_one_of_three_classes_on_a_line_is_decodable():
    labels = np.repeat([0, 1, 2], 50)
    found = linear_decodability(labels[:, None] * 8 + draw(150, 1), labels, strength=100)
    assert found.accuracy > 0.98


def test_the_probe_is_asked_about_samples_it_has_not_seen():
    labels = np.arange(40) % 2  # 40 samples in 100 dimensions: any labels could be learned by heart
    assert linear_decodability(draw(40, 100), labels).accuracy < 0.75


def test_a_probe_needs_samples_of_each_label():
    with pytest.raises(
        ValueError, match="5 folds need two or more labels with at least 5 samples each, here 0: 6, 1: 2"
    ):
        linear_decodability(draw(8, 2), [0] * 6 + [1] * 2)
    with pytest.raises(ValueError, match="bin labels that are continuous"):
        linear_decodability(draw(8, 2), np.linspace(0, 1, 8))


def test_the_emergence_of_a_feature_is_a_curve():
    labels = {"shape": np.arange(60) % 2, "colour": np.arange(60) // 20}
    x = draw(60, 3)
    late = x + 8 * labels["shape"][:, None]
    curves = decodability_curves({100: {"fc": late}, 0: {"fc": x}}, labels)
    assert curves.index.tolist() == [0, 100]
    assert curves["fc/shape"].tolist() == [pytest.approx(0.5, abs=0.2), 1]
    assert curves["chance/shape"].tolist() == [0.5, 0.5]
    assert curves["chance/colour"].tolist() == [pytest.approx(1 / 3)] * 2


def test_a_probe_needs_numbers_and_a_curve_has_nan_where_there_are_none():
    labels = {"shape": [0] * 5 + [1] * 5}
    bad = np.repeat([[0.0, 0.0], [1.0, 1.0]], 5, axis=0)
    bad[3], bad[7, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match="activations: 2 NaN and 1 infinite values in 2 of 10 samples, the first is 3"):
        linear_decodability(bad, labels["shape"])
    curves = decodability_curves({0: {"fc": bad}, 10: {"fc": np.repeat([[0.0], [1.0]], 5, axis=0)}}, labels)
    assert np.isnan(curves.loc[0, "fc/shape"]) and curves.loc[10, "fc/shape"] == 1.0
    assert (curves["chance/shape"] == 0.5).all()
