"""Block formats of operands (`track(formats=[...])`): what casts of inputs, weights, outputs and gradients would do."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tandv.measure.blocks import PARTS, block_format, block_measure, column
from tandv.messages import UnknownName
from tandv.tensor_types import ACTIVATION, GRADIENT, INPUT, WEIGHT
from tandv.track.common.measurements import Block, Key, Later, Quantity
from tandv.track.torch._measurements import TorchMeasurements

_OPERANDS = (INPUT, ACTIVATION, WEIGHT, GRADIENT)


class BlockMeasurements(TorchMeasurements):
    """The measurements of one step, with those of block formats of the operands of matrix products.

    Blocks lie along the axis that a product sums over: the last one, of weights and outputs of convolutions the second.
    Tensors on other devices are copied to the host for it. Calls of one step add up.
    """

    def __init__(self, formats: Sequence[str], *given: Any, **named: Any):
        self._formats = list(formats)
        self._sums: dict[Key, np.ndarray] = {}
        self._of_handles: dict[Any, np.ndarray] = {}
        super().__init__(*given, **named)

    def clear(self) -> None:
        self._sums, self._of_handles = {}, {}
        super().clear()

    def _add(self, tensors: Sequence[Any], quantities: Sequence[Quantity]) -> list[Any]:
        handles = super()._add(tensors, quantities)
        for tensor, quantity, handle in zip(tensors, quantities, handles, strict=True):
            if quantity.tensor_type in _OPERANDS and tensor.ndim > 1 and tensor.dtype != torch.float64:
                found = _measured(tensor, _axis(quantity, tensor), self._formats)
                self._of_handles[handle] = found
                self._note(quantity, found)
        return handles

    def _share(self, handle: Any, quantity: Quantity) -> bool:
        shared = super()._share(handle, quantity)
        if shared and handle in self._of_handles and quantity.tensor_type in _OPERANDS:
            self._note(quantity, self._of_handles[handle])
        return shared

    def _note(self, quantity: Quantity, found: np.ndarray) -> None:
        known = self._sums.get(quantity.key)
        self._sums[quantity.key] = found if known is None else known + found

    def take_later(self, step: int) -> Later:
        sums = self._sums
        later = super().take_later(step)
        return Later(lambda: _with_columns(later.make(), sums, self._formats), later.size)


def _axis(quantity: Quantity, tensor: torch.Tensor) -> int:
    return 1 if "Conv" in quantity.type and tensor.ndim > 2 else -1


def _measured(tensor: torch.Tensor, axis: int, formats: Sequence[str]) -> np.ndarray:
    values = tensor.detach().cpu()
    return block_measure((values if values.dtype == torch.float32 else values.float()).numpy(), formats, axis)


def _with_columns(block: Block, sums: dict[Key, np.ndarray], formats: Sequence[str]) -> Block:
    """Return the rows of a step with the sums of their blocks, NaN in rows of tensors that were not measured so."""
    more: dict[str, np.ndarray] = {}
    rows = [(at, sums[one.key]) for at, one in enumerate(block.quantities) if one.key in sums]
    for i, name in enumerate(formats):
        for k, part in enumerate(PARTS):
            values = more[column(part, name)] = np.full(len(block.quantities), np.nan)
            for at, found in rows:
                values[at] = found[i, k]
    return block._replace(scalars=block.scalars | more)


def format_problems(formats: Any, only_one_process: bool, own_function: bool) -> list[str]:
    """Return everything that is wrong with `formats=`."""
    if formats is None:
        return []
    if isinstance(formats, str) or not isinstance(formats, Sequence):
        return [f"formats={formats!r} must be a list of block formats such as ['mxfp8_e4m3', 'mxfp4']"]
    found = []
    for name in formats:
        try:
            block_format(name)
        except UnknownName as error:
            found.append(f"formats: {error}")
    if not only_one_process:
        found.append("formats= measures those of one process; leave it out where several ranks are tracked together")
    if own_function:
        found.append("formats= and a stash_value= of your own cannot be combined; leave one out")
    return found
