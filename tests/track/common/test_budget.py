"""A budget for tracking, kept on a clock that the tests turn: no test here depends on how fast this machine is."""

import json
import random
import re
import threading

import pandas as pd
import pytest
import torch
from torch import nn

from tandv.track.common import read_pickle
from tandv.track.common import tracker as tracker_module
from tandv.track.common.budget import Budget, share
from tandv.track.torch import track


class Loop:
    """Training whose steps take `plain` seconds, and `cost` more where they are recorded.

    Of the cost, `after` falls into the step after; every tenth recorded step pays `flush` on top. What is not
    `hidden` is time spent inside the tracker.
    """

    def __init__(self, budget, plain=1.0, cost=0.2, after=0.0, flush=0.0, noise=0.0, hidden=True):
        self.plain, self.cost, self.after, self.flush, self.noise, self.hidden = (
            plain,
            cost,
            after,
            flush,
            noise,
            hidden,
        )
        self.now = self.spent = self.bare = self.late = 0.0
        self.recorded, self.intervals = [], []
        self.random = random.Random(0)
        self.budget = Budget(budget, clock=lambda: self.now)
        self.budget.begin()

    def run(self, steps):
        for step in range(len(self.intervals), len(self.intervals) + steps):
            wanted = self.budget.wants(step)
            bare = self.plain * max(0.1, self.random.gauss(1, self.noise))
            self.now += bare
            self.bare += bare
            self.track(self.late)
            self.late = 0.0
            if wanted:
                work = self.cost - self.after + self.flush * (len(self.recorded) % 10 == 9)
                (self.track if self.hidden else self.budget.timed(self.track))(work)
                self.late = self.after
                self.recorded.append(step)
            self.budget.step_ended(wanted)
            self.intervals.append(self.budget.every)
        return self

    def track(self, seconds):
        self.now += seconds
        self.spent += seconds

    @property
    def changes(self):
        return sum(one != other for one, other in zip(self.intervals, self.intervals[1:], strict=False))

    @property
    def achieved(self):
        return self.spent / self.bare


@pytest.mark.parametrize(
    ("cost", "every"),
    [(0.01, 1), (0.03, 2), (0.2, 16), (0.6, 32), (1.27, 64), (10.0, 512)],  # the next power of two from cost ÷ 2 %
)
def test_the_interval_is_the_shortest_power_of_two_that_keeps_the_budget(cost, every):
    loop = Loop("2%", cost=cost).run(5000)
    assert loop.budget.every == every
    assert loop.achieved <= 0.02
    assert loop.budget.spent.achieved == pytest.approx(loop.achieved, rel=1e-6)
    assert loop.budget.spent.cost == pytest.approx(cost)
    assert loop.budget.spent.plain == pytest.approx(1.0)


def test_until_costs_are_known_every_fourth_step_is_recorded_and_paid_for_afterwards():
    loop = Loop("2%", cost=0.2).run(1000)
    # Five records of 0.2 s are 1 s too much: at 2 % it takes 50 steps until they and one more are paid for.
    assert loop.recorded[:8] == [0, 4, 8, 12, 16, 64, 80, 96]
    assert set(loop.intervals[:17]) == {4} and set(loop.intervals[17:]) == {16}


def test_an_interval_is_kept_when_nothing_changes():
    assert Loop("2%", cost=0.2, noise=0.05).run(5000).changes <= 1


def test_noise_does_not_break_the_budget():
    for noise in (0.05, 0.3):
        assert Loop("2%", cost=0.2, noise=noise, hidden=False).run(5000).achieved <= 0.02


def test_costs_that_rise_lengthen_the_interval_and_costs_that_fall_shorten_it():
    loop = Loop("2%", cost=0.2).run(1000)
    loop.cost = 0.8
    assert loop.run(4000).budget.every == 64
    assert loop.achieved <= 0.02
    loop.cost = 0.1
    assert loop.run(8000).budget.every == 8
    assert loop.achieved <= 0.02


def test_what_a_device_does_in_the_step_after_counts():
    loop = Loop("2%", cost=0.2, after=0.15).run(2000)
    assert loop.budget.spent.cost == pytest.approx(0.2)
    assert loop.budget.every == 16


def test_what_only_some_steps_pay_counts():
    loop = Loop("2%", cost=0.2, flush=1.0, hidden=False).run(10_000)  # 0.3 s each, on average
    assert loop.budget.every in (16, 32)
    assert loop.achieved <= 0.02
    assert loop.budget.spent.achieved == pytest.approx(loop.achieved, rel=0.1)


def test_what_the_tracker_has_spent_counts_even_where_steps_take_no_longer():
    now = 0.0
    beside = 0.0
    budget = Budget("2%", clock=lambda: now, beside=lambda: beside)
    budget.begin()
    for step in range(200):
        wanted = budget.wants(step)
        now += 1.0
        beside += 0.3 * wanted  # seconds of another thread
        budget.step_ended(wanted)
    assert budget.spent.cost == pytest.approx(0.3)
    assert budget.every == 16


def test_where_nearly_all_is_recorded_some_steps_are_left_to_compare_with():
    loop = Loop("5%", cost=0.01).run(1000)
    left_out = set(range(128, 192)) - set(loop.recorded)
    assert loop.budget.every == 1
    assert left_out == {189, 190, 191}


def test_compiling_is_not_a_cost():
    loop = Loop("2%", cost=100.0).run(5)  # both kinds of step compile: the first two recorded ones, and others
    loop.cost = 0.2
    assert loop.run(995).budget.spent.cost == pytest.approx(0.2)


def test_what_is_done_when_training_is_over_counts():
    loop = Loop("2%", cost=0.2).run(1000)
    before = loop.budget.spent.achieved
    loop.budget.exit_begins()
    loop.now += 30.0  # the log is written
    assert loop.budget.spent.achieved == pytest.approx(before + 30.0 / loop.bare)
    assert "budget 2 % was not kept yet" in loop.budget.summary()
    assert loop.budget.facts()["achieved"] == round(loop.budget.spent.achieved, 6)


def test_time_within_time_counts_once():
    now = 0.0
    budget = Budget(0.5, clock=lambda: now)

    def work():
        nonlocal now
        now += 1.0

    outer = budget.timed(lambda: budget.timed(work)() or work())
    budget.begin()
    for _ in range(4):
        outer()
        budget.step_ended(True)
    assert budget._own.kept[-1] == 2.0


def test_what_is_said():
    loop = Loop("2%", plain=0.5, cost=0.1).run(1000)
    said = loop.budget.summary()
    assert said == (
        "budget 2 % was kept: every 16th step was recorded at the end, "
        f"{len(loop.recorded)} of 1,000 in all, which made training {100 * loop.achieved:.3g} % longer "
        "(a step takes 500 ms, recording it 100 ms)"
    )
    assert loop.budget.facts() == {
        "wanted": 0.02,
        "every": 16,
        "achieved": round(loop.achieved, 6),
        "seconds_of_a_step": 0.5,
        "seconds_for_recording_a_step": 0.1,
    }
    assert "budget 2 % was not kept yet" in Loop("2%").run(20).budget.summary()
    assert Loop("2%").run(8).budget.summary() == (
        "budget 2 %: 8 steps were too few to know what tracking costs; 2 were recorded"
    )


@pytest.mark.parametrize(("budget", "found"), [("2%", 0.02), (" 0.5 % ", 0.005), (".5%", 0.005), (0.1, 0.1), (1, 1.0)])
def test_how_a_budget_is_written(budget, found):
    assert share(budget) == found


@pytest.mark.parametrize("budget", ["2", "two", "-2%", "0%", "101%", 2, -0.1, 0, True, float("nan"), [0.1], ""])
def test_a_budget_that_cannot_be_understood_says_what_can(budget):
    with pytest.raises(ValueError, match=re.escape(f"budget={budget!r} must say")) as error:
        share(budget)
    assert '"2%"' in str(error.value) and "0.02" in str(error.value)


def train(tracker, model, steps):
    for _ in range(steps):
        model(torch.ones(1, 2)).sum().backward()
        tracker.step()


@pytest.fixture
def turned(monkeypatch):
    """Let trackers use a clock on which each look takes a second: a recorded step has more of them."""
    now = 0.0

    def clock():
        nonlocal now
        now += 1.0
        return now

    monkeypatch.setattr(tracker_module, "Budget", lambda budget, beside: Budget(budget, clock))


def test_a_tracker_keeps_to_its_budget_and_says_so(turned, capsys):
    model = nn.Linear(2, 2)
    with track(model, budget="50%", offload_inc=2) as tracker:
        train(tracker, model, 200)
    about = json.loads((tracker.path / "run.json").read_text())["budget"]
    steps = sorted(set(read_pickle(tracker.out_path)["metadata"]["step"]))
    assert about["wanted"] == 0.5
    assert tracker._budget._costs / tracker._budget._time < about["achieved"] <= 0.5  # the end counts, too
    assert about["every"] > 4
    assert steps[:2] == [0, 4] and all(step % about["every"] == 0 for step in steps[10:])
    assert f"tandv: budget 50 % was kept: every {about['every']}th step" in capsys.readouterr().err


def test_a_budget_leaves_the_numbers_as_they_are(turned):
    logs = []
    for arguments in ({"budget": "50%"}, {"every": 4}):
        torch.manual_seed(0)
        model = nn.Linear(2, 2)
        with track(model, **arguments) as tracker:
            train(tracker, model, 10)
        logs.append(read_pickle(tracker.out_path))
    pd.testing.assert_frame_equal(*logs)
    assert set(logs[0]["metadata"]["step"]) == {0, 4, 8}


def test_budget_and_every_exclude_each_other():
    with pytest.raises(
        ValueError, match="budget='2%' chooses the interval itself; give either budget or every, not both"
    ):
        track(nn.Linear(2, 2), budget="2%", every=3)


def test_a_wrong_budget_is_named_with_everything_else_that_is_wrong():
    with pytest.raises(ValueError) as error:
        track(nn.Linear(2, 2), budget="much", offload_inc=0)
    assert "budget='much' must say" in str(error.value) and "offload_inc=0 must" in str(error.value)


def test_the_time_of_hooks_in_another_thread_counts_as_well():
    now, budget, begun, may_end = [0.0], Budget("2%", clock=lambda: now[0]), threading.Event(), threading.Event()

    def hook():
        begun.set()
        may_end.wait(60)

    other = threading.Thread(target=budget.timed(hook))

    def mine():
        other.start()
        begun.wait(60)  # at 0, as this one
        now[0] = 2.0

    budget.timed(mine)()  # 2 s
    now[0] = 3.0
    may_end.set()
    other.join()  # 3 s
    budget.timed(lambda: now.__setitem__(0, 4.0))()  # 1 s
    assert budget._in_step == 6.0


def test_the_time_of_a_hook_that_ends_while_another_one_does_counts_as_well():
    now, ended = [0.0], []

    def clock():
        if now[0] == 2.0 and not ended:  # as the hook of this thread ends
            ended.append(threading.Thread(target=budget.timed(lambda: now.__setitem__(0, 3.0))))
            ended[0].start()
            ended[0].join()
            return 2.0
        return now[0]

    budget = Budget("2%", clock=clock)
    budget.timed(lambda: now.__setitem__(0, 2.0))()
    assert budget._in_step == 3.0
