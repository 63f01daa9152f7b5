"""Steps wait for the next flush, so that the writer's thread summarises them in a row."""

import pytest

from tandv.track.common import _steps, read_pickle
from tandv.track.common.writer import Writer

torch = pytest.importorskip("torch")

from tandv.track.torch import track  # noqa: E402


@pytest.fixture
def given(monkeypatch):
    """Return a list of the steps in which the writer is given rows, which a test counts up in `now`."""
    given, append = [], Writer.append

    def noted(self, make, size):
        given.append(now[0])
        append(self, make, size)

    now = [0]
    monkeypatch.setattr(Writer, "append", noted)
    return given, now


def _train(now, steps=7, **arguments):
    model = torch.nn.Linear(2, 1)
    with track(model, **arguments) as tracker:
        for now[0] in range(steps):
            model(torch.ones(1, 2)).sum().backward()
            tracker.step()
    log = read_pickle(tracker.out_path)
    return log["metadata", "step"].value_counts().to_dict()


def test_steps_wait_for_the_flush_and_the_last_ones_for_the_end(given, tmp_path):
    steps, now = given
    assert _train(now, offload_inc=3, path=tmp_path) == dict.fromkeys(range(7), 6)  # tensors
    assert steps == [2, 2, 2, 5, 5, 5, 6]


def test_no_more_than_a_bound_waits(given, tmp_path, monkeypatch):
    monkeypatch.setattr(_steps, "_HELD", 0)
    steps, now = given
    assert len(_train(now, offload_inc=3, path=tmp_path)) == 7
    assert steps == list(range(7))


def test_rules_see_each_step_at_once(given, tmp_path):
    steps, now = given
    assert len(_train(now, offload_inc=3, path=tmp_path, on_finding="warn")) == 7
    assert steps == list(range(7))
