"""What the tests of logs share."""

import time
import types

import pytest


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The clock that tells when files are looked for: one that stands still until a test lets time pass."""
    now = types.SimpleNamespace(seconds=100.0)
    shown = types.SimpleNamespace(monotonic=lambda: now.seconds, monotonic_ns=time.monotonic_ns)
    monkeypatch.setattr("tandv.log._source.time", shown)
    return now
