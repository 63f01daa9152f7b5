"""Correlations against NumPy and scipy, their chance level against draws, responses worked out by hand."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from tandv.analysis.features import (
    activation_sparsity,
    augmentation_analysis,
    chance_correlation,
    class_selectivity,
    compute_layerwise_cross_correlation,
    correlate,
    correlation_summary,
    decodability_curves,
    layerwise_cross_correlation,
    linear_decodability,
    read_corr_means,
    store_corr_means,
)
from tandv.analysis.representations import chance_cka, linear_cka, svcca


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_every_feature_is_correlated_with_every_other():
    x, y = draw(20, 3), draw(20, 4, seed=1)
    y[:, 0] += x[:, 0]
    np.testing.assert_allclose(correlate(x, y), np.corrcoef(x.T, y.T)[:3, 3:], atol=1e-14)
    np.testing.assert_allclose(correlate(x.T, x.T), np.corrcoef(x), atol=1e-14)  # sample × sample
    assert correlate(draw(20, 2, 3, 4), y).shape == (24, 4)


def test_a_constant_feature_correlates_with_nothing():
    x = np.c_[np.full(7, 0.1), np.arange(7.0)]  # the mean of seven times 0.1 is not 0.1
    np.testing.assert_allclose(correlate(x, x), [[0, 0], [0, 1]], atol=1e-15)
    x32 = np.full((1000, 1), 0.3, "float32")
    assert correlate(x32, draw(1000, 1)).item() == 0


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_scale_and_shift_change_nothing(scale):
    x, y = draw(20, 1), draw(20, 1, seed=1)
    np.testing.assert_allclose(correlate(x * scale, 1e6 - y), -correlate(x, y), rtol=1e-9)


def test_a_feature_that_is_not_a_number_spoils_itself_alone():
    x = draw(9, 3)
    x[4, 1] = np.nan
    x[4, 2] = np.inf
    found = correlate(x, draw(9, 2, seed=1))
    assert np.isnan(found[1:]).all()
    np.testing.assert_allclose(found[0], correlate(x[:, :1], draw(9, 2, seed=1))[0])


def test_half_precision_is_not_summed_in_half_precision():
    x, y = (np.abs(draw(4000, 1, seed=s)).astype("float16") * 100 for s in (0, 1))
    expected = stats.pearsonr(x[:, 0].astype(float), y[:, 0].astype(float)).statistic
    assert correlate(x, y).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n", [3, 10, 512])
def test_chance_is_what_independent_features_give(n):
    r = np.abs([correlate(draw(n, 40, seed=2 * s), draw(n, 40, seed=2 * s + 1)) for s in range(20)]).ravel()
    assert chance_correlation(n) == pytest.approx(r.mean(), rel=0.02)
    assert chance_correlation(n, 0.95) == pytest.approx(np.quantile(r, 0.95), rel=0.02)


def test_chance_by_hand():
    assert chance_correlation(4) == pytest.approx(0.5)  # r is uniform on [-1, 1]
    assert chance_correlation(4, 0.9) == pytest.approx(0.9)
    assert chance_correlation(2) == 1  # two points lie on a line
    critical = stats.t.ppf(0.975, 98)
    assert chance_correlation(100, 0.95) == pytest.approx(critical / math.sqrt(98 + critical**2))
    with pytest.raises(ValueError, match="at least two samples, not 1"):
        chance_correlation(1)


def test_pairs_of_layers_are_those_with_i_up_to_j():
    outputs = {"fc2": draw(10, 2), "fc1": draw(10, 3, seed=1), "out": draw(10, 1, seed=2)}
    found = layerwise_cross_correlation(outputs)
    assert list(found) == [
        ("fc2", "fc2"),
        ("fc2", "fc1"),
        ("fc2", "out"),
        ("fc1", "fc1"),
        ("fc1", "out"),
        ("out", "out"),
    ]
    for (i, j), r in found.items():
        np.testing.assert_allclose(r, correlate(outputs[i], outputs[j]))
    assert compute_layerwise_cross_correlation is layerwise_cross_correlation


def test_what_cannot_be_correlated_is_said_at_once():
    with pytest.raises(ValueError) as error:
        layerwise_cross_correlation({"conv": np.zeros((4, 64, 12, 12)), "fc": np.zeros((5, 2))})
    assert "layer 'conv' has 9,216 features, at most 8,192" in str(error.value)
    assert "x.mean((2, 3))" in str(error.value)
    assert "'conv' has 4, 'fc' has 5; give the outputs of one batch" in str(error.value)
    with pytest.raises(ValueError, match="there are no layers"):
        layerwise_cross_correlation({})
    with pytest.raises(ValueError, match="hold 4 and 5 samples"):
        correlate(np.zeros((4, 2)), np.zeros((5, 2)))


def test_a_summary_agrees_with_each_measure_by_itself():
    x, y = draw(30, 4), draw(30, 3, seed=1)
    y[:, 0] += 2 * x[:, 0]
    table = correlation_summary({"a": x, "b": y}, svcca=True)
    both = table.loc[("a", "b")]
    assert both["mean_abs_r"] == pytest.approx(np.abs(np.corrcoef(x.T, y.T)[:4, 4:]).mean())
    assert both["mean_abs_r_chance"] == pytest.approx(chance_correlation(30))
    assert both["cka"] == pytest.approx(linear_cka(x, y))
    assert both["cka_chance"] == pytest.approx(chance_cka(x, y))
    assert both[["svcca", "svcca_chance"]].tolist() == pytest.approx(svcca(x, y)[:2])
    own = table.loc[("a", "a")]
    assert own["mean_abs_r"] == pytest.approx(np.abs(np.corrcoef(x.T)[~np.eye(4, dtype=bool)]).mean())
    assert own["cka"] == pytest.approx(1)


def test_constant_features_lower_what_chance_can_give():
    x = np.c_[draw(50, 2), np.ones((50, 2))]  # half of them
    table = correlation_summary({"a": x, "b": draw(50, 3, seed=1)})
    assert table.loc[("a", "b"), "mean_abs_r_chance"] == pytest.approx(chance_correlation(50) / 2)
    assert table.loc[("a", "a"), "mean_abs_r_chance"] == pytest.approx(chance_correlation(50) * 2 / 12)
    assert table.loc[("a", "a"), "mean_abs_r"] == pytest.approx(abs(np.corrcoef(x[:, :2].T)[0, 1]) * 2 / 12)


def test_a_dead_layer_and_a_single_feature_have_no_answer_where_there_is_none():
    table = correlation_summary({"dead": np.zeros((9, 2)), "one": draw(9, 1)}, svcca=True)
    assert table.loc[("dead", "one"), ["mean_abs_r", "mean_abs_r_chance"]].tolist() == [0, 0]
    assert table.loc[("dead", "one"), ["cka", "cka_chance", "svcca"]].isna().all()
    assert math.isnan(table.loc[("one", "one"), "mean_abs_r"])  # no pair but with itself


def test_the_history_of_correlations_is_curves_and_json(tmp_path):
    path = tmp_path / "new" / "corr_means.json"
    first, second = ({"a": draw(9, 2, seed=s), "b": np.zeros((9, 2))} for s in (0, 1))
    store_corr_means(path, 100, second)
    curves = store_corr_means(path, 0, first)
    assert curves.index.tolist() == [0, 100]
    expected = [correlation_summary(outputs).loc[("a", "a"), "mean_abs_r"] for outputs in (first, second)]
    assert curves["mean_abs_r/a~a"].tolist() == expected
    stored = json.loads(path.read_text())
    assert stored["step"] == [0, 100]
    assert stored["mean_abs_r/a~a"] == expected
    assert stored["cka/a~b"] == [None, None]  # JSON has no NaN
    assert read_corr_means(path).equals(curves)
    assert [file.name for file in path.parent.iterdir()] == ["corr_means.json"]


def test_a_step_stored_again_is_replaced(tmp_path):
    path = tmp_path / "corr_means.json"
    store_corr_means(path, 5, {"a": draw(9, 2)})
    curves = store_corr_means(path, 5, {"a": draw(9, 2, seed=1), "b": draw(9, 2)})
    assert curves.index.tolist() == [5]
    assert curves["cka/a~b"].notna().all()
    assert read_corr_means(path).equals(curves)


@pytest.mark.parametrize(
    "text", ["{", "[1, 2]", '{"cka/a~a": [1]}', '{"step": [0], "loss": [1]}', '{"step": [0], "cka/a~a": ["high"]}']
)
def test_another_file_is_not_written_over(tmp_path, text):
    path = tmp_path / "notes.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="(?s)notes.json is not a history of correlations: .*; choose another file"):
        store_corr_means(path, 0, {"a": draw(9, 2)})
    assert path.read_text() == text


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
    assert table.loc["fc"].tolist() == pytest.approx([between, 4 / 3, *[between / (between + 4 / 3)] * 2])


def test_augmentations_that_say_nothing_of_the_image_have_an_icc_around_zero():
    found = augmentation_analysis({"fc": draw(300, 50)}, np.repeat(np.arange(30), 10))
    assert abs(found.loc["fc", "icc"]) < 0.02
    assert math.isnan(augmentation_analysis({"fc": np.ones((4, 2))}, [0, 0, 1, 1]).loc["fc", "icc"])


def test_augmentations_need_groups():
    for images in ([0, 0, 0, 0], [0, 1, 2, 3]):
        with pytest.raises(ValueError, match="give at least two images, with several augmentations each"):
            augmentation_analysis({"fc": draw(4, 2)}, images)
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
