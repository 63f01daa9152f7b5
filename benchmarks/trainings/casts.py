"""Small trainings whose tensors are kept as they were at a few steps, to be cast."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import nn

from benchmarks.trainings.loop import OPTIMISERS
from benchmarks.trainings.nets import (
    GPT,
    Architecture,
    CharLSTM,
    UNet,
    chain,
    classification,
    convolutions,
    denoising,
    images,
    letters,
    reconstruction,
)
from benchmarks.trainings.others import Llama, Residual, Vision

LARGEST, SMALLEST = 1 << 16, 512  # values of a tensor that are kept, and that it must have
STEPS = (4, 30, 80)


class Tensor(NamedTuple):
    """A tensor of a training: its type, what it is called, the step, its values in their own number format."""

    kind: str
    name: str
    step: int
    values: torch.Tensor


class Training(NamedTuple):
    """What is trained and how: "fp32", "bf16" and "fp16" autocast, or "bf16 weights"."""

    architecture: Architecture
    optimiser: str = "adam"
    lr: float = 2e-3
    precision: str = "fp32"
    seed: int = 0


_GPT = Architecture(lambda _: GPT(64, 3, 48), letters(8, 48), classification)
TRAININGS: dict[str, Training] = {
    "gpt": Training(_GPT),
    "gpt, bf16 autocast": Training(_GPT, precision="bf16", seed=1),
    "gpt, bf16 weights": Training(_GPT, "adamw", precision="bf16 weights", seed=2),
    "gpt, fp16 autocast": Training(_GPT, "adamw", precision="fp16", seed=3),
    "llama": Training(Architecture(lambda _: Llama(64, 3), letters(8, 48), classification), "adamw"),
    "vision": Training(Architecture(lambda _: Vision(64), images(24), classification), "adamw", 1e-3),
    "cnn": Training(Architecture(lambda _: convolutions(32), images(24), classification), "momentum", 0.05),
    "residual": Training(Architecture(lambda _: Residual(32), images(24), classification), "sgd", 0.1),
    "lstm": Training(Architecture(lambda _: CharLSTM(64, 96), letters(8, 48), classification), "rmsprop", 1e-3),
    "diffusion": Training(Architecture(lambda _: UNet(32), images(16), denoising)),
    "mlp": Training(
        Architecture(lambda _: chain(64, *[192] * 5, 10, norm=nn.LayerNorm), images(64), classification),
        "rmsprop", 3e-4,
    ),
    "autoencoder": Training(
        Architecture(lambda _: chain(64, 256, 128, 256, 64, function=nn.GELU), images(64), reconstruction),
        "adagrad", 0.01,
    ),
}  # fmt: skip


class Kept:
    """Hooks that keep the tensors of the present step, if it is one of STEPS."""

    def __init__(self, model: nn.Module):
        self.model, self.step, self.tensors = model, 0, []
        for name, module in model.named_modules():
            module.register_forward_hook(lambda _m, _i, output, name=name: self._output(name, output))

    def add(self, kind: str, name: str, values: Any) -> None:
        kept = self.step in STEPS and isinstance(values, torch.Tensor) and values.is_floating_point()
        if kept and values.numel() >= SMALLEST:
            self.tensors.append(Tensor(kind, name, self.step, values.detach().flatten()[:LARGEST].clone()))

    def _output(self, name: str, output: Any) -> None:
        output = output[0] if isinstance(output, tuple) else output
        self.add("Activation", name, output)
        if isinstance(output, torch.Tensor) and output.requires_grad and self.step in STEPS:
            output.register_hook(lambda gradient: self.add("Gradient", name, gradient))


def tensors_of(training: Training) -> list[Tensor]:
    """Train, and return outputs, their gradients, weights, their gradients and states of the optimiser."""
    torch.manual_seed(training.seed)
    random = torch.Generator().manual_seed(training.seed)
    model = training.architecture.build({})
    if training.precision == "bf16 weights":
        model.bfloat16()
    low = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(training.precision)
    scaler = torch.amp.GradScaler("cpu", enabled=training.precision == "fp16")
    optimisers = OPTIMISERS[training.optimiser](list(model.parameters()), training.lr, 0.0)
    kept = Kept(model)
    names: dict[torch.Tensor, str] = {one: name for name, one in model.named_parameters()}
    for step in range(max(STEPS) + 1):
        kept.step = step
        batch = training.architecture.batch(random)
        context: Callable[[], Any] = (lambda: torch.autocast("cpu", low)) if low else nullcontext
        with context():
            loss = training.architecture.loss(model, batch)
        scaler.scale(loss).backward()
        for one, name in names.items():
            kept.add("Weight", name, one)
        for optimiser in optimisers:
            scaler.unscale_(optimiser)
        for one, name in names.items():
            kept.add("Weight_Gradient", name, one.grad)
        for optimiser in optimisers:
            scaler.step(optimiser)
            for one, state in optimiser.state.items():
                for field, value in state.items():
                    kept.add(f"Optimiser_State.{field}", names[one], value)
            optimiser.zero_grad()
        scaler.update()
    return kept.tensors
