"""The themes in which plots are tried."""

from collections.abc import Iterable

import pytest


def in_turn(plots: Iterable[str]) -> list:
    """Give each plot in the light and the dark theme, which differ in colours only: in turn, the other is slow."""
    return [
        pytest.param(name, theme, marks=[pytest.mark.slow] if (i + j) % 2 else [])
        for i, name in enumerate(plots)
        for j, theme in enumerate(("light", "dark"))
    ]
