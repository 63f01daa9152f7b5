"""Ready-made functions for `stash_value`, and examples of what such a function returns."""

from typing import Any

import torch

from tandv import measure, statistics
from tandv.track.torch.values import measurable


def stash_scalar_stats(tensor: torch.Tensor) -> dict[str, Any]:
    """Return every scalar statistic of a tensor.

    >>> stash_scalar_stats(torch.tensor([3.0, -4.0]))["scalar_stats"]["max_abs"]
    4.0

    Args:
        tensor: of any shape, of a float type, on any device; statistics have the unit of its values.

    Raises TypeError for a tensor of another type.
    """
    summary = statistics.summarise(_row(tensor))
    return {"scalar_stats": {name: values[0].item() for name, values in summary.items() if name != "calls"}}


def stash_hist(tensor: torch.Tensor) -> dict[str, Any]:
    """Return how many values lie in each power of two, -inf for zeros and inf for infinities.

    >>> stash_hist(torch.tensor([1.0, 1.5, 0.0]))
    {'exp_hist': {'hist': [1, 2], 'bins': [-inf, 0]}}

    Args:
        tensor: of any shape, of a float type, on any device.

    Raises TypeError for a tensor of another type.
    """
    counts = statistics.counts_of(_row(tensor)[0])
    return {"exp_hist": {"hist": list(counts.values()), "bins": list(counts)}}


def stash_all_stats_and_hist(tensor: torch.Tensor) -> dict[str, Any]:
    """Return the scalar statistics and the histogram; given to `track` it is the default, which does not call it.

    >>> list(stash_all_stats_and_hist(torch.tensor([1.0, 2.0])))
    ['scalar_stats', 'exp_hist']

    Args:
        tensor: of any shape, of a float type, on any device.

    Raises TypeError for a tensor of another type.
    """
    return stash_scalar_stats(tensor) | stash_hist(tensor)


def stash_full_tensor(tensor: torch.Tensor) -> dict[str, Any]:
    """Return statistics, histogram and the values themselves, which `track` writes to the run's `tensors/<step>.npz`.

    Types of 16 and 8 bits are written as float32, which represents their values exactly.

    >>> stash_full_tensor(torch.tensor([1.0, 2.0]))["full_tensor"].tolist()
    [1.0, 2.0]

    Args:
        tensor: of any shape, of a float type, on any device.

    Raises TypeError for a tensor of another type.
    """
    values = tensor.detach().cpu()
    values = values.float() if values.dtype.itemsize < 4 else values.clone()
    return stash_all_stats_and_hist(tensor) | {"full_tensor": values.numpy()}


def _row(tensor: torch.Tensor) -> Any:
    values = measurable(tensor)
    if values is None:
        raise TypeError(f"a tensor of {tensor.dtype} cannot be measured; it must be of a float type")
    return measure.measure([values.cpu()])
