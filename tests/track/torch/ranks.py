"""What each rank does in the tests of distributed tracking; run in processes of their own."""

import os
import signal
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

import tandv
from tandv.track import FindingStop
from tandv.track.common import writer
from tandv.track.torch import track


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(4, 8)
        self.act = nn.GELU()
        self.down = nn.Linear(8, 4)

    def forward(self, x):
        return x + self.down(self.act(self.up(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.block = Block()
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.block(self.norm(x)))


class Heads(nn.Module):
    """Two heads of attention, and a mixture of three experts of which each token goes to one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.qkv, self.gate = nn.Linear(4, 12), nn.Linear(4, 3)
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 2)).permute(2, 0, 3, 1, 4)
        x = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(-1, 4)
        weights, chosen = self.gate(x).softmax(-1).topk(1, dim=-1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            at, slot = torch.where(chosen == number)
            out = out.index_add(0, at, expert(x[at]) * weights[at, slot, None])
        return out


def words(step: int) -> torch.Tensor:
    return torch.randn(4, 5, 4, generator=torch.Generator().manual_seed(step))


def net() -> nn.Module:
    torch.manual_seed(3)
    return Net()


def batch(step: int) -> torch.Tensor:
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(step))


def train(model, x_of, folder=None, steps=3, during=None, **arguments):
    """Return the losses and parameters of a few steps, tracked if there is a folder."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)

    def loop(tracker):
        losses = []
        for step in range(steps):
            loss = model(x_of(step)).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
            if during:
                during(step, tracker)
            if tracker:
                tracker.step()
        return losses

    if folder is None:
        losses = loop(None)
    else:
        with track(model, optimizer=optimizer, path=folder, track_updates=True, **arguments) as tracker:
            losses = loop(tracker)
    return [*losses, *(_plain(p).detach() for p in model.parameters())]


def _plain(tensor):
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def same(ones, others):
    assert len(ones) == len(others)
    assert all(torch.equal(_plain(a), _plain(b)) for a, b in zip(ones, others, strict=True))


def mine(step):
    return batch(step).chunk(dist.get_world_size())[dist.get_rank()]


def ddp():
    return nn.parallel.DistributedDataParallel(net())


def sharded():
    from torch.distributed.fsdp import fully_shard

    model = net()
    for part in (model.block, model.head, model):
        fully_shard(part, mesh=dist.init_device_mesh("cpu", (dist.get_world_size(),)))
    return model


def parallel(mesh):
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    return parallelize_module(net(), mesh, {"block.up": ColwiseParallel(), "block.down": RowwiseParallel()})


def large(grid):
    """As large models are trained: tensor parallel, its outputs checkpointed, sharded over the other ranks."""
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
    from torch.distributed.fsdp import fully_shard

    model: Any = parallel(grid["tensor"])
    model.block = checkpoint_wrapper(model.block)
    for part in (model.block, model.head, model):
        fully_shard(part, mesh=grid["data"])
    return model


def everything(rank: int, size: int, folder: Path) -> None:
    """Every scenario that ends well, one after the other."""
    same(train(ddp(), mine), train(ddp(), mine, folder / "ddp", offload_inc=2))
    same(train(sharded(), mine), train(sharded(), mine, folder / "fsdp"))
    mesh = dist.init_device_mesh("cpu", (size,))
    same(train(parallel(mesh), batch), train(parallel(mesh), batch, folder / "tensor"))
    if size == 4:
        grid = dist.init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))
        halves = lambda step: batch(step).chunk(2)[grid["data"].get_local_rank()]  # noqa: E731
        train(parallel(grid["tensor"]), halves, folder / "grid", steps=1)
        same(train(large(grid), halves), train(large(grid), halves, folder / "large"))
        return
    same(train(ddp(), mine), train(ddp(), mine, folder / "per_rank", per_rank=True, during=_little_traffic))
    train(ddp(), mine, folder / "every", every=2)
    train(torch.compile(parallel(mesh), backend="aot_eager"), batch, folder / "compiled", steps=1)
    heads, my_words = nn.parallel.DistributedDataParallel(Heads()), lambda step: words(step).chunk(size)[rank]
    train(heads, my_words, folder / "heads", steps=1, attention=True, experts=True)
    _stages(rank, folder / "stages")
    _stages(rank, folder / "stages_apart", per_rank=True)
    _alone(rank, folder / "alone")
    _phases(rank, folder / "phases")
    _stopped(folder / "stopped")
    _spoilt(rank, folder / "spoilt")
    _refused()
    _failing(rank, folder)


def _little_traffic(step, tracker):
    """Where each rank keeps its rows, only the announcement of the run and the numbers of steps are sent."""
    assert sum(tracker.measurements.ranks.tree.traffic[:2]) < 4000


def _stages(rank: int, folder: Path, **arguments: Any) -> None:
    """Each rank has a layer of its own, as in a pipeline."""
    model = nn.ModuleDict({"last" if rank else "first": nn.Linear(4, 4)})
    with track(model, path=folder, **arguments) as tracker:
        model["last" if rank else "first"](batch(0))
        tracker.step()


def _stopped(folder: Path) -> None:
    """All ranks are stopped at the same step, at one that is recorded."""

    def broken(step: int) -> torch.Tensor:
        return batch(step) * (float("nan") if step == 3 else 1.0)

    steps = []
    with pytest.raises(FindingStop, match="not_finite at step 3, Activation: The model's output is not finite"):
        train(
            ddp(), broken, folder, steps=9, every=2, on_finding="stop", async_offload=False,
            during=lambda step, _: steps.append(step),
        )  # fmt: skip
    assert steps == [0, 1, 2, 3, 4]


def _spoilt(rank: int, folder: Path) -> None:
    """The batch of the last rank spoils the gradients of all, at a step that is not recorded; the first looks."""

    def broken(step: int) -> torch.Tensor:
        return batch(step) * (float("nan") if rank and step == 3 else 1.0)

    train(ddp(), broken, folder, steps=6, every=2)
    if rank == 0:
        [found] = tandv.findings(folder)
        assert (found.layer, found.step, found.numbers["ranks"]) == ("*", 3, 2)
        assert "one of 2 ranks was checked, and another may have spoilt the gradients of all" in found.what


def _alone(rank: int, folder: Path) -> None:
    if rank == 0:
        group = dist.new_group([0], use_local_synchronization=True)
        model = nn.Linear(4, 1)
        with track(model, path=folder, process_group=group) as tracker:
            model(batch(0))
            tracker.step()


def _phases(rank: int, folder: Path) -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    with track(model, path=folder) as tracker:
        with tracker.phase("rollout"):
            model(torch.full((1, 1), 10.0 * (rank + 1)))
        model(torch.full((1, 1), 1.0 + rank)).sum().backward()
        tracker.step()


def _refused() -> None:
    with pytest.raises(ValueError, match="stash_value says of the ranks' parts cannot be merged") as found:
        track(nn.Linear(1, 1), stash_value=lambda tensor: {"one": 1.0}, budget="2%")
    assert "give every= where there are several" in str(found.value)


def _failing(rank: int, folder: Path) -> None:
    """A tracker that fails on one rank, an exception on all, steps that differ: training goes on."""
    bare = train(ddp(), mine)

    def breaks(step, tracker):
        if rank == 1 and step == 1:
            tracker.fail("in a test", ZeroDivisionError("planted"))

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        same(bare, train(ddp(), mine, folder / "failed", during=breaks, offload_inc=1))
    messages = " ".join(str(one.message) for one in said)
    assert ("planted" if rank else "rank 1 tracks no longer") in messages, messages
    with pytest.raises(RuntimeError, match="same steps on all ranks, but got rank 0: every=1.*; rank 1: every=2"):
        train(ddp(), mine, folder / "astray", every=1 + rank)

    def raises(step, tracker):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(ddp(), mine, folder / "raised", during=raises)


def killed_apart(rank: int, size: int, folder: Path) -> None:
    killed(rank, size, folder, per_rank=True)


def killed(rank: int, size: int, folder: Path, **arguments: Any) -> None:
    """One rank dies without a word in the third step; the other fails in training or goes on."""

    def dies(step, tracker):
        if rank == 1 and step == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    warnings.simplefilter("ignore")
    try:
        train(ddp(), mine, folder / "killed", steps=5, during=dies, offload_inc=1, **arguments)
    except RuntimeError:  # of training's own collectives
        assert rank == 0


def begin(rank: int, size: int, folder: Path, scenario) -> None:
    torch.set_num_threads(1)
    writer._SPARE = 3600  # the disk may be as slow as it likes
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=FutureWarning)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    scenario(rank, size, folder)
    dist.destroy_process_group()
