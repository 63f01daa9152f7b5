"""Quantised weights: products with scales by hand, and what is packed is never measured as a weight."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tandv.checkpoints import Combined, LeftOut, weights
from tandv.checkpoints.entries import Entry
from tandv.checkpoints.quantised import not_read, scaled


def entries(**arrays):
    return {name: Entry(array.dtype.name, array.shape, lambda array=array: array) for name, array in arrays.items()}


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (np.array(3.0), [[3, 6, 9, 12]] * 2),
        (np.array([3.0]), [[3, 6, 9, 12]] * 2),
        (np.array([[3.0]]), [[3, 6, 9, 12]] * 2),
        (np.array([1.0, 10.0]), [[1, 2, 3, 4], [10, 20, 30, 40]]),
        (np.array([[1.0], [10.0]]), [[1, 2, 3, 4], [10, 20, 30, 40]]),
        (np.array([[1.0, 10.0]]), [[1, 2, 30, 40]] * 2),
    ],
)
@pytest.mark.parametrize("ending", ["weight_scale", "weight_scale_inv"])
def test_scales_of_all_of_rows_and_of_blocks(scale, expected, ending):
    given = entries(**{"a.weight": np.array([[1, 2, 3, 4]] * 2, np.int8), f"a.{ending}": scale})
    found = scaled("a.weight", given)
    assert found is not None and found[0] == f"a.{ending}"
    assert found[1]().tolist() == expected
    assert not_read(given) == {}


def test_blocks_of_128_whose_last_is_shorter():
    given = entries(w=np.ones((200, 130), np.int8), w_scale_inv=np.array([[1.0, 2.0], [3.0, 4.0]]))
    found = scaled("w", given)
    assert found is not None
    values = found[1]()
    assert values.shape == (200, 130)
    assert values[[0, 127, 128, 199]][:, [0, 127, 128, 129]].tolist() == [[1, 1, 2, 2]] * 2 + [[3, 3, 4, 4]] * 2


def test_a_file_of_eight_bits_is_measured_as_it_was_before(tmp_path):
    torch.manual_seed(0)
    weight = torch.randn(256, 128) * 0.02
    scale = weight.reshape(2, 128, 1, 128).abs().amax((1, 3)) / 448
    each = scale.repeat_interleave(128, 0).repeat_interleave(128, 1)
    stored = {"q.weight": (weight / each).to(torch.float8_e4m3fn), "q.weight_scale_inv": scale}
    stored |= {"q.input_scale": torch.ones(1), "norm.weight": torch.ones(4)}
    save_file(stored, tmp_path / "step_1.safetensors")
    with (
        pytest.warns(Combined, match="quantised, measured as multiplied by the scales: q.weight"),
        pytest.warns(LeftOut, match="scales of quantised activations: q.input_scale"),
    ):
        found = dict(weights(tmp_path / "step_1.safetensors"))
    assert sorted(found) == ["norm", "q"]
    np.testing.assert_allclose(found["q"], weight, atol=0.02 * 4 / 16)  # three bits of mantissa


def test_rows_of_bitsandbytes_are_over_127():
    given = entries(**{"q.weight": np.array([[127, -127]], np.int8), "q.SCB": np.array([2.0], np.float32)})
    found = scaled("q.weight", given)
    assert found is not None
    np.testing.assert_allclose(found[1](), [[2.0, -2.0]], rtol=1e-6)


def test_what_is_packed_is_left_out_with_all_that_belongs_to_it(tmp_path):
    stored = {
        "a.weight": torch.ones(8, 1, dtype=torch.uint8),
        "a.weight.absmax": torch.ones(4),
        "a.weight.quant_map": torch.ones(16),
        "a.weight.quant_state.bitsandbytes__nf4": torch.ones(8, dtype=torch.uint8),
        "b.qweight": torch.ones(4, 4, dtype=torch.int32),
        "b.scales": torch.ones(2, 4),
        "b.bias": torch.ones(4),
        "c.scales": torch.ones(4),
    }
    save_file(stored, tmp_path / "step_1.safetensors")
    words = "packed by quantisation, which is not read: a.weight, a.weight.absmax, a.weight.quant_map and 3 more"
    with pytest.warns(LeftOut, match=words):
        assert [name for name, _ in weights(tmp_path / "step_1.safetensors")] == ["b.bias", "c.scales"]


def test_scales_that_do_not_fit_are_not_guessed():
    given = entries(w=np.ones((10, 7), np.int8), w_scale=np.ones((3, 2)), v=np.ones((2, 2), np.int8))
    assert scaled("w", given) is None and scaled("v", given) is None
    assert sorted(not_read(given)) == ["w", "w_scale"]
