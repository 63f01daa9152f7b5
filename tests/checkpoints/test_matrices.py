import numpy as np
import pytest

from tandv.checkpoints.matrices import pieces


@pytest.mark.parametrize(
    ("stored_as", "shape", "expected"),
    [
        ("fc.weight", (3, 4), [("w", "linear", (3, 4))]),
        ("fc.bias", (3,), [("w", "vector", (1, 3))]),
        ("temperature", (), [("w", "vector", (1, 1))]),
        ("cls_token", (1, 1, 8), [("w", "vector", (1, 8))]),
        ("conv1.weight", (8, 3, 5, 5), [("w", "convolution", (8, 75))]),
        ("stem.weight", (8, 3, 5), [("w", "convolution", (8, 15))]),  # Conv1d
        ("my_conv", (8, 3, 5, 5), [("w", "convolution", (8, 75))]),
        ("wte.weight", (50, 4), [("w", "embedding", (50, 4))]),
        ("model.embed_tokens.weight", (50, 4), [("w", "embedding", (50, 4))]),
        ("embed.W_E", (4, 50), [("w", "embedding", (4, 50))]),
        ("blocks.0.attn.W_Q", (2, 6, 3), [("w[0]", "linear", (6, 3)), ("w[1]", "linear", (6, 3))]),
        ("experts", (1, 2, 6, 3), [("w[0,0]", "linear", (6, 3)), ("w[0,1]", "linear", (6, 3))]),
        ("Dense_0.kernel", (3, 4), [("w", "linear", (4, 3))]),  # flax has inputs first
        ("Conv_0.kernel", (5, 5, 3, 8), [("w", "convolution", (8, 75))]),
        ("attention.query.kernel", (6, 2, 3), [("w[0]", "linear", (3, 6)), ("w[1]", "linear", (3, 6))]),
        ("attention.out.kernel", (2, 3, 6), [("w[0]", "linear", (6, 3)), ("w[1]", "linear", (6, 3))]),
    ],
)
def test_a_weight_is_split_into_its_matrices(stored_as, shape, expected):
    found = pieces("w", stored_as, np.zeros(shape))
    assert [(piece.name, piece.kind, piece.values.shape) for piece in found] == expected


def test_rows_of_a_matrix_are_outputs():
    kernel = np.arange(12.0).reshape(2, 3, 2)  # flax: 1-d convolution, width × inputs × outputs
    (piece,) = pieces("c", "conv.kernel", kernel)
    assert piece.values.tolist() == [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]]
    query = np.arange(12.0).reshape(3, 2, 2)  # inputs × heads × width
    first, second = pieces("q", "query.kernel", query)
    assert first.values.tolist() == [[0, 4, 8], [1, 5, 9]]
    assert second.values.tolist() == [[2, 6, 10], [3, 7, 11]]
