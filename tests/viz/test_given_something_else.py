"""Plots that are given something else than what they draw say so, and do not fail somewhere inside."""

import inspect

import numpy as np
import pytest

from tandv import viz
from tandv.log.example import example_log

PLOTS = [name for name in dir(viz) if inspect.isfunction(getattr(viz, name)) and not name.startswith("_")]
LOG = example_log(layers=2, steps=2)
GIVEN = {
    "None": None,
    "a number": 3,
    "a list": [],
    "a dict": {},
    "a log": LOG,
    "an array": np.ones(3),
    "an object": object(),
}


@pytest.mark.parametrize("given", GIVEN)
def test_nothing_fails_inside(given):
    assert "format_map" in PLOTS
    inside = {}
    for name in PLOTS:
        plot = getattr(viz, name)
        needed = [one for one in inspect.signature(plot).parameters.values() if one.default is one.empty]
        try:
            plot(*[GIVEN[given], *["rm2"] * (sum(one.kind != one.VAR_KEYWORD for one in needed) - 1)])
        except (AttributeError, IndexError) as error:
            inside[name] = repr(error)
        except Exception:  # in words, which other tests read
            pass
    assert inside == {}
