"""What `gpu.py` trains, and the ways to measure while it does."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_hook

from tandv.demo.torch_gpt import GPT
from tandv.track.torch import track

Step = Callable[[], None]

GPTS = {  # layers, width, heads, context, vocabulary; sequences of a batch
    "gpt2-small": ((12, 768, 12, 1024, 50_257), 8),
    "gpt-350m": ((24, 1024, 16, 1024, 50_257), 8),
    "tiny": ((2, 64, 4, 32, 256), 2),  # for --device cpu
}


BLOCKS = ("mxfp8_e4m3", "mxfp4", "nvfp4")


class Training:
    """A GPT in bfloat16 with its optimiser and one training step; equal names make equal ones."""

    def __init__(self, name: str, device: torch.device, compiled: bool):
        torch.manual_seed(0)
        (layers, width, heads, context, vocabulary), batch = GPTS[name]
        self.model = GPT(layers, width, heads, context, vocabulary).to(device, torch.bfloat16)
        if compiled:
            self.model.compile()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5)
        self._batch = torch.randint(vocabulary, (batch, context + 1), device=device)

    def step(self) -> None:
        self.optimizer.zero_grad()
        logits = self.model(self._batch[:, :-1])
        functional.cross_entropy(logits.flatten(0, 1), self._batch[:, 1:].flatten()).backward()
        self.optimizer.step()


@contextlib.contextmanager
def bare(training: Training) -> Iterator[Step]:
    yield training.step


@contextlib.contextmanager
def tandv(training: Training, parameters_only: bool = False, **arguments: Any) -> Iterator[Step]:
    if parameters_only:
        training.model.eval()  # this model computes the same, and outputs are recorded only in training
    with track(training.model, optimizer=training.optimizer, **arguments) as tracker:

        def step() -> None:
            training.step()
            tracker.step()

        yield step


@contextlib.contextmanager
def wandb_watch(training: Training) -> Iterator[Step]:
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": os.getcwd()}
    import wandb

    with wandb.init(project="overhead") as run:
        run.watch(training.model, log="all", log_freq=1)

        def step() -> None:
            training.step()
            run.log({"step": 1})

        yield step


def peer(tensor: torch.Tensor) -> None:
    """Measure as is usual elsewhere: eight scalars that the host waits for, and a histogram."""
    x = tensor.float()
    a = x.abs()
    for value in (x.mean(), x.std(), a.mean(), a.max(), a.min(), x.norm(), x.norm(p=4), x.norm(p=8)):
        value.item()
    torch.histc(x.frexp().exponent.float(), 256, -128, 128).cpu()


@contextlib.contextmanager
def peers_way(training: Training) -> Iterator[Step]:
    """Measure every output, its gradient, and every parameter and gradient as `peer` does."""

    def on_output(module, inputs, output):
        if isinstance(output, torch.Tensor) and output.is_floating_point():
            peer(output.detach())
            if output.requires_grad:
                output.register_hook(lambda gradient: peer(gradient))

    def step() -> None:
        training.step()
        for parameter in training.model.parameters():
            peer(parameter.detach())
            if parameter.grad is not None:
                peer(parameter.grad)

    handle = register_module_forward_hook(on_output)
    try:
        yield step
    finally:
        handle.remove()


# What is measured, and the steps of a round: as many as lie between two flushes to disk, so that each has one.
WAYS: dict[str, tuple[Any, int]] = {
    "everything at every step": (tandv, 10),
    "everything at every 10th step": (partial(tandv, every=10), 100),
    "everything and three block formats at every 10th step": (partial(tandv, every=10, formats=BLOCKS), 100),
    "weights, gradients and optimiser states at every step": (partial(tandv, parameters_only=True), 10),
    'wandb.watch(log="all", log_freq=1), offline': (wandb_watch, 2),
    "8 × `.item()` and `histc` at every step": (peers_way, 2),
}
OTHERS = (wandb_watch, peers_way)  # which compiled graphs would leave out, or break


@functools.cache
def can(way: Any) -> bool:
    """Tell whether what a way needs is installed."""
    return way is not wandb_watch or find_spec("wandb") is not None
