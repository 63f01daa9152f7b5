"""Names that are read together: what one of them leaves open, the others tell."""

import re

import pytest

from tandv.checkpoints.parsed_names import parsed_names


def kinds(*names):
    return [[(one.kind, one.value) for one in name.tokens] for name in parsed_names(names)[0]]


def test_a_large_number_is_a_time_unless_all_are_round():
    assert kinds("m_1714521600", "m_1714522000") == [[("date", "1714521600")], [("date", "1714522000")]]
    assert kinds("m_1500000000", "m_1600000000") == [[("number", 1_500_000_000)], [("number", 1_600_000_000)]]


def test_a_version_is_a_number_only_where_nothing_else_differs():
    assert kinds("v1", "v2") == [[("number", 1)], [("number", 2)]]
    assert kinds("v1_step5", "v2_step5")[1] == [("run", 2), ("counter", 5)]


@pytest.mark.parametrize(("pattern", "value"), [(r"step=([\d.]+)", 2.5), (r"=(\d)", 2)])
def test_a_pattern_finds_the_step(pattern, value):
    [name], _ = parsed_names(["step=2.5.pt"], re.compile(pattern))
    assert name.tokens[0].value == value
