"""Every metric beside its formula, written out with NumPy and SciPy in float64 on small matrices."""

import math

import numpy as np
import pytest
import scipy.stats

from tandv.checkpoints.matrices import pieces
from tandv.checkpoints.measurement import Thresholds, extent, measure, pooled
from tandv.checkpoints.metrics import ALIASES, DEFINITIONS, METRICS, PUBLISHED, key, known, model_of
from tandv.messages import UnknownName

RANDOM = np.random.default_rng(0)
EPS32, EPS64 = float(np.finfo(np.float32).eps), float(np.finfo(np.float64).eps)
STORED = {
    "embed.weight": RANDOM.standard_normal((11, 6)).astype(np.float32),
    "conv1.weight": (0.2 * RANDOM.standard_normal((4, 3, 5, 5)) + 0.3).astype(np.float32),
    "conv1.bias": RANDOM.standard_normal(4).astype(np.float32),
    "attn.W_Q": RANDOM.standard_normal((2, 3, 6)),  # a stack of two heads, in float64
    "fc.weight": np.where(RANDOM.random((7, 6)) < 0.4, 1e-4, RANDOM.standard_normal((7, 6))).astype(np.float32),
    "head.weight": RANDOM.standard_normal((5, 7)).astype(np.float16),
}
STORED["fc.weight"][2] = 0
STORED["fc.weight"][5, :3] = 1e-7
# the matrices in model order as outputs × inputs, each with its expected deviation and what its rank takes for zero
MATRICES = {
    "embed": (STORED["embed.weight"], 1.0, EPS32),
    "conv1": (STORED["conv1.weight"].reshape(4, 75), math.sqrt(2 / 75), EPS32),
    "attn.W_Q[0]": (STORED["attn.W_Q"][0], math.sqrt(1 / 6), EPS64),
    "attn.W_Q[1]": (STORED["attn.W_Q"][1], math.sqrt(1 / 6), EPS64),
    "fc": (STORED["fc.weight"], math.sqrt(1 / 6), EPS32),
    "head": (STORED["head.weight"], math.sqrt(1 / 7), EPS32),
}
ALL = np.concatenate([array.ravel().astype(np.float64) for array in STORED.values()])
SPAN = (float(ALL.min()) - 0.5, float(ALL.max()) + 1)


def measured(stored=STORED, thresholds=None, span=SPAN, **arguments):
    """Return all weights of a state dict, measured, by the names that a log has for them."""
    return [
        measure(piece, thresholds or Thresholds(), span=span, **arguments)
        for name, array in stored.items()
        for piece in pieces(name.removesuffix(".weight"), name, array)
    ]


def sigma(w) -> np.ndarray:
    return scipy.linalg.svdvals(np.asarray(w, np.float64))


def rank(w, eps) -> int:
    s = sigma(w)
    return int((s > max(w.shape) * eps * s[0]).sum())


def effective_rank(w) -> float:
    p = sigma(w) / sigma(w).sum()
    return math.exp(scipy.stats.entropy(p))


def spikes(w, eps) -> int:
    """Count the squared singular values beyond Johnstone's 99 % point for noise with the median of w's."""
    n, p = max(w.shape), min(w.shape)
    s = np.where(sigma(w) > n * eps * sigma(w)[0], sigma(w), 0)
    low, high = (1 - math.sqrt(p / n)) ** 2, (1 + math.sqrt(p / n)) ** 2
    below = lambda x: scipy.integrate.quad(  # noqa: E731
        lambda t: math.sqrt((high - t) * (t - low)) / (2 * math.pi * (p / n) * t), low, x, limit=200
    )[0]
    median = scipy.optimize.brentq(lambda x: below(x) - 0.5, low, high)
    mu = (math.sqrt(n - 1) + math.sqrt(p)) ** 2
    scale = (math.sqrt(n - 1) + math.sqrt(p)) * (1 / math.sqrt(n - 1) + 1 / math.sqrt(p)) ** (1 / 3)
    return int((s**2 > np.median(s**2) / (n * median) * (mu + 2.0234 * scale)).sum())


def of_a_matrix(w, expected, eps) -> dict[str, float]:
    """Return every metric of one matrix from its definition."""
    w = np.asarray(w, np.float64)
    s, size, gram = sigma(w), np.abs(w), w @ w.T
    return {
        "connectivity": size.mean(),
        "capacity": math.log(w.size) * effective_rank(w) / rank(w, eps),
        "dead_units": 100 * (size < 1e-6).all(1).mean(),
        "rank": rank(w, eps),
        "gradient_flow": 1 / (1 + abs(w.std() - expected)),
        "effective_rank": effective_rank(w),
        "condition": s[0] / s[-1] if rank(w, eps) == min(w.shape) else math.inf,
        "flatness": np.linalg.norm(w) * np.linalg.norm(w, 2),
        "stable_rank": np.linalg.norm(w) ** 2 / s[0] ** 2,
        "isotropy": np.trace(gram) ** 2 / np.linalg.norm(gram) ** 2 / min(w.shape),
        "spectral": s[0],
        "max_activation": np.linalg.norm(w, np.inf),
        "alpha": math.nan,  # too few singular values for a tail
        "mp_spikes": spikes(w, eps),
        "estimated:effective_rank": effective_rank(w),  # small matrices are decomposed
        "estimated:isotropy": np.trace(gram) ** 2 / np.linalg.norm(gram) ** 2 / min(w.shape),
        "published:rank": effective_rank(w),
        "published:condition": s[0] / s[-1],
        "published:isotropy": np.trace(gram) ** 2 / np.linalg.norm(gram) ** 2,
        "published:max_activation": math.log(w.size)
        * math.exp(-(s / s.sum() * np.log(s / s.sum() + 1e-10)).sum())
        / rank(w, eps),
    }


def of_values(w) -> dict[str, float]:
    """Return every metric of values as one line from its definition."""
    w = np.asarray(w, np.float64).ravel()
    counts = np.histogram(w, bins=100, range=SPAN)[0]
    return {
        "entropy": scipy.stats.entropy(counts),
        "entropy_share": scipy.stats.entropy(counts) / math.log(100),
        "variance": w.var(),
        "dead_neurons": 100 * (np.abs(w) < 1e-6).mean(),
        "mean": w.mean(),
        "skew": scipy.stats.skew(w),
        "kurtosis": scipy.stats.kurtosis(w, fisher=False),
        "weight_norm": np.linalg.norm(w),
        "participation": (w**2).sum() ** 2 / (w**4).sum(),
        "participation_share": (w**2).sum() ** 2 / (w**4).sum() / w.size,
        "sparsity": (np.abs(w) < 1e-3).mean(),
    }


def of_the_model() -> dict[str, float]:
    each = [of_a_matrix(*matrix) for matrix in MATRICES.values()]
    together = {name: np.mean([values[name] for values in each]) for name in each[0]}
    joined = {"condition": np.median, "spectral": np.max, "max_activation": np.max, "mp_spikes": np.sum}
    together |= {name: join([values[name] for values in each]) for name, join in joined.items()}
    matrices = [np.asarray(w, np.float64) for w, _, _ in MATRICES.values()]
    rows = sum(len(w) for w in matrices)
    return together | {
        "norm_ratio": np.linalg.norm(matrices[-1]) / np.linalg.norm(matrices[0]),
        "log_width": sum(math.log(len(w) + 1) for w in matrices),
        "published:capacity": sum(math.log(len(w) + 1) for w in matrices),
        "dead_units": 100 * sum((np.abs(w) < 1e-6).all(1).sum() for w in matrices) / rows,
    }


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_model_has_the_value_of_the_definition(name):
    expected = of_the_model() | of_values(ALL)
    found = DEFINITIONS[name].of_model(model_of(measured()))
    assert found == pytest.approx(expected[name], rel=1e-12, nan_ok=name == "alpha")


@pytest.mark.parametrize("part", [part for part in measured() if part.is_matrix], ids=list(MATRICES))
def test_each_matrix_has_the_values_of_the_definition(part):
    w, _, _ = MATRICES[part.name]
    expected = of_a_matrix(*MATRICES[part.name]) | of_values(w)
    found = {name: metric.of_tensor(part) for name, metric in DEFINITIONS.items() if metric.of_tensor}
    assert found == pytest.approx(expected, rel=1e-11, nan_ok=True)


def test_there_are_twenty_rows_of_metrics_and_five_companions():
    companions = {"entropy_share", "log_width", "dead_units", "stable_rank", "participation_share"}
    spectral_tails = {"alpha", "mp_spikes"}
    assert len(set(METRICS) - companions - spectral_tails) == 20


def test_what_was_published_under_the_same_name_can_be_asked_for():
    assert list(PUBLISHED) == [
        f"published:{x}" for x in ("capacity", "rank", "condition", "isotropy", "max_activation")
    ]
    (part,) = measured({"a": np.diag([4.0, 2.0, 1.0, 1.0]), "b": np.zeros(2)}, span=None)[:1]
    found = {name: PUBLISHED[name].of_model(model_of([part])) for name in PUBLISHED}
    p = np.array([4, 2, 1, 1]) / 8
    size = math.exp(-(p * np.log(p)).sum())
    assert found == pytest.approx(
        {
            "published:capacity": math.log(5),
            "published:rank": size,
            "published:condition": 4,
            "published:isotropy": 22**2 / (4**4 + 2**4 + 2),
            "published:max_activation": math.log(16) * size / 4,
        },
        rel=1e-8,
    )
    # the other fifteen are the same
    assert known(["published:mean", "published:kurtosis"]) == ["mean", "kurtosis"]
    assert len([name for name in ALIASES if name.startswith("published:")]) == 15


def test_a_condition_that_is_rounding_is_finite_in_the_published_mean_alone():
    parts = measured({"a": np.diag([1.0, 1e-9]).astype(np.float32), "b": np.diag([4.0, 2.0])})
    assert DEFINITIONS["published:condition"].of_model(model_of(parts)) == pytest.approx((1e9 + 2) / 2, rel=1e-6)
    assert METRICS["condition"].of_model(model_of(parts)) == math.inf


def test_condition_of_a_matrix_without_full_rank_is_infinite_and_the_median_is_of_all():
    flat = np.outer(np.arange(1.0, 5), np.arange(1.0, 4)).astype(np.float32)
    parts = measured({"a": np.diag([4.0, 2.0]), "b": flat, "c": np.eye(3)})
    assert [METRICS["condition"].of_tensor(part) for part in parts] == pytest.approx([2, math.inf, 1], rel=1e-12)
    assert METRICS["condition"].of_model(model_of(parts)) == pytest.approx(2, rel=1e-12)
    assert METRICS["rank"].of_tensor(parts[1]) == 1
    assert METRICS["condition"].of_model(model_of(parts[1:])) == math.inf


@pytest.mark.parametrize("smallest", [1e-3, 1e-6, 1e-9, 1e-12])
def test_small_singular_values_are_as_exact_as_float64_allows(smallest):
    left, right = (np.linalg.qr(RANDOM.standard_normal((n, n)))[0] for n in (40, 20))
    w = (left[:, :20] * np.geomspace(1, smallest, 20)) @ right
    for matrix in (w, w.T):
        (part,) = measured({"a": matrix})
        truth = sigma(matrix)
        # a singular value is known to the rounding of the largest, by whatever way
        allowed = 2e-2 if smallest == 1e-6 else max(1e-6, 20 * EPS64 / smallest)
        assert METRICS["condition"].of_tensor(part) == pytest.approx(truth[0] / truth[-1], rel=min(allowed, 1e-2))
        assert METRICS["rank"].of_tensor(part) == 20
        assert METRICS["effective_rank"].of_tensor(part) == pytest.approx(effective_rank(matrix), rel=1e-7)


def test_rank_takes_for_zero_what_the_stored_precision_cannot_tell_or_what_is_asked_for():
    w = np.diag([1.0, 1e-9])
    found = {dtype: measured({"a": w.astype(dtype)})[0].spectrum.rank for dtype in (np.float32, np.float64)}
    assert found == {np.float32: 1, np.float64: 2}
    assert measured({"a": w}, Thresholds(rank_eps=1e-9))[0].spectrum.rank == 1


def test_a_direction_counts_above_what_rounding_can_feign_of_large_matrices_too():
    small = np.eye(256, dtype=np.float32)
    small[-1, -1] = 1e-5  # 256 · eps would be 3e-5; rounding moves a singular value by at most eps · ‖W‖ = 1.9e-6
    assert measure_one(small).spectrum.rank == 256
    small[-1, -1] = 1e-6
    assert measure_one(small).spectrum.rank == 255
    rng = np.random.default_rng(0)
    product = rng.normal(size=(256, 8)).astype(np.float32) @ rng.normal(size=(8, 256)).astype(np.float32)
    assert measure_one(product).spectrum.rank == 8


def measure_one(array):
    (piece,) = pieces("w", "w.weight", array)
    return measure(piece, Thresholds())


def test_zeros_have_no_direction_and_constants_no_shape():
    (part,) = measured({"a": np.zeros((3, 2))})
    found = {name: METRICS[name].of_tensor(part) for name in ("rank", "effective_rank", "stable_rank", "isotropy")}
    assert found == {"rank": 0, "effective_rank": 0, "stable_rank": 0, "isotropy": 0}
    assert (METRICS["capacity"].of_tensor(part), METRICS["condition"].of_tensor(part)) == (0, math.inf)
    (part,) = measured({"a": np.full((300, 700), 0.1)})
    assert (METRICS["variance"].of_tensor(part), METRICS["entropy"].of_tensor(part)) == (0, 0)
    assert math.isnan(METRICS["skew"].of_tensor(part)) and math.isnan(METRICS["kurtosis"].of_tensor(part))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_make_their_own_metrics_nan_and_no_others(wrong):
    bad = np.ones((3, 3))
    bad[1, 1] = wrong
    parts = measured({"fc1.weight": np.eye(2), "fc2.weight": bad})
    for name, metric in METRICS.items():
        if name != "log_width":  # which is of shapes alone
            assert math.isnan(metric.of_model(model_of(parts))), name
        if metric.of_tensor:
            assert math.isnan(metric.of_tensor(parts[1])), name
    assert METRICS["spectral"].of_tensor(parts[0]) == 1


def test_blocks_of_a_large_matrix_join_exactly(monkeypatch):
    w = (RANDOM.standard_normal((130, 37)) + 100).astype(np.float32)
    w[7] = 0
    whole = [measured({"a": matrix}, span=(-1.0, 110.0))[0] for matrix in (w, w.T)]
    monkeypatch.setattr("tandv.checkpoints.spectrum.blocks.__defaults__", (1, 1.0, 512))
    for matrix, one in zip((w, w.T), whole, strict=True):
        (many,) = measured({"a": matrix}, span=(-1.0, 110.0))
        for name, metric in METRICS.items():
            if metric.of_tensor:
                assert metric.of_tensor(many) == pytest.approx(metric.of_tensor(one), rel=1e-9, nan_ok=True), name
        assert (many.counts == one.counts).all()
    flat = np.outer(np.arange(1.0, 131), np.ones(37))  # goes by way of the triangular factor
    (part,) = measured({"a": flat})
    assert (part.spectrum.rank, part.spectrum.largest) == (1, pytest.approx(np.linalg.norm(flat), rel=1e-12))


def test_measuring_leaves_the_weights_as_they_are():
    w = RANDOM.standard_normal((20, 30))
    before = w.copy()
    measured({"a": w}, span=None)
    assert (w == before).all()


def test_moments_survive_a_mean_far_from_zero():
    w = 1e6 + RANDOM.standard_normal((400, 500))
    (part,) = measured({"a": w}, span=None, singular=())
    assert METRICS["variance"].of_tensor(part) == pytest.approx(w.var(), rel=1e-9)
    assert METRICS["kurtosis"].of_tensor(part) == pytest.approx(scipy.stats.kurtosis(w.ravel(), fisher=False), rel=1e-6)


def test_thresholds_can_be_set():
    parts = measured({"a": np.array([[0.1, 0.2], [0.5, 0.05]])}, Thresholds(dead=0.3, sparse=0.06, bins=2), (0.0, 1.0))
    found = {n: METRICS[n].of_model(model_of(parts)) for n in ("dead_neurons", "dead_units", "sparsity", "entropy")}
    bins = [3 / 4, 1 / 4]
    assert found == {"dead_neurons": 75, "dead_units": 50, "sparsity": 0.25, "entropy": scipy.stats.entropy(bins)}


def test_without_matrices_there_are_only_metrics_of_all_weights():
    model = model_of(measured({"scale": np.array([1.0, 3.0])}))
    found = {name: metric.of_model(model) for name, metric in METRICS.items()}
    assert (found["mean"], found["weight_norm"]) == (2, math.sqrt(10))
    only = {name for name, value in found.items() if math.isnan(value)}
    assert {"spectral", "rank", "norm_ratio", "log_width", "dead_units", "connectivity"} <= only
    assert not only & {"mean", "entropy", "sparsity", "participation"}


def test_bins_hold_their_lower_edge_and_the_last_one_both():
    (part,) = measured({"a": np.array([0.0, 0.5, 0.999, 1.0])}, Thresholds(bins=2), (0.0, 1.0))
    assert part.counts.tolist() == [1, 3]
    assert part.counts.dtype == np.int64
    assert extent(np.array([2.0, -1.0])) == (-1, 2)
    assert extent(np.array([np.nan, 1.0])) is None


def test_pooling_is_measuring_together():
    parts = measured()
    assert pooled(parts).size == ALL.size
    assert pooled(parts[:1]).moments == parts[0].moments


LARGE = np.random.default_rng(5).standard_normal((700, 600)).astype(np.float32)


def test_large_matrices_are_decomposed_only_for_what_needs_it(monkeypatch):
    def refused(*_):
        raise AssertionError("a decomposition")

    (whole,) = measured({"a": LARGE}, span=None)
    monkeypatch.setattr(np.linalg, "eigvalsh", refused)
    monkeypatch.setattr(np.linalg, "svd", refused)
    asked = {"spectral": "largest", "flatness": "largest", "stable_rank": "largest", "isotropy": "traces"}
    for name, part in asked.items():
        metric = METRICS[name]
        assert metric.needs == part
        (found,) = measured({"a": LARGE}, span=None, singular=[part])
        assert metric.of_tensor(found) == pytest.approx(metric.of_tensor(whole), rel=1e-6), name
        assert math.isnan(METRICS["effective_rank"].of_tensor(found))
    (found,) = measured({"a": LARGE}, span=None, singular=["estimates"])
    for name in ("effective_rank", "isotropy"):
        estimate = DEFINITIONS[f"estimated:{name}"].of_tensor(found)
        assert estimate == pytest.approx(METRICS[name].of_tensor(whole), rel=4 * found.spectrum.estimates.error)
        assert estimate != METRICS[name].of_tensor(whole)
    with pytest.raises(AssertionError, match="a decomposition"):
        measured({"a": LARGE}, span=None, singular=["all"])


def test_what_lanczos_does_not_find_is_decomposed(monkeypatch):
    monkeypatch.setattr("tandv.checkpoints.largest._STEPS", 3)
    (found,) = measured({"a": LARGE}, span=None, singular=["largest"])
    assert found.spectrum.largest == pytest.approx(np.linalg.norm(LARGE.astype(np.float64), 2), rel=1e-12)


def test_quick_is_all_that_needs_no_decomposition():
    quick = known(["quick"])
    assert {DEFINITIONS[name].needs for name in quick} == {"moments", "counts", "largest", "estimates"}
    assert {"spectral", "stable_rank", "kurtosis", "estimated:effective_rank", "estimated:isotropy"} <= set(quick)
    assert known(["all"]) == list(METRICS)


def test_names_are_found_and_mistakes_answered():
    assert known(["all"]) == list(METRICS)
    assert known(["l2"]) == known(["L2"]) == known(["published:weight_norm"]) == ["weight_norm"]
    with pytest.raises(UnknownName, match="no metric 'spectrl'; did you mean 'spectral'"):
        known(["spectrl", "mean"])
    with pytest.raises(UnknownName, match="no metric 'zzz'; there are 'all', 'quick', 'entropy'"):
        known(["zzz"])


def test_a_kept_value_is_told_apart_by_the_settings_it_depends_on():
    strict, loose = Thresholds(sparse=1e-4), Thresholds(sparse=1e-2)
    assert key("sparsity", strict, None) != key("sparsity", loose, None)
    assert key("spectral", strict, None) == key("spectral", loose, (0.0, 1.0))
    assert key("entropy", strict, (0.0, 1.0)) != key("entropy", strict, (0.0, 2.0))


def test_an_accelerator_finds_the_same(monkeypatch):
    parts = measured()
    # torch's own path, on the only device that every machine has
    monkeypatch.setattr("tandv.checkpoints.on_device._VALUES", 16)
    on_device = measured(device="cpu:0")
    for name, metric in DEFINITIONS.items():
        found, expected = metric.of_model(model_of(on_device)), metric.of_model(model_of(parts))
        assert found == pytest.approx(expected, rel=1e-9, nan_ok=name == "alpha"), name
