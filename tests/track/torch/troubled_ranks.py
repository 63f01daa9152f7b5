"""What ranks do in the tests of trouble; each in a process of its own. Only the tracker binds them: nothing is trained.

They agree on who goes first by files of a folder, so that no test depends on how fast a machine is.
"""

import contextlib
import json
import os
import re
import resource
import signal
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.distributed as dist

import tandv.track.ranks._exchange as exchange
import tandv.track.ranks.ascent as ascent
import tandv.track.torch._ranks as ranks_of_torch
from tandv.track.torch import track
from tests.track.torch.ranks import batch, net


def signal_to(folder: Path, name: str) -> None:
    (folder / name).touch()


def wait_for(folder: Path, name: str) -> None:
    until((folder / name).exists)


def until(so: Callable[[], bool]) -> None:
    for _ in range(12_000):
        if so():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")


class Loop:
    """Steps of a model of which every rank has a copy and a batch of its own."""

    def __init__(self, rank, tracker, model):
        self.rank, self.tracker, self.model = rank, tracker, model
        self.waits: list[int] = []  # in which the thread gave up its processor, while a step was handed over
        hand_over = tracker.measurements.take_later

        def counted(step):
            before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
            later = hand_over(step)
            self.waits.append(resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before)
            return later

        tracker.measurements.take_later = counted

    def step(self, n: int = 1) -> None:
        for _ in range(n):
            self.model(batch(self.tracker.steps + 100 * self.rank)).sum().backward()
            self.model.zero_grad()
            self.tracker.step()


def tracked(rank: int, folder: Path, **arguments):
    torch.manual_seed(0)
    model = net()
    return model, track(model, path=folder, async_offload=True, offload_inc=1000, **arguments)


def slow(rank: int, folder: Path) -> None:
    """The last rank begins its first step when all others have ended their last one."""
    model, tracker = tracked(rank, folder / "slow")
    with tracker:
        loop = Loop(rank, tracker, model)
        if rank == 3:
            for other in range(3):
                wait_for(folder, f"slow{other}")
        loop.step(9)
        signal_to(folder, f"slow{rank}")
        wait_for(folder, "slow3")  # a tracker that ends waits for steps under way; here it need not for long
    (folder / f"waits{rank}").write_text(json.dumps(statistics.median(loop.waits)))


@contextlib.contextmanager
def waiting_for(ranks: int) -> Iterator[None]:
    """Let rank 0 begin when these ranks, given as bits, have entered, however long that takes, and no others."""
    wait, grace = ranks_of_torch.Tree.wait, ranks_of_torch._GRACE

    def waits(tree, ready, seconds):
        if seconds != grace:
            return wait(tree, ready, seconds)
        until(lambda: sum(tree.plans.values()) == ranks)
        return ready()

    ranks_of_torch.Tree.wait = waits
    try:
        yield
    finally:
        ranks_of_torch.Tree.wait = wait


def late(rank: int, folder: Path) -> None:
    """A rank enters when the others have ended two steps."""
    model, tracker = tracked(rank, folder / "late")
    if rank == 3:
        for other in range(3):
            wait_for(folder, f"late{other}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with waiting_for(0b0111), tracker:
            loop = Loop(rank, tracker, model)
            loop.step(2)
            if rank == 0:
                until(lambda: not tracker._writer._makes)  # both steps are as complete as they get
            signal_to(folder, f"late{rank}")
            wait_for(folder, "late3")
            if rank == 0:
                until(lambda: sum(tracker.measurements.ranks.tree.plans.values()) == 0b1111)
            loop.step(2)
    messages = [str(one.message) for one in caught]
    if rank == 0:
        assert any("1 of 4 ranks have not entered track() yet: 3" in message for message in messages), messages


def killed(rank: int, folder: Path) -> None:
    """A rank that has another below it dies without a word."""
    model, tracker = tracked(rank, folder / "killed")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with tracker:
            loop = Loop(rank, tracker, model)
            loop.step(2)
            signal_to(folder, f"killed{rank}")
            for other in range(4):
                wait_for(folder, f"killed{other}")
            if rank == 0:  # rows under way through a rank that dies are lost with it
                until(lambda: not tracker._writer._makes)
                signal_to(folder, "arrived")
            wait_for(folder, "arrived")
            if rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            loop.step(4)
            if rank == 2:  # which sent through rank 1
                until(lambda: (above := tracker.measurements.ranks.tree._ascent).is_ready and above.link.rank == 0)
                signal_to(folder, "moved")
            wait_for(folder, "moved")
            loop.step(2)
    messages = [str(one.message) for one in caught]
    if rank == 0:
        assert any(re.search("ranks? 1(, 2)? tracks? no longer", message) for message in messages), messages


def begin(rank: int, size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    exchange._ORPHANED = ascent._LONELY = 120.0  # however slow this machine is
    warnings.simplefilter("error")
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    slow(rank, folder)
    late(rank, folder)
    killed(rank, folder)
    os._exit(0)  # the process group cannot end well without the rank that died
