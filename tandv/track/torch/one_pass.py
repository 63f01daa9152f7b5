"""One forward and backward pass of a model, recorded, after which the model is as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

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
            become tensors on the model's device.
        loss: a function of what the model returns, which returns one number; None for `.loss` where it has one, else
            the mean square of all that it returns.
        folder: where the log is written.
        seed: of random numbers, such as those of dropout.
        inputs: whether to record what modules are given, too.
    """
    where = next((one.device for one in model.parameters()), torch.device("cpu"))
    arguments, named = _called_with(batch, where)
    with _put_back(model), torch.random.fork_rng():
        torch.manual_seed(seed)
        with track(
            model, path=folder, offload_type=".parquet", only_stash_during_training=False, inputs=inputs
        ) as tracker, torch.enable_grad():  # fmt: skip
            returned = model(*arguments, **named)
            (mean_square(returned) if loss is None else loss(returned)).backward()
            tracker.step()


def mean_square(returned: Any) -> torch.Tensor:
    """Return a loss of whatever a model returns.

    >>> float(mean_square({"logits": torch.tensor([3.0, 4.0]), "ids": torch.tensor([1])}))
    12.5

    Args:
        returned: tensors, or containers of them; `loss` in it is taken as it is.

    Raises ValueError if there is nothing in it that a gradient could flow from.
    """
    own = returned.get("loss") if isinstance(returned, dict) else getattr(returned, "loss", None)
    if isinstance(own, torch.Tensor) and own.numel() == 1:
        return own
    found = [one for one in tree_leaves(returned) if isinstance(one, torch.Tensor)]
    found = [one for one in found if one.is_floating_point()]
    if not found:
        raise ValueError(
            "the model returns no tensor of floating point numbers; give loss=, a function of what it returns"
        )
    return torch.stack([one.float().square().mean() for one in found]).sum()


def _called_with(batch: Any, where: torch.device) -> tuple[tuple, dict]:
    def on(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to(where)
        return torch.as_tensor(value, device=where) if hasattr(value, "__array__") else value

    if isinstance(batch, dict):
        return (), {name: on(value) for name, value in batch.items()}
    return tuple(map(on, batch if isinstance(batch, tuple) else (batch,))), {}


@contextmanager
def _put_back(model: torch.nn.Module) -> Iterator[None]:
    """Put gradients and buffers back as they were."""
    gradients = [(one, one.grad) for one in model.parameters()]
    buffers = [(one, one.detach().clone()) for one in model.buffers()]
    for one, _ in gradients:
        one.grad = None
    try:
        yield
    finally:
        for one, gradient in gradients:
            one.grad = gradient
        with torch.no_grad():
            for one, was in buffers:
                one.copy_(was)
