import numpy as np
import pytest
import torch

from tandv import analysis, viz
from tandv.analysis.attention import attention_entropy
from tandv.analysis.features import activation_sparsity, class_selectivity
from tandv.analysis.representations import effective_dimension, weight_change
from tandv.analysis.similarity import linear_cka
from tandv.arrays import as_array

KINDS = [
    torch.tensor([[1.0, 2.0], [0.0, 4.0], [3.0, 0.0]], requires_grad=True),
    torch.tensor([[1.0, 2.0], [0.0, 4.0], [3.0, 0.0]], dtype=torch.bfloat16),
    torch.tensor([[1.0, 2.0], [0.0, 4.0], [3.0, 0.0]], dtype=torch.float8_e4m3fn),
    [torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([0.0, 4.0]), torch.tensor([3.0, 0.0])],
]
PLAIN = np.array([[1.0, 2.0], [0.0, 4.0], [3.0, 0.0]])
FUNCTIONS = {
    "cka": lambda x: linear_cka(x, x),
    "dimension": effective_dimension,
    "change": lambda x: weight_change(x, x),
    "sparsity": activation_sparsity,
    "selectivity": lambda x: class_selectivity(x, ["a", "b", "b"]).index.tolist(),
    "correlations": lambda x: analysis.correlations.correlation_summary({"fc": x}).to_dict(),
    "entropy": lambda x: attention_entropy([[[1.0, 0.0], [0.5, 0.5]]] if x is PLAIN else half_entropy(x)).tolist(),
}


def half_entropy(like):
    tensor = like[0] if isinstance(like, list) else like
    return torch.tensor([[[1.0, 0.0], [0.5, 0.5]]], requires_grad=tensor.requires_grad).to(tensor.dtype)


@pytest.mark.parametrize("kind", KINDS, ids=["requires a gradient", "bfloat16", "float8", "a list of tensors"])
def test_tensors_become_the_array_of_their_values(kind):
    np.testing.assert_array_equal(as_array(kind), PLAIN)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", KINDS, ids=["requires a gradient", "bfloat16", "float8", "a list of tensors"])
def test_functions_of_analysis_take_tensors_as_they_are(name, kind):
    np.testing.assert_equal(FUNCTIONS[name](kind), FUNCTIONS[name](PLAIN))


def test_plots_of_arrays_take_tensors_as_they_are():
    figure = viz.activation_heatmap(KINDS[1])
    assert figure.axes[0].get_xlim() == (-0.5, 1.5)
    viz.conv_filters({"conv": torch.randn(4, 1, 3, 3, requires_grad=True)})
