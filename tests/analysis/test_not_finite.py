"""Numbers that are not finite are multiplied where no BLAS can warn: whether one does depends on the CPU."""

import numpy as np
import pytest

from tandv.analysis import correlations, features, representations, similarity

PRODUCTS = {np.matmul, np.einsum, np.dot, np.vdot, np.linalg.norm, np.trace}


class Watched(np.ndarray):
    """An array that fails where it is multiplied with something that is not finite and a warning could come of it."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **settings):
        plain = [np.asarray(one) for one in inputs]
        if ufunc in PRODUCTS:
            _check(plain)
        if out is not None:
            settings["out"] = tuple(np.asarray(one) for one in out)
        return _watched(getattr(ufunc, method)(*plain, **settings))

    def __array_function__(self, function, types, arguments, settings):
        plain = [np.asarray(one) if isinstance(one, np.ndarray) else one for one in arguments]
        settings = {key: np.asarray(one) if isinstance(one, np.ndarray) else one for key, one in settings.items()}
        if function in PRODUCTS:
            _check([one for one in plain if isinstance(one, np.ndarray)])
        return _watched(function(*plain, **settings))


def _check(arrays):
    if not all(np.isfinite(one).all() for one in arrays):
        assert np.geterr()["invalid"] == "ignore"


def _watched(result):
    return result.view(Watched) if isinstance(result, np.ndarray) else result


QUESTIONS = {
    "linear_cka": similarity.linear_cka,
    "debiased": lambda x, y: similarity.linear_cka(x, y, debiased=True),
    "more features than samples": lambda x, y: similarity.linear_cka(x[:4], y[:4]),
    "chance_cka": similarity.chance_cka,
    "chance, more features than samples": lambda x, y: similarity.chance_cka(x[:4], y[:4]),
    "svcca": lambda x, y: similarity.svcca(x, y).mean,
    "effective_dimension": lambda x, y: representations.effective_dimension(x).participation_ratio,
    "cosine_similarity": representations.cosine_similarity,
    "correlate": lambda x, y: correlations.correlate(x, y)[2, 0],
    "layerwise": lambda x, y: correlations.layerwise_cross_correlation({"a": x, "b": y})["a", "b"][2, 0],
    "summary": lambda x, y: correlations.correlation_summary({"a": x, "b": y}).loc[("a", "b"), "cka"],
    "augmentations": lambda x, y: features.augmentation_analysis({"a": x}, np.arange(12) // 3).loc["a", "icc"],
    "selectivity": lambda x, y: features.class_selectivity(x, np.arange(12) % 3).index[2],
}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_not_finite_gives_nan_and_no_warning_on_any_cpu(question, value, monkeypatch):
    def as_samples(values, name="the array"):
        return np.asarray(values).reshape(len(values), -1).astype(np.float64).view(Watched)

    for module in (similarity, correlations, features, representations):
        monkeypatch.setattr(module, "as_samples", as_samples)
    x, y = np.random.default_rng(0).normal(size=(2, 12, 5))
    x[3, 2] = x[9, 2] = value
    assert np.isnan(float(QUESTIONS[question](x, y)))


def test_a_product_that_is_not_shielded_is_noticed():
    x = np.array([[np.inf, 0.0], [1.0, 2.0]]).view(Watched)
    with pytest.raises(AssertionError):
        x @ x
