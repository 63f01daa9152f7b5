"""Public functions that are given something else than what they take say so, and do not fail somewhere inside.

Those of `tandv.viz` are in tests/viz/test_given_something_else.py.
"""

import inspect
import warnings
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

from tandv.log.example import example_log

ROOMS = (
    "tandv.curves",
    "tandv.logframe",
    "tandv.raster",
    "tandv.files",
    "tandv.analysis.transitions",
    "tandv.exports",
    "tandv.checkpoints",
)
FUNCTIONS = {
    f"{room}.{name}": function
    for room in ROOMS
    for name in import_module(room).__all__
    if inspect.isfunction(function := getattr(import_module(room), name))
}
GIVEN = {
    "None": None,
    "a number": 3,
    "a list": [],
    "a list of lists": [[1, 2], [3]],
    "a dict": {},
    "a log": example_log(layers=2, steps=2),
    "curves": pd.DataFrame({"loss": [2.0, 1.0]}),
    "an empty table": pd.DataFrame(),
    "an array": np.ones(3),
    "a text": "nothing of this name",
    "an object": object(),
}
INSIDE = (AttributeError, IndexError, KeyError, AssertionError, ZeroDivisionError, UnboundLocalError)


@pytest.mark.parametrize("given", GIVEN)
def test_nothing_fails_inside(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {"tandv.curves.losses_of", "tandv.logframe.concat", "tandv.files.read_csv"} <= set(FUNCTIONS)
    inside = {}
    for name, function in FUNCTIONS.items():
        needed = [one for one in inspect.signature(function).parameters.values() if one.default is one.empty]
        named = [one for one in needed if one.kind is one.KEYWORD_ONLY]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                function(
                    *[GIVEN[given]] * (len(needed) - len(named)), **dict.fromkeys([one.name for one in named], None)
                )
        except INSIDE as error:
            inside[name] = repr(error)
        except Exception:  # in words, which other tests read
            pass
    assert inside == {}
