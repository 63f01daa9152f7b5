"""A run of several ranks: which of them track together."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tandv.track.common.folders import path_of
from tandv.track.torch._rank_writers import Follower, Leader
from tandv.track.torch._ranks import Ranks
from tandv.track.torch._shared_measurements import SharedMeasurements


def together(
    ranks: Ranks,
    plan: str,
    open_log: Callable[[], Any],
    measurements: SharedMeasurements,
    in_background: bool,
    stops: bool,
) -> Any:
    """Enter with the other ranks and return the log's writer: on the first rank a `Leader`, on others a `Follower`.

    Args:
        ranks: the ranks.
        plan: which steps are recorded.
        open_log: makes the writer of the log.
        measurements: of this rank.
        in_background: whether a thread does the work.
        stops: whether all ranks must record, and may have to stop at, the same steps.
    """
    leader = Leader(measurements, in_background, stops) if ranks.rank == 0 else None
    ranks.enter(plan, leader.finished if leader is not None else _nothing, measurements.labels.hear)
    try:
        if leader is None:
            log = ranks.hear_log(plan)
            return Follower(path_of(log["path"]), path_of(log["log"]), measurements, in_background, stops)
        if (problem := ranks.problem()) is not None:
            ranks.tell_log(plan, problem=problem)
            raise RuntimeError(problem)
        try:
            leader.begin(open_log())
        except Exception as error:
            ranks.tell_log(plan, problem=f"rank 0 could not begin the log: {error}")
            raise
    except BaseException:
        ranks.tree.end()
        raise
    ranks.tell_log(plan, path=str(leader.path), log=str(leader.out_path))
    return leader


def _nothing(part: Any) -> None:
    """Ranks other than the first get no steps."""


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
