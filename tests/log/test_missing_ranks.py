"""What run.json says of missing ranks is said to whoever looks at the run."""

import json

import pytest

from tandv.log import logframe
from tandv.log._missing_ranks import missing_ranks
from tandv.log.live import LiveLog
from tandv.place import place_of
from tests.stored import stored

LOG = logframe.example_log(layers=1, steps=4)


def test_a_screen_says_which_steps_lack_which_ranks(tmp_path):
    run = stored(LOG, tmp_path / "run")
    periods = [{"steps": [3 * n, 3 * n + 1], "missing": [1, 2]} for n in range(5)]
    (run / "run.json").write_text(json.dumps({"ranks": {"size": 3, "incomplete": periods, "elsewhere": [2]}}))
    assert LiveLog(run).notes == [
        "steps 0 to 1 lack what ranks 1, 2 measured",
        "steps 3 to 4 lack what ranks 1, 2 measured",
        "steps 6 to 7 lack what ranks 1, 2 measured",
        "2 more periods lack ranks, see run.json",
        "what rank 2 recorded does not lie here, but on other machines",
    ]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"ranks": 3}', '{"ranks": {"incomplete": [{"steps": 1}]}}'])
def test_where_nothing_or_nonsense_is_told_nothing_is_said(text, tmp_path):
    (tmp_path / "run.json").write_text(text)
    assert missing_ranks(place_of(tmp_path)) == []
