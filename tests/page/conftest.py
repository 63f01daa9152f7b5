"""What tests of the page share."""

import threading

import pytest


@pytest.fixture(autouse=True)
def nothing_goes_on_after_a_test():
    """Wait for what a page finds out in threads: on a busy machine their warnings would be those of the next test."""
    yield
    for thread in threading.enumerate():
        if thread.name == "tandv answer":
            thread.join(60)
