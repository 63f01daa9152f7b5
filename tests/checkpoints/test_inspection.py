"""What would be measured, and what was."""

import numpy as np
import pytest
import torch
from torch import nn

from tandv.checkpoints import Guessed, LeftOut, dry_run, evaluate
from tandv.checkpoints.inspection import FileInspection, kinds_in_words, sentence, summary


@pytest.fixture
def run(tmp_path):
    """Save two checkpoints with an optimiser beside the model, and an average."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(4, 3, bias=False))
    optimiser = torch.optim.Adam(model.parameters())
    for step in (10, 20):
        saved = {"net": model.state_dict(), "opt": optimiser.state_dict(), "global_step": 10 * step}
        torch.save(saved, tmp_path / f"model_step{step}.pt")
    torch.save(model.state_dict(), tmp_path / "ema_step20.pt")
    return tmp_path


def test_a_dry_run_names_files_steps_groups_keys_and_tensors(run):
    found = dry_run(run)
    assert [(one.step, one.file, one.key) for one in found.files] == [
        (10, "model_step10.pt", "net"),
        (20, "model_step20.pt", "net"),
    ]
    first = found.files[0]
    # a kernel of 2 · 1 · 3 · 3 and 2 biases, 2 scales and 2 biases of the normalisation, 4 · 3
    assert first.kinds == {"convolution": [1, 18], "vector": [3, 6], "linear": [1, 12]}
    assert (first.parameters, first.tensors, first.recorded, first.problem) == (36, 5, "global_step 100", "")
    assert any("running_mean" in text for text in first.left_out)
    assert [(one.name, one.measured) for one in found.groups] == [("model_step*", True), ("ema_step*", False)]
    assert (found.place, found.rule) == (str(run), "the number of the step in the names")
    assert found.notes[0].startswith("ema_step20.pt: averages of the model")
    (run / "opt020000.pt").touch()
    assert dry_run(run).notes[1:] == ["opt020000.pt: by the name, state of an optimiser or of the loop, and no model"]


def test_the_sentence_on_a_run_is_the_same_before_and_after(run):
    with pytest.warns(LeftOut):
        for _ in range(2):  # also from the cache
            curves = evaluate(run, "mean")
            assert curves.attrs["measured"] == sentence(dry_run(run).files)
    assert curves.attrs["measured"].startswith(
        "2 checkpoints, steps 10 to 20: 36 parameters in 5 tensors of each (1 convolution, 3 vectors, 1 linear "
        "matrix), from the key 'net'; left out: "
    )
    assert curves.attrs["measured"].endswith("; the files record global_step 100 to global_step 200")


def test_a_file_that_cannot_be_measured_says_why(run):
    (run / "model_step30.pt").write_bytes(b"junk")
    torch.save({"table": torch.arange(3)}, run / "model_step40.pt")
    problems = [one.problem for one in dry_run(run).files]
    assert problems[:2] == ["", ""]
    assert problems[2].startswith("it is damaged, or not written by torch.save")
    assert problems[3].startswith("no trained weights; no floating point numbers: table")
    assert sentence(dry_run(run).files).endswith("not measured: model_step30.pt, model_step40.pt")


def test_files_that_differ_are_a_range():
    files = [
        FileInspection(1, "a_1.pt", "net", 10, 1, {"linear": [1, 10]}),
        FileInspection(2, "a_2.pt", "model", 12, 2, {"linear": [2, 12]}),
    ]
    assert sentence(files) == (
        "2 checkpoints, steps 1 to 2: 10 to 12 parameters in 1 to 2 tensors of each, from the keys 'net', 'model'"
    )
    assert sentence([FileInspection(0.5, "a.pt", "", 1, 1, {"vector": [1, 1]})]) == (
        "1 checkpoint, step 0.5: 1 parameter in 1 tensor (1 vector)"
    )


def test_steps_that_are_only_counted_are_said():
    files = [FileInspection(i, name, "", 1, 1, {"vector": [1, 1]}) for i, name in enumerate(["a.pt", "b.pt"])]
    assert sentence(files).startswith("2 checkpoints, steps 0 to 1 (counted, for the names hold none): 1 parameter in")


def test_counts_in_words():
    assert summary([1000]) == "1 checkpoint, step 1,000"
    assert kinds_in_words({"embedding": [1, 8], "convolution": [2, 8]}) == "1 embedding, 2 convolutions"


def test_what_was_guessed_is_among_the_notes(tmp_path):
    np.savez(tmp_path / "step_1.npz", **{"experts.w_in": np.ones((2, 3, 4))})
    np.savez(tmp_path / "step_2.npz", **{"experts.w_in": np.ones((2, 3, 4))})
    words = "taken for a stack of outputs × inputs, which nothing beside it tells: experts.w_in"
    assert dry_run(tmp_path).notes == [words]
    with pytest.warns(Guessed, match=words):
        evaluate(tmp_path, "mean", parallel=1)
