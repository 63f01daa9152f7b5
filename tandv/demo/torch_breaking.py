"""Faults that `tandv demo --break` puts into a training in PyTorch, each at a known layer and step."""

from collections.abc import Callable
from typing import cast

from tandv.demo.broken import FACTOR, GROWTH, Break
from tandv.demo.torch_gpt import Training, TransformerLayer

# isort: split
import torch
from torch.nn import functional


def fault(training: Training, kind: Break, steps: int) -> Callable[[int], None]:
    """Return a function that breaks a training, to be called before each step.

    Args:
        training: the training.
        kind: the fault.
        steps: how many steps there will be; the fault begins at half of them.
    """
    at = steps // 2
    layers = [cast(TransformerLayer, one) for one in training.model.layers]
    layer, norm = layers[2].feed_forward, layers[1].attention_norm

    def overflow(step: int) -> None:
        if step >= at:
            with torch.no_grad():
                layer.w1.weight.mul_(2.0 ** (GROWTH / (steps - at)))

    def dead(step: int) -> None:
        if step == at:
            with torch.no_grad():
                layer.w1.bias.fill_(-50.0)

    def rate(step: int) -> None:
        if step == at:
            for group in training.optimizer.param_groups:
                group["lr"] *= FACTOR

    def nan(step: int) -> None:
        if step == at:
            with torch.no_grad():
                norm.weight[0] = torch.nan

    if kind == "overflow":  # the layer is computed in float16, what follows in float32
        w1, w2, forward = layer.w1, layer.w2, layer.w2.forward
        w1.forward = lambda input: functional.linear(input.half(), w1.weight.half(), w1.bias.half())
        w2.forward = lambda input: forward(input.float())
    return {"overflow": overflow, "dead": dead, "lr": rate, "nan": nan}[kind]
