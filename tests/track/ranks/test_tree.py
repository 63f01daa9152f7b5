"""Ranks send up what they measure; those that are slow, dead or not there yet hold nobody up."""

import socket
import time

import pytest

from tandv.track.ranks.addresses import Address, Meeting
from tandv.track.ranks.link import Link
from tests.track.ranks.job import OUTPUT, SOON, job, until


@pytest.fixture(autouse=True)
def however_slow_this_machine_is(monkeypatch):
    """Ranks below one that has gone are waited for until they have come, and look for another until they have one."""
    monkeypatch.setattr("tandv.track.ranks._exchange._ORPHANED", SOON)
    monkeypatch.setattr("tandv.track.ranks.ascent._LONELY", SOON)


def test_all_ranks_are_in_each_step_and_their_rows_add_up():
    with job(7) as run:
        for step in range(3):
            run.give(step, range(7))
        assert run.got(3)
    assert run.who() == {step: list(range(7)) for step in range(3)}
    for part in run.steps:
        assert part.ids.tolist() == [OUTPUT] and part.pieces.tolist() == [7]
        assert part.rows["numel"].tolist() == [14] and part.rows["calls"].tolist() == [7]
        assert float(part.rows["sum"][0] * 2.0 ** part.rows["scale"][0]) == sum(range(7)) + sum(range(1, 8))


def test_names_go_up_once():
    with job(4) as run:
        for step in range(2):
            run.give(step, range(4))
        assert run.got(2)
        assert run.trees[0].merging.known.all.tensors == {OUTPUT: ("out", 0)}
        rows = run.trees[3].traffic.sent
        run.give(2, range(4))
        assert run.got(3)
        first, later = rows, run.trees[3].traffic.sent - rows
        assert later < first / 2


def test_a_step_of_a_slow_rank_goes_on_without_it_when_patience_is_over():
    with job(4, patience=0.0) as run:
        run.give(0, [0, 1, 2])
        assert run.got(1)
        assert 3 not in run.who()[0]


def test_a_rank_that_is_a_step_ahead_is_not_waited_for():
    with job(4) as run:
        run.give(0, [0, 1, 3])
        run.give(1, [0, 1, 2, 3])
        assert run.got(2)
    assert run.who() == {0: [0, 1, 3], 1: [0, 1, 2, 3]}
    assert [part.step for part in run.steps] == [0, 1]


def test_what_is_held_is_bounded_by_bytes():
    with job(2, at_most=20_000) as run:
        for step in range(200):
            run.give(step, [0])  # of some 200 bytes each; the other rank sends nothing
        tree = run.trees[0]
        assert until(lambda: tree._latest.get(0) == 199 and tree.merging.waiting.held <= 20_000)
        assert run.got(20)
    assert set(run.who()) == set(range(200))


def test_a_rank_that_dies_is_missing_and_those_below_it_go_on():
    with job(7) as run:
        assert run.trees[1].place.children == (2, 3)
        run.give(0, range(7))
        assert run.got(1)
        run.kill(1)
        assert until(lambda: not any(run.sends_to(rank, 1) for rank in (2, 3)))  # what is on its way is lost with it
        run.give(1, [0, 2, 3, 4, 5, 6])
        run.give(2, [0, 2, 3, 4, 5, 6])
        assert run.got(3)
        assert run.who()[2] == [0, 2, 3, 4, 5, 6]
        assert set(run.who()) == {0, 1, 2}


def test_a_rank_that_leaves_hands_over_those_below_it():
    with job(7, at_end=SOON) as run:  # it leaves when all below it have gone on, however long they take
        run.give(0, range(7))
        run.trees[1].end()
        assert until(lambda: run.trees[1]._stage == "waits")
        run.trees[1]._until = 0.0  # those below it do not end as well
        for step in (1, 2, 3):
            run.give(step, [0, 2, 3, 4, 5, 6])
        assert run.trees[1].join(SOON)
        run.give(4, [0, 2, 3, 4, 5, 6])
        assert run.got(5)
    assert run.who() == {0: list(range(7))} | {step: [0, 2, 3, 4, 5, 6] for step in (1, 2, 3, 4)}


def test_a_rank_may_come_late_even_one_that_others_are_below(monkeypatch):
    monkeypatch.setattr("tandv.track.ranks.ascent._GRACE", 0.05)
    with job(7, ranks=[0, 2, 3, 4, 5, 6]) as run:
        assert run.entered([0, 4, 5, 6])
        run.trees[0].say({"go": True}, keep=True)
        assert run.entered([2, 3])  # below rank 1, which is not there
        run.join([1])
        assert run.entered(range(7))
        run.give(0, range(7))
        assert run.got(1)
        assert until(lambda: {rank for rank, word in run.words if word == {"go": True}} == set(range(7)))
    assert run.who() == {0: list(range(7))}


def test_plans_of_all_ranks_come_together():
    with job(3, ranks=[0]) as run:
        run.join([1], plan="every=2")
        run.join([2])
        assert run.entered(range(3))
        assert run.trees[0].plans == {"every=1": 0b101, "every=2": 0b010}


def test_when_rank_0_ends_the_others_are_told():
    with job(5) as run:
        run.trees[0].end()
        assert run.trees[0].join(SOON)
        assert all(until(lambda tree=run.trees[rank]: "rank 0 tracks no longer" in tree.over) for rank in range(1, 5))


def test_rank_0_waits_at_its_end_for_steps_that_are_under_way():
    with job(2) as run:
        run.give(0, [0])
        run.trees[0].end()
        run.give(0, [1])
        assert run.trees[0].join(SOON)
    assert run.who() == {0: [0, 1]}


def test_who_has_not_the_token_is_refused():
    with job(2) as run:
        address = Meeting(run.store).find(0)
        assert address is not None
        for message in (
            (b"H", b'{"rank": 1, "proof": "guessed"}'),
            (b"H", b"[]"),
            (b"P", b"x" * 100),
            (b"H", b"x" * 5000),
        ):
            link = Link(socket.create_connection(address))
            link.put(*message)
            link.flush()
            link.sock.setblocking(True)
            link.sock.settimeout(SOON)
            try:
                answer = link.sock.recv(100)
            except ConnectionResetError:
                answer = b""
            assert answer == b""
            link.close()
        run.give(0, range(2))
        assert run.got(1)
        assert Address.of(str(address)) == address


def test_ranks_whose_rank_above_has_left_are_waited_for_until_they_have_come():
    with job(4) as run:
        exchange, (link,) = run.trees[0], [one for one in run.trees[0]._below() if one.rank == 1]
        below = link.below

        def leave():  # it has said that it leaves, and those below it have not connected yet
            found.append(exchange._expected(time.monotonic()))
            exchange.merging.leave({1: 0})
            found.append(exchange._expected(time.monotonic()))
            link.moves = True
            exchange._lost(link)
            exchange._connections.drop(link)
            found.append(exchange._expected(time.monotonic()))

        found = []
        exchange._do(leave)
        assert until(lambda: len(found) == 3)
    assert below == 0b0110
    assert [expected & below for expected, _ in found] == [below] * 3
    assert [detours for _, detours in found] == [0, below, 0], "while it is there it may have more of them"


def test_what_was_on_its_way_through_a_rank_that_dies_is_sent_again_and_counts_once():
    with job(7) as run:
        run.give(0, range(7))
        assert run.got(1)
        run.give(1, [0, 2, 3, 4, 5, 6])  # rank 1 has those of 2 and 3, and waits for its own
        waiting = run.trees[1].merging.waiting
        assert until(lambda: waiting.has_some_of(1, 1 << 2) and waiting.has_some_of(1, 1 << 3))
        run.kill(1)
        assert run.got(2)
        run.give(2, [0, 2, 3, 4, 5, 6])
        assert run.got(3)
    assert run.who() == {0: list(range(7)), 1: [0, 2, 3, 4, 5, 6], 2: [0, 2, 3, 4, 5, 6]}
    assert [part.pieces.tolist() for part in run.steps] == [[7], [6], [6]]
    assert [part.rows["numel"].tolist() for part in run.steps] == [[14], [12], [12]]
