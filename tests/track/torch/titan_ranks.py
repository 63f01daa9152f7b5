"""A loop as torchtitan's, in the tests: pipeline stages, `fully_shard`, checkpointed blocks, linear layers in float8.

The casts are emulated as torchao's: values and weights to e4m3, gradients to e5m2, each with a scale of its own.
"""

import os
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from tandv.track.torch import track

LAYERS, STAGES, COPIES, PARTS, STEPS = 4, 2, 2, 2, 2
_LARGEST = {torch.float8_e4m3fn: 448.0, torch.float8_e5m2: 57344.0}


def cast(x: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    scale = _LARGEST[kind] / x.abs().max().clamp(min=1e-12)
    return (x * scale).to(kind).to(x.dtype) / scale


class _Float8(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        x, weight = cast(x, torch.float8_e4m3fn), cast(weight, torch.float8_e4m3fn)
        ctx.save_for_backward(x, weight)
        return x @ weight.T

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        gradient = cast(gradient, torch.float8_e5m2)
        return gradient @ weight, gradient.T @ x


class Float8Linear(nn.Linear):
    def forward(self, x):
        return _Float8.apply(x, self.weight) + self.bias


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(8), Float8Linear(8, 16), Float8Linear(16, 8)

    def forward(self, x):
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


class Titan(nn.Module):
    """A model whose stages lack layers, as torchtitan cuts it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleDict({str(i): Block() for i in range(LAYERS)})
        self.output: nn.Module | None = nn.Linear(8, 4)

    def forward(self, x):
        for layer in self.layers.values():
            x = layer(x)
        return x if self.output is None else self.output(x)


def batches(step: int) -> list[torch.Tensor]:
    """The micro-batches of all copies of the pipeline."""
    generator = torch.Generator().manual_seed(step)
    return list(torch.randn(COPIES * PARTS * 3, 8, generator=generator).chunk(COPIES * PARTS))


def loss_of(output: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return output.square().mean()


def alone(folder: Path | None) -> nn.Module:
    """Train the whole model in one process, each micro-batch by itself."""
    model = Titan()
    _train(model, folder, lambda step: _pass_alone(model, step))
    return model


def _pass_alone(model: nn.Module, step: int) -> None:
    for x in batches(step):
        loss_of(model(x), x).backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        parameter.grad /= COPIES * PARTS


def together(rank: int, folder: Path | None) -> nn.Module:
    """Train one stage on its part of the batch."""
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.pipelining import PipelineStage, ScheduleGPipe

    mesh = dist.init_device_mesh("cpu", (STAGES, COPIES), mesh_dim_names=("pp", "dp"))
    number, copy = mesh["pp"].get_local_rank(), mesh["dp"].get_local_rank()
    model = Titan()
    for i in range(LAYERS):
        if i * STAGES // LAYERS != number:
            del model.layers[str(i)]
        else:
            model.layers[str(i)] = checkpoint_wrapper(model.layers[str(i)])
            fully_shard(model.layers[str(i)], mesh=mesh["dp"])
    if number < STAGES - 1:
        model.output = None
    fully_shard(model, mesh=mesh["dp"])
    stage = PipelineStage(model, number, STAGES, torch.device("cpu"), group=mesh["pp"].get_group())
    schedule = ScheduleGPipe(stage, PARTS, loss_fn=loss_of)

    def run(step: int) -> None:
        x = torch.cat(batches(step)[copy * PARTS : (copy + 1) * PARTS])
        if number == 0:
            schedule.step(x)
        else:
            schedule.step(target=x)

    _train(model, folder, run)
    return model


def _train(model: nn.Module, folder: Path | None, run) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    if folder is None:
        for step in range(STEPS):
            run(step)
            optimizer.step()
            optimizer.zero_grad()
        return
    with track(model, optimizer=optimizer, path=folder, track_updates=True) as tracker:
        for step in range(STEPS):
            run(step)
            optimizer.step()
            optimizer.zero_grad()
            tracker.step()


def begin(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=FutureWarning)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=STAGES * COPIES)
    bare, tracked = together(rank, None), together(rank, folder / "together")
    for one, other in zip(bare.parameters(), tracked.parameters(), strict=True):
        assert torch.equal(one.to_local(), other.to_local())
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)
