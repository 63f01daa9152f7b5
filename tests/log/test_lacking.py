"""Steps that damaged files of a run leave out, as far as the files beside them tell."""

import numpy as np
import pytest
from stored import stored

from tandv.log._lacking import Gap, lacking
from tandv.log.example import example_log
from tandv.log.live import LiveLog
from tandv.log.shown import ABSENT

LOG = example_log(layers=2, steps=12)


@pytest.fixture
def parts(tmp_path):
    """Return the files of a run of twelve steps, two in each."""
    return sorted((stored(LOG, tmp_path / "run", steps=2, close=False, batch=10_000) / "parts").iterdir())


def test_steps_between_whole_files_are_shown_as_not_logged(parts):
    for at in (1, 3, 4):
        parts[at].write_bytes(b"cut off")
    log = LiveLog(parts[0].parent.parent)
    assert log.steps.tolist() == list(range(12))
    assert np.flatnonzero(log.matrix("Weight", "rm2").flags[0] & ABSENT).tolist() == [2, 3, 6, 7, 8, 9]
    assert log.cell("Weight", "head", 2) is None
    for at in (1, 3, 4):
        assert sum(parts[at].name in note for note in log.notes) == 1
    assert log.notes[-1] == "steps of damaged files are lacking: between 1 and 4, between 5 and 10"


def test_at_the_ends_nothing_tells_which_steps_there_were(parts):
    for at in (0, -1):
        parts[at].write_bytes(b"cut off")
    log = LiveLog(parts[0].parent.parent)
    assert log.steps.tolist() == list(range(2, 10))
    assert log.notes[-1] == "steps of damaged files are lacking: before step 2, after step 9"


def test_a_whole_run_lacks_nothing(parts):
    assert not any("lacking" in note for note in LiveLog(parts[0].parent.parent).notes)


@pytest.mark.parametrize(
    ("after", "before", "expected"), [(20, 50, [30, 40]), (20, 45, []), (None, 20, []), (60, None, [])]
)
def test_steps_follow_from_the_distance_of_most(after, before, expected):
    steps = np.array([0, 10, 20, before or 50, 60, 70])
    assert lacking([Gap(after, before)], np.unique(steps)).tolist() == expected
