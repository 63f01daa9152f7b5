"""Steps wait for ranks, but neither for ever nor for those that send no more."""

import numpy as np

from tandv.measure import measure
from tandv.track.ranks.part import part_of
from tandv.track.ranks.waiting import Sealed, Waiting


def sealed(step, *ranks, size=1):
    empty = part_of(step, 0, [], measure([np.ones(0, np.float32)])[:0])
    return Sealed(step, sum(1 << rank for rank in ranks), size, lambda: empty)


def whose(steps):
    return [(parts[0].step, [part.who for part in parts]) for parts in steps]


def test_a_step_goes_on_when_all_have_sent_theirs_the_lowest_rank_first():
    waiting = Waiting(0b111, patience=9, at_most=100)
    assert waiting.add(sealed(4, 1, 2), 0.0) and not waiting.due(1.0, {})
    assert waiting.add(sealed(4, 0), 1.0)
    assert whose(waiting.due(1.0, {})) == [(4, [0b001, 0b110])]
    assert not waiting.add(sealed(4, 2), 2.0), "it has gone on"
    assert len(waiting) == waiting.held == 0


def test_a_rank_that_left_is_missed_only_after_its_latest_step():
    waiting = Waiting(0b11, patience=9, at_most=100)
    waiting.add(sealed(4, 0), 0.0)
    waiting.add(sealed(5, 0), 0.0)
    assert whose(waiting.due(0.0, {1: 4})) == [(5, [1])]
    assert whose(waiting.due(0.0, {1: 3})) == [(4, [1])]


def test_steps_that_a_leaving_rank_still_has_of_those_below_it_are_waited_for_and_keep_their_order():
    waiting = Waiting(0b1111, patience=9, at_most=100)
    waiting.detours = 0b1110  # of rank 1, which leaves: those below it send their next steps past it
    waiting.add(sealed(4, 0), 0.0)
    for rank in (0, 2, 3):
        waiting.add(sealed(5, rank), 0.0)
    assert not waiting.due(1.0, {1: 3})
    waiting.add(sealed(4, 2, 3), 1.0)
    assert whose(waiting.due(1.0, {1: 3})) == [(4, [0b0001, 0b1100]), (5, [0b0001, 0b0100, 0b1000])]
    waiting.add(sealed(6, 0), 2.0)
    waiting.add(sealed(7, 2), 2.0)
    waiting.detours = 0  # it has left, and had no more
    assert whose(waiting.due(2.0, {1: 3, 3: 5})) == [(6, [0b0001])]


def test_patience_ends():
    waiting = Waiting(0b11, patience=9, at_most=100)
    waiting.add(sealed(4, 0), 0.0)
    assert not waiting.due(9.0, {}) and whose(waiting.due(9.1, {})) == [(4, [1])]


def test_the_oldest_steps_go_on_where_too_much_is_held():
    waiting = Waiting(0b11, patience=9, at_most=100)
    for step in range(5):
        waiting.add(sealed(step, 0, size=30), 0.0)
    assert [step for step, _ in whose(waiting.due(0.0, {}))] == [0, 1]
    assert waiting.held == 90


def test_a_part_that_has_a_rank_again_is_refused():
    waiting = Waiting(0b11, patience=9, at_most=100)
    assert waiting.add(sealed(4, 1), 0.0) and not waiting.add(sealed(4, 1), 0.0)
