"""The rule for checkpoints: what is wrong with one is said where tracking begins."""

import jax.numpy as jnp
import pytest
from torch import nn

from tandv.track import SaveRule
from tandv.track import jax as tracking_jax
from tandv.track import torch as tracking
from tandv.track.common.save_rule import in_bytes


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (SaveRule(), "it says neither every= nor on=, so nothing would be saved"),
        (SaveRule(every=0, before=-1), "every=0 must be a whole number, 1 or more"),
        (SaveRule(every=1, at_most_bytes="many"), "at_most_bytes='many' must be a number of bytes"),
        (SaveRule(on="loss"), "on='l' must be jumps_of('loss')"),  # type: ignore[arg-type]
        (500, "save=500 must be a SaveRule"),
    ],
)
def test_a_wrong_rule_is_refused_at_the_door(rule, words):
    with pytest.raises(ValueError) as error:
        tracking.track(nn.Linear(1, 1), save=rule)
    assert words in str(error.value)
    with pytest.raises(ValueError, match="cannot track this run"):
        tracking_jax.track(model_state={"w": jnp.ones(1)}, save=rule)


def test_sizes_in_words():
    assert [in_bytes(size) for size in ("2 GB", "1.5MiB", 7, "10 kb")] == [2 * 10**9, 3 * 2**19, 7, 10**4]
