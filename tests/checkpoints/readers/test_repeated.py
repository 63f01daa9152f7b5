"""Files whose dictionaries stand in each other again and again end no program, and take no time."""

import sys

import numpy as np
import pytest
import torch

from tandv.checkpoints import UnreadableCheckpoint, weights
from tandv.checkpoints.readers.repeated import refuse_repeated


def nested(levels, wide, inside):
    for _ in range(levels):
        inside = {str(i): inside for i in range(wide)}
    return inside


@pytest.mark.parametrize(("levels", "wide"), [(9, 6), (40, 50)])
def test_places_that_nobody_can_go_through_are_refused(tmp_path, levels, wide):
    beside = nested(levels, wide, {"exp_avg": np.ones(2)})
    torch.save({"net": {"a.weight": torch.ones(2, 2)}, "x": beside}, tmp_path / "a.pt")
    words = rf"a?its {levels + 3} dictionaries and lists stand in each other more than 1,000,000 times"
    with pytest.raises(UnreadableCheckpoint, match=words):
        list(weights(tmp_path / "a.pt"))


def test_what_is_shared_a_few_times_is_read_as_ever(tmp_path):
    averages = nested(6, 6, {"exp_avg": np.ones(2)})  # 6^6 places
    torch.save({"net": {"a.weight": torch.ones(2, 2)}, "x": averages}, tmp_path / "a.pt")
    assert [name for name, _ in weights(tmp_path / "a.pt")] == ["a"]


def test_what_holds_itself_and_what_is_merely_large_is_accepted(monkeypatch):
    loop: dict = {}
    loop["self"] = [loop]
    refuse_repeated(loop)
    monkeypatch.setattr("tandv.checkpoints.readers.repeated._MOST", 1_000)
    refuse_repeated([[] for _ in range(1_001)])


@pytest.mark.parametrize("limit", [1_000, 20_000])  # of recursion: some libraries raise Python's
def test_nesting_deeper_than_any_checkpoint_is_said(tmp_path, limit):
    levels = 900
    pickled = b"\x80\x02" + levels * b"}U\x01a" + b"I1\n" + levels * b"s" + b"."
    (tmp_path / "model_1.pkl").write_bytes(pickled)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        with pytest.raises(UnreadableCheckpoint, match="nested more than 100 levels deep, as in no checkpoint"):
            list(weights(tmp_path / "model_1.pkl"))
    finally:
        sys.setrecursionlimit(before)


def test_a_hundred_levels_are_accepted():
    refuse_repeated(nested(99, 1, {"a": 1}))
    with pytest.raises(UnreadableCheckpoint, match="100 levels"):
        refuse_repeated(nested(100, 1, {"a": 1}))
