"""Arrays of any library as NumPy's.

>>> as_array([1.0, 2.0])
array([1., 2.])
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tandv.messages import some


def as_array(values: Any) -> np.ndarray:
    """Return values as an array of NumPy; tensors of PyTorch may require a gradient and lie on any device.

    Formats that NumPy lacks (bfloat16 and those of 8 bits) become float32, which holds them exactly.

    >>> import torch
    >>> as_array(torch.ones(2, dtype=torch.bfloat16, requires_grad=True))
    array([1., 1.], dtype=float32)

    Args:
        values: an array, a tensor, a number, or lists of these.

    Raises TypeError for a dict and for None.
    """
    if isinstance(values, Mapping):
        inside = some([repr(name) for name in values])
        raise TypeError(f"expected an array, got a dict of {inside or 'nothing'}; give one of its arrays")
    if values is None:
        raise TypeError("expected an array, got None")
    if hasattr(values, "detach") and hasattr(values, "is_floating_point"):
        tensor = values.detach().cpu()
        try:
            return tensor.resolve_conj().resolve_neg().numpy()
        except TypeError:  # a format that NumPy lacks
            return tensor.float().numpy()
    if isinstance(values, list | tuple) and _holds_tensors(values):
        return np.stack([as_array(one) for one in values])
    array = np.asarray(values)
    # Formats that NumPy knows only as those of ml_dtypes, which JAX uses, have arithmetic but are no floats to NumPy.
    return array.astype(np.float32) if array.dtype.kind == "V" and array.dtype.names is None else array


def _holds_tensors(values: Any) -> bool:
    if isinstance(values, list | tuple):
        return any(map(_holds_tensors, values[:1] if values and isinstance(values[0], list | tuple) else values))
    return hasattr(values, "detach")
