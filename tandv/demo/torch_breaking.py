"""Faults that `tandv demo --break` puts into a training in PyTorch, each at a known layer and step."""

from collections.abc import Callable
from typing import cast

from tandv.demo.broken import Break
from tandv.demo.torch_gpt import Training, TransformerLayer

# isort: split
import torch
from torch.nn import functional

_GROWTH = 26  # powers of two by which the weights of the layer that overflows grow
_FACTOR = 300  # by which the learning rate is too high


def fault(training: Training, kind: Break, steps: int) -> tuple[str, Callable[[int], None]]:
    """Return what will be broken, as a sentence, and a function that breaks it, to be called before each step.

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
                layer.w1.weight.mul_(2.0 ** (_GROWTH / (steps - at)))

    def dead(step: int) -> None:
        if step == at:
            with torch.no_grad():
                layer.w1.bias.fill_(-50.0)

    def rate(step: int) -> None:
        if step == at:
            for group in training.optimizer.param_groups:
                group["lr"] *= _FACTOR

    def nan(step: int) -> None:
        if step == at:
            with torch.no_grad():
                norm.weight[0] = torch.nan

    if kind == "overflow":  # the layer is computed in float16, what follows in float32
        w1, w2, forward = layer.w1, layer.w2, layer.w2.forward
        w1.forward = lambda input: functional.linear(input.half(), w1.weight.half(), w1.bias.half())
        w2.forward = lambda input: forward(input.float())
    return {
        "overflow": (
            f"The weights of layers.2.feed_forward.w1, computed in float16, grow from step {at} on.",
            overflow,
        ),
        "dead": (
            f"At step {at} the bias of layers.2.feed_forward.w1 becomes -50: its GELU is zero from then on.",
            dead,
        ),
        "lr": (f"At step {at} the learning rate becomes {_FACTOR} times as high.", rate),
        "nan": (f"At step {at} one weight of layers.1.attention_norm becomes NaN.", nan),
    }[kind]
