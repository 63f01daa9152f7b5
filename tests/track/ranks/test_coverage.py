"""Which ranks the rows of each step are of."""

from tandv.track.ranks.coverage import RankCoverage


def test_steps_that_lack_the_same_ranks_are_one_period():
    coverage = RankCoverage(3)
    missing = [coverage.add(step, who) for step, who in [(0, 7), (10, 3), (20, 3), (30, 7), (40, 3), (50, 2)]]
    assert missing == [0, 4, 4, 0, 4, 5]
    assert coverage.facts() == {
        "size": 3,
        "steps_of_all": 2,
        "incomplete": [
            {"steps": [10, 20], "missing": [2]},
            {"steps": [40, 40], "missing": [2]},
            {"steps": [50, 50], "missing": [0, 2]},
        ],
    }


def test_there_is_an_end_to_periods():
    coverage = RankCoverage(3)
    for step in range(2002):
        coverage.add(step, 3 - step % 2)
    assert len(coverage.facts()["incomplete"]) == 1000 and coverage.facts()["further_incomplete_steps"] == 1002
