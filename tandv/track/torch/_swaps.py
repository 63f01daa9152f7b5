"""Tensors that are swapped: `torch.utils.swap_tensors` refuses those to which there is a weak reference.

It is how `model.double()` and `load_state_dict` replace parameters and their gradients where
`torch.__future__.set_swap_module_params_on_conversion(True)` asks for it, and for some classes of tensors always.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch

from tandv.track.torch._patching import Observed


class _Swaps(Observed):
    """Tells listeners of two tensors before they are swapped, `listener(one, other, False)`, and after, `True`."""

    def _told(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def told(t1: torch.Tensor, t2: torch.Tensor) -> Any:
            listeners: list[Any] = list(self._listeners)
            for listener in listeners:
                listener(t1, t2, False)
            try:
                return original(t1, t2)
            finally:
                for listener in listeners:
                    listener(t1, t2, True)

        return told


swaps = _Swaps("swap_tensors")
