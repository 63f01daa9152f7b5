"""The ranks of a distributed run that track together: collectives that do not block when a rank has ended.

They use a process group of their own on the CPU, so that no collective is inserted between those of training. A rank
that ends writes that into the store; the others check the store while they wait, so that none waits for ever.
"""

import contextlib
import json
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from tandv.analysis.findings.finding import Finding
from tandv.track.common.reporting import warn

_PATIENCE = 30.0  # seconds until a rank warns which rank it waits for at the start
_LOOK = 0.2  # seconds between checks of the store during a collective
_entered: Counter[tuple[int, ...]] = Counter()  # runs so far, by their ranks


class Ranks:
    """The ranks of a process group, this one among them."""

    def __init__(self, process_group: Any = None):
        self.members = dist.get_process_group_ranks(process_group or dist.group.WORLD)
        self.rank = dist.get_rank(process_group)
        self.size = len(self.members)
        self._met = 0  # collectives so far
        self._group: Any = None
        self._left = False

    def enter(self, plan: str) -> None:
        """Wait until every rank has entered its block, and make the group.

        Raises RuntimeError if one does not, or has another plan: the ranks would deadlock.
        """
        ranks = tuple(self.members)
        _entered[ranks] += 1
        run = f"tandv/{'-'.join(map(str, ranks))}/{_entered[ranks]}"
        self._store = dist.distributed_c10d.PrefixStore(run, dist.distributed_c10d._get_default_store())
        self._store.set(f"here/{self.rank}", plan)
        started, said, patience = time.monotonic(), False, dist.distributed_c10d.default_pg_timeout
        while missing := [rank for rank in range(self.size) if not self._store.check([f"here/{rank}"])]:
            waited = time.monotonic() - started
            message = (
                f"rank {missing[0]} has not entered track(); all ranks track together. To track one alone, give it "
                "track(process_group=torch.distributed.new_group([rank], use_local_synchronization=True))"
            )
            if waited > patience.total_seconds():
                raise RuntimeError(message)
            if waited > _PATIENCE and not said:
                said = True
                warn(f"waiting: {message}")
            time.sleep(0.01)
        plans = [self._store.get(f"here/{rank}").decode() for rank in range(self.size)]
        if len(set(plans)) > 1:
            said = "; ".join(f"rank {rank}: {one}" for rank, one in enumerate(plans))
            raise RuntimeError(f"track() must record the same steps on all ranks, but got {said}")
        # With local synchronization torch names the group by how many each rank has, so that is for subsets only.
        some = self.size < dist.get_world_size()
        self._group = dist.new_group(self.members, backend="gloo", use_local_synchronization=some)

    def put(self, name: str, value: str) -> None:
        """Set a value in the store for the other ranks."""
        self._store.set(name, value)

    def get(self, name: str) -> str:
        """Return a value that another rank sets in the store; waits for it."""
        self._store.wait([name], timedelta(minutes=5))
        return self._store.get(name).decode()

    def all(self, mine: np.ndarray) -> np.ndarray:
        """Return [ranks, n]: every rank's `n` numbers."""
        own = torch.from_numpy(np.ascontiguousarray(mine))
        all_of_them = [torch.empty_like(own) for _ in range(self.size)]
        self._wait(dist.all_gather(all_of_them, own, group=self._group, async_op=True))
        return np.stack([one.numpy() for one in all_of_them])

    def first_ones(self, mine: Finding | None) -> Finding | None:
        """Return the finding that the first rank gives, on every rank."""
        name = f"finding/{self._met}"
        if mine is not None and self.rank == 0:
            self.put(name, json.dumps(mine.as_dict()))
        if not self.all(np.array([mine is not None]))[0, 0]:
            return None
        return mine if self.rank == 0 else Finding(**json.loads(self.get(name)))

    def to_first(self, mine: np.ndarray) -> list[np.ndarray]:
        """Return every rank's array on the first rank, nothing on the others; all have the same shape."""
        own = torch.from_numpy(np.ascontiguousarray(mine))
        all_of_them = [torch.empty_like(own) for _ in range(self.size)] if self.rank == 0 else None
        self._wait(dist.gather(own, all_of_them, dst=self.members[0], group=self._group, async_op=True))
        return [one.numpy() for one in all_of_them or []]

    def leave(self) -> None:
        """End taking part; the others find that in the store when they need this rank."""
        if self._group is None or self._left:
            return
        self._left = True
        with contextlib.suppress(Exception):  # the store may have ended with another rank
            self._store.set(f"left/{self.rank}", str(self._met))

    def _wait(self, work: Any) -> None:
        """Wait for a collective; raise RuntimeError if a rank that it needs has left."""
        if self._left:
            raise RuntimeError("this rank has left")
        self._met += 1
        started = looked = time.monotonic()
        while not work.is_completed():
            now = time.monotonic()
            if now - looked > _LOOK:
                looked = now
                for rank in range(self.size):
                    left = f"left/{rank}"
                    if self._store.check([left]) and int(self._store.get(left)) < self._met:
                        raise RuntimeError(f"rank {rank} tracks no longer: its block has ended, or its tracker failed")
            time.sleep(0 if now - started < 1e-3 else 1e-4)
        work.wait()
