"""The picture of a comparison takes a comparison."""

import pytest

from tandv import viz


def test_two_runs_are_compared_before_they_are_drawn():
    with pytest.raises(TypeError, match=r"found is what tandv.diff\(a, b\) returns, not str; compare two runs first"):
        viz.differences("tandv-runs/a")
