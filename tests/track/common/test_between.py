"""The check of steps that are not recorded."""

from tandv.track.common.between import BetweenSteps, Checked
from tandv.track.common.numbers import known

NAN, INF = float("nan"), float("inf")


def step(between, number, **groups):
    for group, size in groups.items():
        between.add(group, Checked(known(size)))
    between.end_of_step(number)


def not_finite(between):
    return between.facts()["between_steps"]["not_finite"]


def test_finite_steps_want_nothing():
    between = BetweenSteps()
    for number in range(3):
        step(between, number, gradients=2.0, loss=1.0)
    assert between.facts() == {"between_steps": {"checked": 3, "groups": ["gradients", "loss"], "not_finite": []}}
    assert not between.wants_next


def test_the_first_of_several_bad_steps_makes_the_next_one_recorded():
    between = BetweenSteps()
    step(between, 1, gradients=2.0)
    step(between, 2, gradients=NAN, loss=INF)
    assert between.wants_next
    between.wants_next = False
    step(between, 4, gradients=NAN)
    assert not between.wants_next
    step(between, 5, gradients=1.0)
    step(between, 6, gradients=INF)
    assert between.wants_next
    assert [one["step"] for one in not_finite(between)] == [2, 4, 6]
    assert not_finite(between)[0] == {"step": 2, "gradients": {"state": "nan"}, "loss": {"state": "inf"}}


def test_names_are_asked_for_only_where_a_group_is_bad():
    asked = []

    def sizes():
        asked.append(1)
        return [1.0, INF, NAN]

    between = BetweenSteps()
    between.add("gradients", Checked(known(3.0), ["a", "b", "c"], sizes))
    between.end_of_step(0)
    assert asked == []
    between.add("gradients", Checked(known(NAN), ["a", "b", "c"], sizes))
    between.add("gradients", Checked(known(1.0), ["d"], lambda: [1.0]))
    between.end_of_step(1)
    assert not_finite(between) == [{"step": 1, "gradients": {"state": "nan", "names": ["b", "c"], "of": 4}}]


def test_numbers_are_read_when_they_have_arrived_in_the_order_of_the_steps():
    arrived = []
    between = BetweenSteps()
    between.add("gradients", Checked(lambda wait: NAN if wait or arrived else None))
    between.end_of_step(0)
    step(between, 1, gradients=1.0)
    assert between.facts() == {}
    arrived.append(1)
    between.read()
    assert between.facts()["between_steps"]["checked"] == 2


def test_the_end_waits():
    between = BetweenSteps()
    between.add("loss", Checked(lambda wait: NAN if wait else None))
    between.end_of_step(0)
    between.read(wait=True)
    assert not_finite(between) == [{"step": 0, "loss": {"state": "nan"}}]


def test_numbers_that_never_arrive_are_given_up():
    between = BetweenSteps()
    for number in range(100):
        between.add("loss", Checked(lambda wait: None))
        between.end_of_step(number)
    step(between, 100, loss=1.0)
    between._waiting = type(between._waiting)([between._waiting[-1]])
    between.read()
    assert between.facts()["between_steps"]["given_up"] == 37


def test_infinities_of_the_output_alone_may_be_a_mask_and_nan_is_none():
    between = BetweenSteps()
    step(between, 0, output=INF)
    assert not_finite(between) == []
    step(between, 1, output=NAN)
    assert [one["step"] for one in not_finite(between)] == [1]


def test_a_step_that_is_recorded_is_not_checked():
    between = BetweenSteps()
    between.add("loss", Checked(known(NAN)))
    between.forget()
    between.end_of_step(0)
    assert between.facts() == {}


def test_only_the_loss_among_the_numbers_of_the_loop_is_looked_at():
    between = BetweenSteps()
    between.add_loss({"lr": known(NAN), "val_loss": known(NAN), "loss": known(1.0)})
    between.end_of_step(0)
    between.add_loss({"lr": known(NAN)})
    between.end_of_step(1)
    assert between.facts()["between_steps"] == {"checked": 1, "groups": ["loss"], "not_finite": []}
