import pytest

from tandv.analysis.transitions import Evidence, Transition, discoveries


def one(quantity, p):
    return Transition(quantity, 1, 2, 3, 0.0, 1.0, Evidence(p=p))


def test_the_smallest_of_each_curve_are_compared_with_a_line():
    found = [one("a", 0.001), one("a", 0.04), one("b", 0.009), one("c", 0.05)]
    # of 10 curves: the lines are 0.005, 0.01, 0.015; the third is above it
    assert [t.evidence.p for t in discoveries(found, 10)] == [0.001, 0.009]
    assert [t.evidence.p for t in discoveries(found, 1)] == [0.001, 0.04, 0.009, 0.05]
    assert discoveries(found, 1000) == []
    assert [t.quantity for t in discoveries(found, 10, share=0.01)] == ["a"]


def test_a_transition_without_a_p_value_stays():
    found = [one("a", float("nan")), one("b", 0.5)]
    assert [t.quantity for t in discoveries(found, 10)] == ["a"]
    assert discoveries([], 5) == []


@pytest.mark.parametrize("share", [-0.1, 2, float("nan")])
def test_a_share_is_0_to_1(share):
    with pytest.raises(ValueError, match="0 to 1"):
        discoveries([one("a", 0.001)], 10, share=share)
