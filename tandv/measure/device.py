"""Rows in the memory of a device: kernels add to them, and they are copied to the host once a step."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch

from tandv import measure, statistics
from tandv.measure import torch_operations
from tandv.measure.repeats import once_each

MEASURED = tuple(name for name in measure.MEASURED if name != "float64" and hasattr(torch, name))  # dtypes, by name
_LARGE = 1 << 20  # elements from which an expanded tensor is not copied
_DTYPES = {getattr(torch, name) for name in MEASURED}


class Arriving:
    """Numbers that are being copied from a device to the host; reading them waits for the copy.

    >>> float(Arriving(torch.tensor(2.0)))
    2.0
    """

    def __init__(self, tensor: torch.Tensor):
        tensor = tensor.detach()
        api = _streams(tensor.device)
        self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=api is not None)
        self._host.copy_(tensor, non_blocking=True)
        self._arrived: Any = None
        if api:
            self._arrived = api.Event()
            self._arrived.record(api.current_stream(tensor.device))

    def numpy(self) -> np.ndarray:
        """Wait for the numbers and return them."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._host.numpy()

    def __float__(self) -> float:
        return float(self.numpy())


class SentRows:
    """A step's rows that are being copied to the host; any thread may read them."""

    def __init__(self, host: torch.Tensor, arrived: Any, spare: list[torch.Tensor]):
        self.nbytes = host.nbytes
        self._host, self._arrived, self._spare = host, arrived, spare
        self._rows: np.ndarray | None = None

    def rows(self) -> np.ndarray:
        """Wait until the rows have arrived, and return them (`statistics.ROW`)."""
        if self._rows is None:
            if self._arrived is not None:
                self._arrived.synchronize()
            self._rows = _as_rows(self._host).copy()
            self._spare.append(self._host)  # its memory is reused
        return self._rows


class DeviceRows:
    """The rows of one device, numbered from 0: tensors are measured on the device.

    >>> rows = DeviceRows("cpu", 2)
    >>> rows.add([torch.tensor([3.0, -4.0]), torch.ones(5)], [0, 1])
    >>> sent = rows.send()
    >>> statistics.summarise(sent.rows())["max_abs"].tolist()
    [4.0, 1.0]

    Nothing here waits for the device; only `SentRows.rows` does, so a step is read while later steps run.
    `producer` is "triton", "torch" (plain operations, for any device with float64) or "host" (for the CPU); by
    default the best that the device has.
    """

    def __init__(self, device: torch.device | str, size: int, *, producer: str | None = None):
        self.device = torch.empty(0, device=device).device  # with its number
        self.producer = producer or _best_producer(self.device)
        self._measure = _PRODUCERS[self.producer](self.device)
        self._proven = self.producer != "triton"
        self._size = size
        self._words = torch_operations.clear(self._new(size))
        self._departing = self._new(size)
        self._api: Any = _streams(self.device)
        self._stream: Any = self._api.Stream(self.device) if self._api else None
        self._departed: Any = None  # the event after which the departing rows may change
        self._spare: list[torch.Tensor] = []

    def __len__(self) -> int:
        return self._size

    def grow(self, size: int) -> None:
        """Make room for `size` rows; what the rows have measured stays."""
        if size > len(self):
            self._wait_until_departed()
            larger = torch_operations.clear(self._new(size))
            larger[: self._size].copy_(self._words)
            self._size, self._words, self._departing = size, larger, self._new(size)

    def add(self, tensors: Sequence[torch.Tensor], places: Sequence[int]) -> None:
        """Measure each tensor into the row at its place, merging with what the row holds already.

        Raises ValueError naming every tensor that cannot be measured: of a type that is not in `MEASURED`, on
        another device, or for a row that is not there.
        """
        for tensor, place in zip(tensors, places, strict=True):
            if tensor.dtype not in _DTYPES or tensor.device != self.device or not 0 <= place < self._size:
                found = self._problems(tensors, places)
                raise ValueError(f"cannot measure on {self.device}:\n  " + "\n  ".join(found))
        expanded = [tensor.numel() > _LARGE and once_each(tensor).numel() < tensor.numel() for tensor in tensors]
        if any(expanded):  # these must not be materialised
            self._measure.finish(self._words)  # a row that they merge into must be whole
            for tensor, place, again in zip(tensors, places, expanded, strict=True):
                if again:
                    torch_operations.add_repeated(tensor, place, self._words)
            tensors = [tensor for tensor, again in zip(tensors, expanded, strict=True) if not again]
            places = [place for place, again in zip(places, expanded, strict=True) if not again]
        if len(set(places)) == len(places):
            if places:
                self._add(tensors, places)
            return
        waiting = list(zip(tensors, places, strict=True))
        while waiting:  # a row takes one tensor at a time
            now, later = {}, []
            for tensor, place in waiting:
                if place in now:
                    later.append((tensor, place))
                else:
                    now[place] = tensor
            self._add(list(now.values()), list(now))
            waiting = later

    def send(self) -> SentRows:
        """End a step: send its rows to the host, and go on with rows that have measured nothing."""
        self._measure.finish(self._words)
        self._wait_until_departed()
        self._departing.copy_(self._words)
        torch_operations.clear(self._words)
        host = self._room_on_host()
        if self._api is None:
            host.copy_(self._departing)
            return SentRows(host, None, self._spare)
        self._stream.wait_stream(self._api.current_stream(self.device))
        with self._api.stream(self._stream):
            host.copy_(self._departing, non_blocking=True)
            self._departed = self._api.Event()
            self._departed.record(self._stream)
        return SentRows(host, self._departed, self._spare)

    def clear(self) -> None:
        """Forget what was measured since the last `send`."""
        self._measure.finish(self._words)
        torch_operations.clear(self._words)

    def _add(self, tensors: Sequence[torch.Tensor], places: Sequence[int]) -> None:
        before = None if self._proven else self._words.clone()  # expanded tensors may have been measured
        try:
            self._measure.add(tensors, places, self._words)
        except Exception as error:
            if before is None:
                raise
            warnings.warn(
                f"measuring on {self.device} by Triton failed ({type(error).__name__}: {error}); "
                "plain torch operations serve instead, which is slower",
                stacklevel=4,
            )
            self.producer, self._measure = "torch", _PRODUCERS["torch"](self.device)
            self._words.copy_(before)  # without what a kernel that could be compiled has counted
            self._measure.add(tensors, places, self._words)
        self._proven = True

    def _problems(self, tensors: Sequence[torch.Tensor], places: Sequence[int]) -> Iterator[str]:
        for number, (tensor, place) in enumerate(zip(tensors, places, strict=True)):
            if tensor.dtype not in _DTYPES:
                yield f"tensor {number} is of {measure.dtype_name(tensor)}; allowed are {', '.join(MEASURED)}"
            if tensor.device != self.device:
                yield f"tensor {number} is on {tensor.device}; each device needs DeviceRows of its own"
            if not 0 <= place < self._size:
                yield f"row {place} is not among 0 to {self._size - 1}; make room with grow()"

    def _wait_until_departed(self) -> None:
        """Let the device, not the host, wait for the last copy."""
        if self._departed is not None:
            self._api.current_stream(self.device).wait_event(self._departed)

    def _new(self, size: int) -> torch.Tensor:
        return torch.empty(size, torch_operations.WORDS, dtype=torch.int64, device=self.device)

    def _room_on_host(self) -> torch.Tensor:
        while self._spare:  # smaller ones, from before the rows grew, are dropped
            if len(host := self._spare.pop()) == self._size:
                return host
        return torch.empty(self._size, torch_operations.WORDS, dtype=torch.int64, pin_memory=self._api is not None)


class _Direct(NamedTuple):
    """A producer that merges each tensor into its row at once."""

    add: Callable[[Sequence[torch.Tensor], Sequence[int], torch.Tensor], None]

    def finish(self, words: torch.Tensor) -> None:
        """Nothing is left to do."""


def _by_triton(device: torch.device) -> Any:
    from tandv.measure._launch import Launches

    return Launches(device)


def _add_on_host(tensors: Sequence[torch.Tensor], places: Sequence[int], words: torch.Tensor) -> None:
    measure.add([tensor.detach() for tensor in tensors], places, _as_rows(words), torch.get_num_threads())


def _as_rows(words: torch.Tensor) -> np.ndarray:
    return words.numpy().view(statistics.ROW).reshape(-1)


_PRODUCERS: dict[str, Callable[[torch.device], Any]] = {
    "triton": _by_triton,
    "torch": lambda device: _Direct(torch_operations.add),
    "host": lambda device: _Direct(_add_on_host),
}


def _streams(device: torch.device) -> Any:
    """Return torch's module of the device's kind, which has its streams and events, or None for the CPU."""
    return None if device.type == "cpu" else getattr(torch, device.type)


def _best_producer(device: torch.device) -> str:
    if device.type == "cpu":
        return "host"
    if device.type == "cuda" and find_spec("triton") and torch.cuda.get_device_capability(device) >= (7, 0):
        return "triton"
    return "torch"
