"""Arrays of any library as NumPy's.

>>> as_array([1.0, 2.0])
array([1., 2.])
"""

from typing import Any

import numpy as np


def as_array(values: Any) -> np.ndarray:
    """Return values as an array of NumPy; tensors of PyTorch may require a gradient and lie on any device.

    Tensors of formats that NumPy lacks (bfloat16 and those of 8 bits) become float32, which holds them exactly.

    >>> import torch
    >>> as_array(torch.ones(2, dtype=torch.bfloat16, requires_grad=True))
    array([1., 1.], dtype=float32)

    Args:
        values: an array, a tensor, a number, or lists of these.
    """
    if hasattr(values, "detach") and hasattr(values, "is_floating_point"):
        tensor = values.detach().cpu()
        try:
            return tensor.resolve_conj().resolve_neg().numpy()
        except TypeError:  # a format that NumPy lacks
            return tensor.float().numpy()
    if isinstance(values, list | tuple) and any(hasattr(one, "detach") for one in values):
        return np.stack([as_array(one) for one in values])
    return np.asarray(values)
