"""The measurements of a step whose tensors may be on devices: they are measured there, and read a step later."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from tandv import measure
from tandv.measure.device import MEASURED, DeviceRows, SentRows
from tandv.track.common.measurements import Later, Quantity, StepMeasurements, block

_WITH_FLOAT64 = ("cuda", "xpu")  # kinds of devices on which `DeviceRows` can measure
_AT_FIRST = 512  # rows of a device


class _SentPart(NamedTuple):
    """Rows of a device that are being copied to the host."""

    quantities: list[Quantity]
    dtypes: list[str]
    places: list[int]
    rows: SentRows

    def part(self) -> tuple[list[Quantity], list[str], np.ndarray]:
        """Wait for the rows, and return them as `block` takes them."""
        return self.quantities, self.dtypes, self.rows.rows()[self.places]


def lives_on_device(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor is measured on its device; others, such as float64 ones, are copied to the host."""
    return not tensor.is_cpu and tensor.device.type in _WITH_FLOAT64 and measure.dtype_name(tensor) in MEASURED


class TorchMeasurements(StepMeasurements):
    """The measurements of one step on the host and on devices; `take_later` waits for no device.

    The rows that it returns are waited for when they are made, which the writer's thread does.
    """

    def __init__(
        self,
        exponents: tuple[int, int] | None = None,
        threads: Callable[[], int] = torch.get_num_threads,
        on_device: Callable[[torch.Tensor], bool] = lives_on_device,
        device_rows: Callable[[torch.device, int], DeviceRows] = DeviceRows,
    ):
        self._on_device, self._device_rows = on_device, device_rows
        self._devices: dict[torch.device, DeviceRows] = {}
        self._there: dict[torch.device, list[tuple[Quantity, str, int]]] = defaultdict(list)
        self._used_there: dict[torch.device, int] = defaultdict(int)
        self._sent: list[_SentPart] = []  # within this step, where it has very many calls
        super().__init__(exponents, threads)

    def __bool__(self) -> bool:
        return super().__bool__() or bool(self._sent or any(self._there.values()))

    def clear(self) -> None:
        for device, used in self._used_there.items():
            if used:
                self._devices[device].clear()
        self._forget_there()
        self._sent = []
        super().clear()

    def _add(self, tensors: Sequence[Any], quantities: Sequence[Quantity]) -> list[Any]:
        if not any(map(self._on_device, tensors)):  # as always on the CPU
            return super()._add([tensor if tensor.is_cpu else tensor.cpu() for tensor in tensors], quantities)
        groups: dict[torch.device | None, list[int]] = defaultdict(list)
        for i, tensor in enumerate(tensors):
            groups[tensor.device if self._on_device(tensor) else None].append(i)
        handles: list[Any] = [None] * len(tensors)
        for device, mine in groups.items():
            some, theirs = [tensors[i] for i in mine], [quantities[i] for i in mine]
            if device is None:
                found = super()._add([tensor if tensor.is_cpu else tensor.cpu() for tensor in some], theirs)
            else:
                found = self._add_there(device, some, theirs)
            for i, handle in zip(mine, found, strict=True):
                handles[i] = handle
        return handles

    def _share(self, handle: Any, quantity: Quantity) -> bool:
        given_in, name, layout, place = handle
        if not isinstance(layout, torch.device):
            return super()._share(handle, quantity)
        if given_in == self.round:
            self._there[layout].append((quantity, name, place))
        return given_in == self.round

    def take_later(self, step: int) -> Later:
        with self._alone:
            self._send()
            parts, sent, exponents = self._parts(), self._sent, self.exponents
            self._sent = []
            self.clear()
        size = sum(rows.nbytes for *_, rows in parts) + sum(one.rows.nbytes for one in sent)
        return Later(lambda: block(step, [*parts, *(one.part() for one in sent)], exponents), size)

    def _merge_early(self) -> None:
        self._send()
        sent, self._sent = self._sent, []
        super()._merge_early()
        self._sent = sent

    def _add_there(
        self, device: torch.device, tensors: Sequence[torch.Tensor], quantities: Sequence[Quantity]
    ) -> list[Any]:
        if sum(self._used_there.values()) + len(tensors) > max(self.at_most, len(tensors)):
            self._merge_early()
        if device not in self._devices:
            self._devices[device] = self._device_rows(device, max(_AT_FIRST, 2 * len(tensors)))
        rows, first = self._devices[device], self._used_there[device]
        places = range(first, first + len(tensors))
        if places.stop > len(rows):
            rows.grow(2 * places.stop)
        self._used_there[device] = places.stop
        rows.add(tensors, places)
        names = [measure.dtype_name(tensor) for tensor in tensors]
        self._there[device] += zip(quantities, names, places, strict=True)
        return [(self.round, name, device, place) for name, place in zip(names, places, strict=True)]

    def _send(self) -> None:
        """Begin to copy the rows of the devices to the host; nothing waits."""
        for device, entries in self._there.items():
            if entries:
                quantities, dtypes, places = map(list, zip(*entries, strict=True))
                self._sent.append(_SentPart(quantities, dtypes, places, self._devices[device].send()))
        self._forget_there()

    def _forget_there(self) -> None:
        self._there.clear()
        self._used_there.clear()
