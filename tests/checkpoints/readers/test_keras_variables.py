"""What the numbered variables of layers are, and their kernels as kernel × inputs × outputs."""

import numpy as np
import pytest

from tandv.checkpoints.readers.keras_variables import names_of, variable


@pytest.mark.parametrize(
    ("kind", "shapes", "names"),
    [
        ("dense", [(3, 2), (2,)], ["kernel", "bias"]),
        ("embedding", [(9, 4)], ["embeddings"]),
        ("layer_normalization", [(4,), (4,)], ["gamma", "beta"]),
        ("bn layer", [(4,)] * 4, ["gamma", "beta", "moving_mean", "moving_variance"]),
        ("batch_normalization_1", [(4,)] * 3, ["", "moving_mean", "moving_variance"]),
        ("batch_normalization", [(4,)] * 2, ["moving_mean", "moving_variance"]),
        ("cell lstm_cell", [(4, 12), (3, 12), (12,)], ["kernel", "recurrent_kernel", "bias"]),
        ("normalization", [(3,), (3,), ()], ["mean", "variance", "count"]),
        ("own_layer", [(2,)], [""]),
    ],
)
def test_the_names_of_numbered_variables(kind, shapes, names):
    assert names_of(kind, shapes) == names


def test_kernels_of_transposed_and_depthwise_convolutions_have_the_layout_of_others():
    kernel = np.arange(24.0).reshape(2, 1, 3, 4)  # two positions, three outputs, four inputs
    turned = variable("conv2d_transpose", "kernel", 0, kernel.shape, None)
    assert turned.shape == (2, 1, 4, 3)
    assert turned.arrange(kernel)[1, 0, 3, 2] == kernel[1, 0, 2, 3]
    assert variable("upscale conv", "kernel", 0, kernel.shape, (3,)).shape == (2, 1, 4, 3)  # by its bias
    assert variable("conv2d", "kernel", 0, kernel.shape, (4,)).shape == kernel.shape
    depthwise = variable("depthwise_conv2d", "kernel", 0, kernel.shape, (12,))  # three inputs, four outputs of each
    assert depthwise.shape == (2, 1, 1, 12)
    assert depthwise.arrange(kernel)[0, 0, 0].tolist() == list(range(12))
    pointwise = variable("separable_conv2d", "pointwise_kernel", 1, (1, 1, 12, 5), (5,))
    assert (pointwise.stored_as, pointwise.shape) == ("pointwise.kernel", (1, 1, 12, 5))
