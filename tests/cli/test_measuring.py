"""Names of runs, and how many checkpoints there are in words."""

from pathlib import Path

import pytest

from tandv.checkpoints import Checkpoint
from tandv.cli.measuring import run_names, summary


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["/runs/grok/ckpt"], ["grok/ckpt"]),
        (["/runs/a/ckpt", "/runs/b/ckpt"], ["a", "b"]),
        (["/runs/a", "/runs/b"], ["a", "b"]),
        (["/x/a/1/ckpt", "/x/b/2/ckpt"], ["a/1", "b/2"]),
        (["/runs", "/runs/a"], ["/runs", "/runs/a"]),
        (["/a", "/a/a", "/b"], ["a", "a/a", "b"]),
        (["/a"], ["a"]),
        (["/"], ["/"]),
    ],
)
def test_runs_are_called_by_what_tells_them_apart(folders, names):
    assert run_names(folders) == names


def test_one_checkpoint_is_one():
    assert summary([Checkpoint(1000, Path("a"))]) == "1 checkpoint, step 1,000"
    assert summary([Checkpoint(0, Path("a")), Checkpoint(1000, Path("b"))]) == "2 checkpoints, steps 0 to 1,000"
