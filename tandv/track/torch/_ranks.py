"""The ranks of a distributed run that track together: how they find each other, and what rank 0 tells the others."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch.distributed as dist

from tandv.analysis.findings.finding import Finding
from tandv.track.common.reporting import warn
from tandv.track.ranks.addresses import Meeting, own_host
from tandv.track.ranks.part import StepPart
from tandv.track.ranks.shape import bits, place
from tandv.track.ranks.tree import PATIENCE, Tree

_GRACE = 30.0  # seconds that rank 0 waits at the start for all ranks, and until others warn that they wait for it
_entered: Counter[tuple[int, ...]] = Counter()  # runs so far, by their ranks


class Ranks:
    """The ranks of a process group, this one among them."""

    def __init__(self, process_group: Any = None):
        self.members = dist.get_process_group_ranks(process_group or dist.group.WORLD)
        self.rank = dist.get_rank(process_group)
        self.size = len(self.members)
        self.tree: Tree
        self._log: dict[str, Any] = {}  # what rank 0 says of it
        self._verdicts: dict[int, Any] = {}  # of rank 0 on a step

    def enter(
        self,
        plan: str,
        finished: Callable[[StepPart], None],
        heard: Callable[[dict[str, Any]], None],
        patience: float = PATIENCE,
    ) -> None:
        """Find the other ranks of this run.

        Rank 0 waits until all have entered, though not for long: those that come later take part from then on.

        Args:
            plan: which steps are recorded; it must be the same on all ranks.
            finished: called on rank 0, in a thread, with each step's part.
            heard: called in a thread with each message of rank 0.
            patience: seconds that a step waits for a rank.
        """
        ranks = tuple(self.members)
        _entered[ranks] += 1
        store = dist.distributed_c10d._get_default_store()
        run = f"tandv/{'-'.join(map(str, ranks))}/{_entered[ranks]}"
        meeting = Meeting(dist.distributed_c10d.PrefixStore(run, store))

        def hear(word: dict[str, Any]) -> None:
            self._log |= word.get("log", {})
            if "verdict" in word:
                step, finding = word["verdict"]
                self._verdicts[step] = finding
            heard(word)

        at, host = place(self.rank, self.size), own_host(_master(store))
        self.tree = tree = Tree(at, meeting, host, finished, hear, patience)
        tree.enter(plan)
        if self.rank == 0:
            everybody = (1 << self.size) - 1
            if not tree.wait(lambda: sum(tree.plans.values()) == everybody, _GRACE):
                self._go_on_without(everybody & ~sum(tree.plans.values()))

    def problem(self) -> str | None:
        """Return what is wrong with the plans of the ranks, of rank 0; None if they are the same."""
        plans = self.tree.plans.copy()  # at once: the tree's thread may add one meanwhile
        if len(plans) < 2:
            return None
        by_rank = sorted((rank, plan) for plan, who in plans.items() for rank in bits(who))
        told = "; ".join(f"rank {rank}: {plan}" for rank, plan in by_rank)
        return f"track() must record the same steps on all ranks, but got {told}"

    def tell_log(self, plan: str, **about: str) -> None:
        """Let the other ranks begin, of rank 0: say where the log lies, or what the problem is."""
        self.tree.say({"log": {"plan": plan} | about}, keep=True)

    def hear_log(self, plan: str) -> dict[str, str]:
        """Wait for what rank 0 says of the log. Raises RuntimeError if it says nothing, or this rank cannot begin."""
        until = time.monotonic() + dist.distributed_c10d.default_pg_timeout.total_seconds()
        message = (
            "rank 0 has not entered track(); all ranks track together. To track one alone, give it "
            "track(process_group=torch.distributed.new_group([rank], use_local_synchronization=True))"
        )
        if not self.tree.wait(lambda: bool(self._log), _GRACE + 10):
            if not self.tree.over:
                warn(f"waiting: {message}")
            if not self.tree.wait(lambda: bool(self._log), max(until - time.monotonic(), 0)):
                raise RuntimeError(self.tree.over or message)
        if "problem" in self._log:
            raise RuntimeError(self._log["problem"])
        if self._log["plan"] != plan:
            raise RuntimeError(
                f"track() must record the same steps on all ranks, but got rank 0: {self._log['plan']}; "
                f"rank {self.rank}: {plan}"
            )
        return self._log

    def first_ones(self, mine: Finding | None, step: int) -> Finding | None:
        """Return the finding that the first rank gives at a step, on every rank; others wait for it."""
        if self.rank == 0:
            self.tree.say({"verdict": [step, None if mine is None else mine.as_dict()]})
            return mine
        self.tree.wait(lambda: step in self._verdicts, PATIENCE)
        found = self._verdicts.pop(step, None)
        return None if found is None else Finding(**found)

    def _go_on_without(self, missing: int) -> None:
        some = ", ".join(map(str, bits(missing)[:5])) + (", ..." if missing.bit_count() > 5 else "")
        warn(
            f"{missing.bit_count()} of {self.size} ranks have not entered track() yet: {some}; all track together. The "
            "log goes on without them until they do, and run.json says which steps lack which ranks. To track one "
            "alone, give it track(process_group=torch.distributed.new_group([rank], use_local_synchronization=True))"
        )


def _master(store: Any) -> str | None:
    """Return the host that keeps the job's store; None where it is kept in files, or in memory."""
    while hasattr(store, "underlying_store"):
        store = store.underlying_store
    return getattr(store, "host", None)
