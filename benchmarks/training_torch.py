"""What `overhead.py` runs in PyTorch: two models with their training step, and the ways to track them."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from tandv.demo.torch_gpt import GPT
from tandv.track.torch import track

Step = Callable[[], None]


class Training:
    """A model with its optimiser and one training step; equal seeds make equal ones."""

    def __init__(self, workload: str):
        torch.manual_seed(0)
        torch.set_num_threads(1)
        if workload == "mlp":
            self.model: nn.Module = nn.Sequential(*(m for _ in range(4) for m in (nn.Linear(1024, 1024), nn.ReLU())))
            self._batch = torch.randn(64, 1024)
        else:
            self.model = GPT(layers=4, width=256, heads=8, context=128)
            self._batch = torch.randint(256, (8, 129))
        if workload == "compiled":
            self.model = cast(nn.Module, torch.compile(self.model))
        if torch.distributed.is_initialized():
            self.model = nn.parallel.DistributedDataParallel(self.model)
        self._workload = workload
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)

    def step(self) -> None:
        self.optimizer.zero_grad()
        if self._workload == "mlp":
            loss = self.model(self._batch).square().mean()
        else:
            logits = self.model(self._batch[:, :-1])
            loss = functional.cross_entropy(logits.flatten(0, 1), self._batch[:, 1:].flatten())
        loss.backward()
        self.optimizer.step()


@contextlib.contextmanager
def bare(training: Training) -> Iterator[Step]:
    yield training.step


def tandv(**arguments) -> Callable[[Training], contextlib.AbstractContextManager[Step]]:
    @contextlib.contextmanager
    def tracked(training: Training) -> Iterator[Step]:
        with track(training.model, optimizer=training.optimizer, **arguments) as tracker:

            def step() -> None:
                training.step()
                tracker.step()

            yield step

    return tracked


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


@contextlib.contextmanager
def tensorboard(training: Training) -> Iterator[Step]:
    from torch.utils.tensorboard import SummaryWriter

    with contextlib.closing(SummaryWriter("tensorboard")) as writer:

        def step() -> None:
            training.step()
            for name, parameter in training.model.named_parameters():
                writer.add_histogram(name, parameter)
                if parameter.grad is not None:
                    writer.add_histogram(f"{name}.grad", parameter.grad)

        yield step


# what is measured, and the steps of a round: as many as lie between two flushes to disk, so that each has one
WAYS = {
    "bare beside bare (the noise)": (bare, 10),
    "everything at every step": (tandv(), 10),
    "everything at every 10th step": (tandv(every=10), 100),
    "attached but idle": (tandv(every=lambda _: False), 10),
    'wandb.watch(log="all", log_freq=1), offline': (wandb_watch, 10),
    "TensorBoard add_histogram of parameters and gradients": (tensorboard, 10),
}
NEEDS = {wandb_watch: "wandb", tensorboard: "tensorboard"}
OTHERS = (wandb_watch, tensorboard)

NAMES = {
    "mlp": "MLP 4 × 1024, batch 64",
    "gpt": "GPT 4 layers, d = 256, sequence 128, batch 8",
    "compiled": "the same GPT, compiled, ÷ the compiled one",
}


def on_ranks(size: int, measure: Callable[[], str]) -> str:
    """Measure in so many processes, which average their gradients; return what the first one found."""
    context = torch.multiprocessing.get_context("fork")
    found = context.SimpleQueue()
    store = tempfile.mktemp(dir=os.getcwd())

    def begin(rank: int) -> None:
        torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
        report = measure()
        if rank == 0:
            found.put(report)
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()

    processes = [context.Process(target=begin, args=(rank,)) for rank in range(size)]
    for process in processes:
        process.start()
    report = found.get()
    for process in processes:
        process.join()
    return report


PACKAGES = ("torch", "numba", "wandb", "tensorboard")
TITLE = "Overhead of tracking PyTorch"
THREADS = "one thread"
