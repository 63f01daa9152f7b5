"""One forward and backward pass of a model, recorded, after which the model is as it was."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves, tree_map

from tandv.track.torch._track import track


def one_pass(
    model: torch.nn.Module, batch: Any, loss: Callable[[Any], Any] | None, folder: Path, seed: int, inputs: bool = False
) -> None:
    """Write the log of one forward and backward pass of a model into a folder.

    Gradients, buffers and random state are put back to what they were.

    >>> from tandv import logframe
    >>> model = torch.nn.Linear(2, 1)
    >>> one_pass(model, torch.ones(3, 2), None, Path("once-torch"), seed=0, inputs=True)
    >>> model.weight.grad is None, logframe.tensor_types("once-torch")
    (True, ['Input', 'Activation', 'Gradient', 'Weight', 'Weight_Gradient'])

    Args:
        model: the model, in the mode in which it shall run.
        batch: what it is called with: one argument, a tuple of them, or a dict of those that have names. NumPy arrays
            become tensors on the model's device, floating point numbers in the format of its weights.
        loss: a function of what the model returns, which returns one number; None for `.loss` where it has one, else
            the mean square of all that it returns.
        folder: where the log is written.
        seed: of random numbers, such as those of dropout.
        inputs: whether to record what modules are given, too.
    """
    with _put_back(model), torch.random.fork_rng(), torch.inference_mode(False), torch.enable_grad():
        arguments, named = _called_with(batch, model)
        torch.manual_seed(seed)
        with track(
            model, path=folder, offload_type=".parquet", only_stash_during_training=False, inputs=inputs
        ) as tracker:
            returned = model(*arguments, **named)
            value = mean_square(returned) if loss is None else _number(loss(returned))
            if value.requires_grad:  # of a model that is frozen, or has no parameters, there is the forward pass alone
                value.backward()
            tracker.step()


def _number(value: Any) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        what = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(
            f"loss returned {what}; it is a function of what the model returns, and returns one number, as a tensor"
        )
    return value


def mean_square(returned: Any) -> torch.Tensor:
    """Return a loss of whatever a model returns.

    >>> float(mean_square({"logits": torch.tensor([3.0, 4.0]), "ids": torch.tensor([1])}))
    12.5

    Args:
        returned: tensors, or containers of them; `loss` in it is taken as it is.

    Raises ValueError if there is nothing in it that a gradient could flow from.
    """
    own = returned.get("loss") if isinstance(returned, Mapping) else getattr(returned, "loss", None)
    if isinstance(own, torch.Tensor) and own.numel() == 1:
        return own
    found = [one for one in _tensors(returned) if one.is_floating_point() or one.is_complex()]
    if not found:
        raise ValueError(
            "the model returns no tensor of floating point numbers; give loss=, a function of what it returns"
        )
    return torch.stack(
        [one.abs().float().square().mean() if one.is_complex() else one.float().square().mean() for one in found]
    ).sum()


def _tensors(value: Any) -> list[torch.Tensor]:
    """Return the tensors in containers, dataclasses among them."""
    out: list[torch.Tensor] = []
    for one in tree_leaves(value):
        if isinstance(one, torch.Tensor):
            out.append(one)
        elif dataclasses.is_dataclass(one) and not isinstance(one, type):
            out += _tensors([getattr(one, field.name) for field in dataclasses.fields(one)])
    return out


def _called_with(batch: Any, model: torch.nn.Module) -> tuple[tuple, dict]:
    """Return copies of what a model is called with, on its device, since a model may write into what it is given.

    NumPy's floating point numbers are float64 where nothing else was said; they take the format of the model's weights.
    """
    weights = next((one for one in model.parameters() if one.is_floating_point()), None)
    first = next(model.parameters(), None)
    where = first.device if first is not None else torch.device("cpu")

    def on(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.detach().to(where, copy=True).requires_grad_(value.requires_grad)
        if not hasattr(value, "__array__"):
            return value
        made = torch.tensor(np.asarray(value), device=where)
        return made.to(weights.dtype) if weights is not None and made.is_floating_point() else made

    if isinstance(batch, Mapping):
        return (), {str(name): tree_map(on, value) for name, value in batch.items()}
    return tuple(tree_map(on, one) for one in (batch if isinstance(batch, tuple) else (batch,))), {}


@contextmanager
def _put_back(model: torch.nn.Module) -> Iterator[None]:
    """Put gradients and buffers back as they were: what was written into, and what was replaced."""
    gradients = [(one, one.grad) for one in model.parameters()]
    buffers = [
        (module, name, one, None if one is None else one.detach().clone())
        for module in model.modules()
        for name, one in module._buffers.items()
    ]
    for one, _ in gradients:
        one.grad = None
    try:
        yield
    finally:
        for one, gradient in gradients:
            one.grad = gradient
        with torch.no_grad():
            for module, name, one, was in buffers:
                module._buffers[name] = one
                if one is not None and was is not None and not torch.equal(one, was):
                    one.copy_(was)
