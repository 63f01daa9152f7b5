"""Every public function of arrays takes tensors as they are: with gradients, in half precision, of JAX, in lists."""

import inspect
import json
import pkgutil
from importlib import import_module

import ml_dtypes
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from tandv import analysis, viz
from tandv.analysis import attention, correlations, features, patterns, reliance, representations, samples, similarity
from tandv.arrays import as_array
from tandv.probes._values import flat
from tandv.viz import of_arrays
from tandv.viz.layout.tables import drawn

X = np.random.default_rng(0).integers(-3, 4, (12, 4)).astype(float)
IMAGES = np.random.default_rng(1).integers(0, 4, (3, 2, 3, 3)).astype(float)
UNIFORM = np.array([[[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.5, 0.25, 0.25, 0], [0.25] * 4]])  # one head
TOKENS = np.array([5.0, 7.0, 5.0, 7.0])
LABELS = np.array([0.0, 1.0] * 6)


def jax_bfloat16(array):
    import jax.numpy as jnp

    return jnp.asarray(array, jnp.bfloat16)


KINDS = {
    "requires a gradient": lambda a: torch.tensor(a, requires_grad=True),
    "bfloat16": lambda a: torch.tensor(a, dtype=torch.bfloat16, requires_grad=True),
    "numpy's bfloat16": lambda a: a.astype(ml_dtypes.bfloat16),
    "lists": lambda a: a.tolist(),
    "a list of tensors": lambda a: list(torch.tensor(a, requires_grad=True)),
    "jax bfloat16": jax_bfloat16,
}
EACH = [pytest.param(make, id=name, marks=pytest.mark.slow if "jax" in name else ()) for name, make in KINDS.items()]


def at_two_steps(array):
    return {0: {"fc": array}, 1: {"fc": array}}


FUNCTIONS = {
    attention.attention_curves: lambda f, to: f({0: {"a": to(UNIFORM)}}, to(TOKENS), mask=to(np.ones(4))),
    attention.attention_means: lambda f, to: (
        f([({"a": to(UNIFORM[None])}, to(TOKENS[None]), to(np.ones((1, 4))))]).curves
    ),
    attention.attention_entropy: lambda f, to: f(to(UNIFORM), visible=to(np.tri(4))),
    attention.duplicate_token_score: lambda f, to: f(to(UNIFORM), to(TOKENS), to(np.ones(4))),
    attention.head_entropy: lambda f, to: f(to(UNIFORM), mask=to(np.ones(4))),
    attention.head_scores: lambda f, to: f(to(UNIFORM), to(TOKENS), to(np.ones(4))),
    attention.head_specialisation: lambda f, to: f(to(UNIFORM), mask=to(np.ones(4))),
    attention.induction_score: lambda f, to: f(to(UNIFORM), to(TOKENS), to(np.ones(4))),
    attention.previous_token_score: lambda f, to: f(to(UNIFORM), to(np.ones(4))),
    attention.without_sink: lambda f, to: f(to(UNIFORM)).attention,
    correlations.correlate: lambda f, to: f(to(X), to(X)),
    correlations.correlation_summary: lambda f, to: f({"fc": to(X)}, svcca=True),
    correlations.layerwise_cross_correlation: lambda f, to: list(f({"fc": to(X)}).values()),
    correlations.store_corr_means: lambda f, to: f("means.json", 0, {"fc": to(X)}),
    features.activation_sparsity: lambda f, to: f(to(X)),
    features.augmentation_analysis: lambda f, to: f({"fc": to(X)}, to(LABELS)),
    features.class_selectivity: lambda f, to: f(to(np.abs(X)), to(LABELS)).index,
    features.decodability_curves: lambda f, to: f(at_two_steps(to(X)), {"y": to(LABELS)}),
    features.linear_decodability: lambda f, to: f(to(X), to(LABELS)),
    patterns.pattern_sums: lambda f, to: np.stack(f(to(UNIFORM), to(np.ones(4)))),
    patterns.mean_pattern: lambda f, to: f(to(UNIFORM), to(np.ones(4))),
    reliance.feature_reliance: lambda f, to: f(to(LABELS), to(LABELS[::-1].copy()), to(LABELS)),
    reliance.group_curves: lambda f, to: f({0: to(LABELS)}, to(LABELS), to(LABELS)),
    reliance.worst_group_accuracy: lambda f, to: f(to(LABELS), to(LABELS), to(LABELS)),
    representations.compare_representations: lambda f, to: f({"fc": to(X)}, {"fc": to(X)}),
    representations.cosine_similarity: lambda f, to: f(to(X), to(X)),
    representations.effective_dimension: lambda f, to: f(to(X)),
    representations.project: lambda f, to: f(at_two_steps(to(X)), "fc").points,
    representations.weight_change: lambda f, to: f(to(X), to(X)),
    samples.rows_of_features: lambda f, to: f(to(IMAGES)),
    samples.rows_of_layers: lambda f, to: f({"fc": to(X)}, 12).layers,
    similarity.chance_cka: lambda f, to: f(to(X), to(X)),
    similarity.cka_curves: lambda f, to: f(at_two_steps(to(X))),
    similarity.linear_cka: lambda f, to: f(to(X), to(X)),
    similarity.svcca: lambda f, to: f(to(X), to(X)),
    viz.activation_heatmap: lambda f, to: f(to(X), labels=to(LABELS)),
    viz.attention_evolution: lambda f, to: f(at_two_steps(to(UNIFORM)), to(TOKENS), mask=to(np.ones(4))),
    viz.attention_heads: lambda f, to: f(to(UNIFORM), mask=to(np.ones(4))),
    viz.attention_pattern: lambda f, to: f(to(UNIFORM), tokens=to(TOKENS), mask=to(np.ones(4))),
    viz.conv_filters: lambda f, to: f({"conv": to(IMAGES)}),
    viz.entropy_evolution: lambda f, to: f(to(X**2), transitions=None),
    viz.feature_correlations: lambda f, to: f(to(X), of="samples", labels=to(LABELS)),
    viz.image_grid: lambda f, to: f(to(IMAGES[:, 0] / 4)),
    viz.layer_correlations: lambda f, to: f({"fc": to(X)}),
}
OF_NO_ARRAYS = {  # they take curves, tables, logs or numbers
    "augmentation_effect", "chance_correlation", "correlation_history", "decodability", "families_of", "fewest",
    "group_accuracy", "head_composition", "head_curves", "lens_map", "panels_of", "projection", "read_corr_means",
    "similarity_curves",
}  # fmt: skip
OF_OUR_ARRAYS = {  # what other functions of tandv have made arrays of already
    "among_tokens", "as_history", "as_samples", "check_finite",
    "compute_layerwise_cross_correlation", "centred", "chosen_layer", "chosen_steps", "draw_matrix", "in_range",
    "draw_patterns", "euclidean_length", "is_causal", "largest", "layers_of", "main_directions", "paint", "pattern_of",
    "places", "side_by_side", "special_colours", "spread", "svcca_of", "with_not_finite", "with_not_finite_words",
}  # fmt: skip


def plain(result):
    """Return what can be compared by value; of figures what their panels show."""
    if isinstance(result, Figure):
        shown = [drawn(axes) for axes in result.findobj(lambda one: hasattr(one, "get_xlim"))]
        return [np.asarray(one.values, float) for one in shown if one is not None and one.values is not None]
    if isinstance(result, pd.DataFrame | pd.Series) or hasattr(result, "_asdict"):
        return flat(result)
    return result


def name_of(function):
    return f"{function.__module__.removeprefix('tandv.')}.{function.__name__}"


@pytest.mark.parametrize("make", EACH)
@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_functions_take_tensors_as_they_are(function, make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call = FUNCTIONS[function]
    expected, found = plain(call(function, np.asarray)), plain(call(function, make))
    assert type(found) is type(expected)
    for one, other in (
        zip(found.items(), expected.items(), strict=True) if isinstance(found, dict) else [(found, expected)]
    ):
        np.testing.assert_equal(one, other)


def test_every_function_of_arrays_is_tried():
    tried = {function.__name__ for function in FUNCTIONS} | OF_NO_ARRAYS | OF_OUR_ARRAYS
    rooms = [attention, correlations, features, patterns, reliance, representations, samples, similarity]
    rooms += [import_module(f"tandv.viz.of_arrays.{one.name}") for one in pkgutil.iter_modules(of_arrays.__path__)]
    public = {
        name
        for room in rooms
        for name, one in vars(room).items()
        if inspect.isfunction(one) and one.__module__.startswith(room.__name__) and not name.startswith("_")
    }
    assert public - tried == set()


@pytest.mark.parametrize("make", EACH)
def test_tensors_become_the_array_of_their_values(make):
    np.testing.assert_array_equal(as_array(make(X)), X)
    assert json.dumps(as_array(make(X)).tolist())


def test_nested_lists_of_tensors_and_eight_bits():
    np.testing.assert_array_equal(as_array([[torch.tensor(1.0, requires_grad=True), torch.tensor(2.0)]]), [[1.0, 2.0]])
    np.testing.assert_array_equal(as_array(torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn)), [1.0, 2.0])
    assert analysis.correlations.correlate(torch.eye(3), np.eye(3)).shape == (3, 3)


def test_what_holds_arrays_is_no_array():
    with pytest.raises(TypeError, match=r"expected an array, got a dict of 'fc', 'head'; give one of its arrays"):
        representations.cosine_similarity({"fc": X, "head": X}, X)
    with pytest.raises(TypeError, match="expected an array, got None"):
        as_array(None)
