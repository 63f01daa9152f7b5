"""Tasks of a background thread are done one after the other, whatever comes between."""

import threading

from tandv.track.common.background import Background


def test_a_task_given_while_python_exits_waits_for_those_before_it(monkeypatch):
    background, may_go, done = Background(at_most=100), threading.Event(), []
    background.give(lambda: (may_go.wait(60), done.append("first")))
    pool, shutdown = background._pool, background._pool.shutdown
    shutdown(wait=False)  # as Python's exit begins, with the first task still running

    def let_go(wait):
        may_go.set()
        shutdown(wait=wait)

    monkeypatch.setattr(pool, "shutdown", let_go)
    background.give(lambda: done.append("second"))
    may_go.set()
    background.close()
    assert done == ["first", "second"]


def test_a_task_that_gives_another_while_python_exits_does_not_wait_for_itself():
    background, may_go, done = Background(at_most=100), threading.Event(), []
    background.give(lambda: (may_go.wait(60), background.give(lambda: done.append("inner")), done.append("outer")))
    background._pool.shutdown(wait=False)
    may_go.set()
    background.close()
    assert done == ["inner", "outer"]


def test_the_first_error_is_told_once():
    background = Background(at_most=100)
    for word in ("one", "other"):
        background.give(lambda word=word: [][word])
    assert isinstance(background.close(), TypeError)
    assert background.take_error() is None
