"""Files of safetensors that end in zeros, and what of them is said."""

import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from tandv.checkpoints import Guessed, dry_run, evaluate, weights


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (9000, "its last 11,000 bytes are zeros, from the middle of a.weight on"),
        (0, "its last 20,000 bytes are zeros, which is all of them"),
        (19_000, ""),  # less than a page
        (20_000, ""),
    ],
)
def test_zeros_from_the_middle_of_a_tensor_on_are_said(kept, said, tmp_path):
    file = tmp_path / "step_1.safetensors"
    save_file({"a.weight": np.ones((50, 100), np.float32)}, file)
    os.truncate(file, file.stat().st_size - 20_000 + kept)
    os.truncate(file, file.stat().st_size + 20_000 - kept)  # a hole
    if not said:
        assert evaluate(tmp_path, "dead_units", cache=False).iloc[0, 0] == 0 + 4 * (kept < 20_000)
        return
    with pytest.warns(Guessed, match=f"step_1.safetensors: {said}: it may be half written"):
        evaluate(tmp_path, "mean", cache=False)
    with pytest.warns(Guessed, match=said):
        list(weights(file))
    assert dry_run(tmp_path).files[0].guessed[0].startswith(said)


def test_a_tensor_of_zeros_at_the_end_is_none_of_it(tmp_path):
    save_file({"a": np.ones(5000, np.float32), "lora_B": np.zeros(5000, np.float32)}, tmp_path / "step_1.safetensors")
    assert evaluate(tmp_path, "sparsity", cache=False).iloc[0, 0] == 0.5
