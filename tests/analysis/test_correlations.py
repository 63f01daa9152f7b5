"""Correlations against NumPy and scipy, their chance level against draws."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from tandv.analysis.correlations import (
    chance_correlation,
    compute_layerwise_cross_correlation,
    correlate,
    correlation_summary,
    layerwise_cross_correlation,
    read_corr_means,
    store_corr_means,
)
from tandv.analysis.similarity import chance_cka, linear_cka, svcca


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


def test_features_of_any_size_are_summarised():
    x = np.round(4 * draw(20, 3))
    far = np.ldexp(x, [1019, 0, -1040])  # the sum of twenty of the first leaves the range of float64
    np.testing.assert_allclose(correlate(far, far), correlate(x, x), rtol=1e-12)
    of = [correlation_summary({"a": one, "b": x}, svcca=True) for one in (np.ldexp(x, 1019), x)]
    np.testing.assert_allclose(*of, rtol=1e-12)


def test_a_feature_that_is_not_a_number_spoils_itself_alone():
    x = draw(9, 3)
    x[4, 1] = np.nan
    x[4, 2] = np.inf
    found = correlate(x, draw(9, 2, seed=1))
    assert np.isnan(found[1:]).all()
    np.testing.assert_allclose(found[0], correlate(x[:, :1], draw(9, 2, seed=1))[0])


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_feature_that_is_infinite_throughout_is_no_constant(value):
    assert np.isnan(correlate(np.full((9, 1), value), draw(9, 1))).all()
    assert np.isnan(linear_cka(np.full((9, 1), value), draw(9, 1)))


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
