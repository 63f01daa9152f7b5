"""The first rank hands steps on to its writer as they come, and knows which are still under way."""

from types import SimpleNamespace

from tandv.track.torch._rank_writers import Leader


def test_a_step_is_under_way_until_the_writer_has_it():
    """The thread of training waits while that of the tree hands a step on: it goes on when the writer has the step."""
    part, over = SimpleNamespace(step=3, who=0b11, rows=SimpleNamespace(nbytes=8)), []
    tree = SimpleNamespace(wait=lambda ready, seconds: over.append(ready()), merging=SimpleNamespace(gone={}))
    measurements = SimpleNamespace(ranks=SimpleNamespace(size=2, tree=tree), taken=3, finished={})
    leader = Leader(measurements, in_background=True, stops=False)
    writer = SimpleNamespace(has_room=True, wait=lambda: None, append=lambda make, size: leader.wait())
    leader.begin(writer)
    leader.append(list, 8)
    leader.wait()
    leader.finished(part)  # within which the writer takes the step
    leader.wait()
    assert over == [False, False, True]
