"""A run of several ranks: which of them track together, and their writers, of which only the first writes a log."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tandv.track.common.folders import path_of
from tandv.track.common.reporting import warn
from tandv.track.torch._ranks import Ranks


class Leader:
    """Writes the log of all ranks; a step for which the writer has no room is dropped after it was gathered.

    Which steps are recorded must not differ between ranks.
    """

    has_room = True

    def __init__(self, writer: Any):
        self._writer = writer
        self._warned = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def append(self, make: Callable[[], Any], size: int) -> None:
        if self._writer.has_room:
            self._writer.append(make, size)
        elif not self._warned:
            self._warned = True
            warn(f"writing to {self._writer.path} is slower than training: steps are left out until it has caught up")


class Follower:
    """The writer of ranks that write no log."""

    writes = False

    def __init__(self, path: Path | str, out_path: Path | str):
        self.path, self.out_path = path, out_path
        self.has_room, self.seconds = True, 0.0

    def append(self, make: Callable[[], Any], size: int) -> None:
        pass

    def flush(self, facts: Any = None) -> None:
        pass

    def catch_up(self) -> None:
        pass

    def check(self) -> None:
        pass

    def close(self, status: str, facts: Any = None) -> None:
        pass


def together(ranks: Ranks, plan: str, open_log: Callable[[], Any]) -> Any:
    """Enter with the other ranks and return the log's writer: on the first rank its own, on others a `Follower`."""
    ranks.enter(plan)
    if ranks.rank:
        said = json.loads(ranks.get("log"))
        if "problem" in said:
            raise RuntimeError(f"rank 0 could not begin the log: {said['problem']}")
        return Follower(path_of(said["path"]), path_of(said["log"]))
    try:
        writer = open_log()
    except Exception as error:
        ranks.put("log", json.dumps({"problem": str(error)}))
        raise
    ranks.put("log", json.dumps({"path": str(writer.path), "log": str(writer.out_path)}))
    return Leader(writer)


def find_ranks(process_group: Any) -> Ranks | None:
    """Return the ranks that track together, None where there is but one."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    if distributed.get_rank(process_group) < 0:
        raise ValueError("this rank is not in the process_group given to track(); call track() on its members only")
    return Ranks(process_group) if distributed.get_world_size(process_group) > 1 else None


def problems(
    model: nn.Module, ranks: Ranks | None, own_statistics: bool, budget: Any, findings_of_each: bool = False
) -> list[str]:
    """Return why a model that is distributed over devices cannot be tracked."""
    found = []
    if any(isinstance(module, nn.DataParallel) for module in model.modules()):
        found.append(
            "nn.DataParallel runs copies of the model in threads, whose outputs cannot be told apart; use "
            "nn.parallel.DistributedDataParallel, or track the model inside (.module) on one device"
        )
    if ranks is None:
        return found
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
        found.append(
            "FullyShardedDataParallel flattens the parameters, so that they have no shape of their own on a rank; "
            "use torch.distributed.fsdp.fully_shard"
        )
    if budget is not None:
        found.append(f"budget={budget!r} would choose other steps on each rank; give every= where there are several")
    if findings_of_each:
        found.append("on_finding= looks at the whole model: leave out per_rank=, which keeps the rows of each rank")
    if own_statistics:
        found.append(
            "what your stash_value says of the ranks' parts cannot be merged; leave it out, or track one rank alone by "
            "process_group=torch.distributed.new_group([rank], use_local_synchronization=True)"
        )
    return found
