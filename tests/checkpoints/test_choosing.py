"""Which group is measured of several."""

import pytest

from tandv.checkpoints import SeveralGroups, UnknownName
from tandv.checkpoints.choosing import chosen, is_average, left_out
from tandv.checkpoints.grouping import grouped


def groups_of(text):
    names = text.split()
    return grouped(names)[0], names


@pytest.mark.parametrize(
    "name", ["ema_0.9999_*", "model-ema-*", "EMA*", "swa_*", "averaged_*", "target_net_*", "teacher*"]
)
def test_averages_and_copies(name):
    assert is_average(name)


@pytest.mark.parametrize("name", ["model*", "schema_*", "cinema*", "emathem_*"])
def test_words_that_only_hold_such_letters_are_none(name):
    assert not is_average(name)


@pytest.mark.parametrize(
    ("names", "wanted", "measured"),
    [
        ("a_1 a_2", None, ["a_*"]),
        ("ema_1 ema_2", None, ["ema_*"]),
        ("model_1 ema_1 swa_1", None, ["model_*"]),
        ("model_1 ema_1 swa_1", "swa", ["swa_*"]),
        ("a_1 b_2 c_2", "[ab]*", ["a_*", "b_*"]),
        ("net_1 net_b_1", "net_*", ["net_*"]),  # the whole name, before it is read as a glob
    ],
)
def test_what_is_measured(names, wanted, measured):
    assert [one.name for one in chosen(groups_of(names)[0], wanted, "here")] == measured


@pytest.mark.parametrize(
    ("names", "wanted", "error", "words"),
    [
        ("a_1 b_1", None, SeveralGroups, r"Give group='a_\*' .--group. for one of them, include="),
        ("a_1 b_2", None, SeveralGroups, r"for one of them or group='\*' for all together"),
        ("ema_0.9_1 ema_0.99_1", None, SeveralGroups, r"ema_0.9_\* .1 file, step 1., ema_0.99_\*"),
        ("a_1 b_1", "*", SeveralGroups, r"fits groups with equal steps: a_\* .1 file, step 1., b_\*"),
        ("net_a_1 net_b_2", "net", SeveralGroups, r"fits net_a_\* .*; give the whole name of one"),
        ("a_1 b_1", "c", UnknownName, "no group 'c' in here"),
    ],
)
def test_what_cannot_be_chosen(names, wanted, error, words):
    with pytest.raises(error, match=words):
        chosen(groups_of(names)[0], wanted, "here")


def test_each_file_that_is_left_out_is_named():
    groups, names = groups_of("model_1 ema_20 ema_3")
    measured = next(one for one in groups if one.name == "model_*")
    assert [(one.kind, one.about) for one in left_out(groups, measured, names)] == [
        ("LeftOut", "ema_3"),
        ("LeftOut", "ema_20"),
    ]
