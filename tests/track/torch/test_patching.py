"""A function that is observed is as it was when the last tracker has ended, whichever threads they run in."""

from tandv.track.torch import _patching
from tandv.track.torch._patching import Observed
from tests.interleaved import Meanwhile


def test_trackers_that_start_at_once_in_two_threads_leave_the_function_as_it_was(monkeypatch):
    heard = []
    observed = Observed("call")

    def mine(*given):
        heard.append("mine")

    def others(*given):
        heard.append("others")

    def call(one):
        return one

    class Owner:
        @property
        def call(self):
            meanwhile.now()
            return self.now

        @call.setter
        def call(self, function):
            self.now = function

    owner = Owner()
    owner.now = call
    meanwhile = Meanwhile(_patching._replacing, lambda: observed.join(owner, others))
    monkeypatch.setattr(_patching, "_replacing", meanwhile)
    observed.join(owner, mine)
    meanwhile.join()
    assert (owner.now(3), sorted(heard)) == (3, ["mine", "others"])
    observed.leave(mine)
    observed.leave(others)
    assert owner.now is call
