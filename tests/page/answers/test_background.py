"""What takes long is found out once, in a thread, and an older result serves meanwhile."""

import threading

from tandv.page.answers.background import Background


def patient():
    return Background(patience=None)


def test_a_result_is_made_once():
    work, made = patient(), []
    for _ in range(3):
        assert work.result("key", 1, lambda: made.append(1) or len(made)) == (1, True)
    assert made == [1]


def test_another_key_and_another_version_are_made_anew():
    work = patient()
    assert work.result("a", 1, lambda: "a1") == ("a1", True)
    assert work.result("b", 1, lambda: "b1") == ("b1", True)
    assert work.result("a", 2, lambda: "a2") == ("a2", True)


def test_what_it_raises_is_the_result():
    def fails():
        raise ValueError("no")

    error, ready = patient().result("key", 1, fails)
    assert isinstance(error, ValueError) and str(error) == "no" and ready


def test_nobody_waits_for_long_and_the_last_result_serves_meanwhile():
    work, go, began = Background(patience=0.01), threading.Event(), threading.Event()

    def waits():
        began.set()
        go.wait(600)
        return "new"

    assert work.result("key", 1, waits) == (None, False)
    assert began.wait(600)
    assert work.result("key", 1, lambda: "never asked") == (None, False)
    go.set()
    work.patience = None
    assert work.result("key", 1, waits) == ("new", True)
    work.patience = 0.01
    go.clear()
    result, ready = work.result("key", 2, waits)
    assert (result, ready) == ("new", False)
    go.set()


def test_of_a_run_that_goes_on_it_is_not_made_anew_all_the_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("tandv.page.answers.background.time.monotonic", lambda: now[0])
    work = patient()

    def takes_a_second():
        now[0] += 1
        return now[0]

    assert work.result("key", 1, takes_a_second) == (1, True)
    work.patience = 0.01
    assert work.result("key", 2, takes_a_second) == (1, False)
    assert now == [1]  # it rests
    now[0] = 6
    work.result("key", 2, takes_a_second)
    work.patience = None
    assert work.result("key", 2, takes_a_second) == (7, True)
