"""What both trackers take: checked once, with the same defaults at both doors."""

import inspect
import re
from dataclasses import fields

import numpy as np
import pytest

from tandv.track.jax import track as track_jax
from tandv.track.settings import Settings, every_problems, refuse, truth_problems
from tandv.track.torch import track as track_torch

NAMES = ["encoder", "encoder.0", "decoder"]


def selected(**patterns):
    return list(filter(Settings(**patterns).selects, NAMES))


@pytest.mark.parametrize("track", [track_torch, track_jax])
def test_both_doors_take_every_setting_with_its_default(track):
    taken = inspect.signature(track).parameters
    differ = {field.name for field in fields(Settings) if taken[field.name].default != field.default}
    assert differ == (set() if track is track_torch else {"track_gradients"})


def test_what_is_asked_for_by_default_has_no_problems():
    assert Settings().problems(NAMES) == []


def test_patterns_are_searched_in_dotted_names():
    assert selected() == NAMES
    assert selected(include="coder") == NAMES
    assert selected(include=r"^encoder", exclude=re.compile(r"\.")) == ["encoder"]


@pytest.mark.parametrize("wrong", ["yes", 1, None, np.True_, object()])
def test_a_truth_is_true_or_false(wrong):
    (problem,) = Settings(track_weights=wrong).problems()
    assert problem.startswith("track_weights=") and "must be True or False" in problem


def test_an_object_given_for_a_truth_is_named_by_its_class_alone():
    class Adam:
        pass

    assert truth_problems({"track_gradients": Adam()}) == [
        "track_gradients=<Adam> must be True or False; give other arguments by name"
    ]


def test_two_truths_may_be_left_open():
    assert Settings(track_gradients=None, async_offload=None).problems() == []
    assert len(Settings(track_gradients="", async_offload=0).problems()) == 2


@pytest.mark.parametrize(
    "given",
    [
        {"every": 0},
        {"every": 2.0},
        {"every": True},
        {"offload_inc": 0},
        {"offload_inc": True},
        {"offload_type": ".h5"},
        {"offload_type": ["pkl"]},
        {"init_step": -1},
        {"init_step": False},
        {"name": 3},
        {"path": 3},
        {"exponents": (3, 1)},
        {"exponents": 5},
        {"budget": "much"},
        {"save": 500},
        {"tensorboard": 3},
        {"insight": "yes"},
        {"stash_value": 3},
        {"include": "("},
        {"exclude": b"bytes"},
        {"include": "attention"},
    ],
)
def test_what_is_wrong_is_named_once_by_its_argument(given):
    (problem,) = Settings(**given).problems(NAMES)
    assert next(iter(given)) in problem


def test_settings_that_exclude_each_other():
    assert "give either budget or every" in Settings(budget=0.1, every=2).problems()[0]
    assert "leave track_gradients=True" in Settings(insight=True, track_gradients=False).problems()[0]
    assert "together leave no module or parameter" in Settings(include="de", exclude="de").problems(["de"])[0]


def test_without_names_a_pattern_need_not_match():
    assert Settings(include="attention").problems() == []
    assert "is not a regular expression" in Settings(include="(").problems()[0]


def test_all_problems_are_listed_at_once():
    problems = Settings(every=0, offload_inc=0, track_weights=3).problems() + every_problems("every_trees", -1)
    with pytest.raises(ValueError, match="cannot track this run") as caught:
        refuse(problems)
    assert len(str(caught.value).splitlines()) == 1 + 4
    refuse([])
