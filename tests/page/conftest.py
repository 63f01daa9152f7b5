"""What tests of the page share."""

import math
import threading

import pytest


@pytest.fixture(autouse=True)
def nothing_goes_on_after_a_test():
    """Wait for what a page finds out in threads: on a busy machine their warnings would be those of the next test."""
    yield
    for thread in threading.enumerate():
        if thread.name == "tandv answer":
            thread.join(600)


@pytest.fixture(autouse=True)
def no_listing_takes_long(monkeypatch):
    """A run whose files take long to list is looked at again later only: on a busy machine that may be any run."""
    monkeypatch.setattr("tandv.log._source._LONG", math.inf)
