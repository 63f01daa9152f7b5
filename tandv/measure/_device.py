"""Rows that live on a device: added to by kernels, copied to the host once a step, read when they arrive."""

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch

from tandv import measure, statistics
from tandv.measure import _torch

MEASURED = tuple(name for name in measure.MEASURED if name != "float64" and hasattr(torch, name))  # dtypes, by name
_DTYPES = {getattr(torch, name) for name in MEASURED}


class _Copy(NamedTuple):
    """A copy of the rows on its way to the host."""

    host: torch.Tensor
    arrived: Any  # an event, or None where copies are done at once


class DeviceRows:
    """The rows of one device, numbered from 0: tensors are measured where they live.

    >>> rows = DeviceRows("cpu", 2)
    >>> rows.add([torch.tensor([3.0, -4.0]), torch.ones(5)], [0, 1])
    >>> rows.start_copy()
    >>> statistics.summarise(rows.rows())["max_abs"].tolist()
    [4.0, 1.0]

    No method but `rows` waits for the device, so a step is read while the next ones go on. `depth` is how
    many copies may be on their way. `producer` is "triton", "torch" (plain operations, for any device with
    float64) or "host" (for the CPU); by default the best that the device has.
    """

    def __init__(self, device: torch.device | str, size: int, *, producer: str | None = None, depth: int = 2):
        self.device = torch.empty(0, device=device).device  # with its number
        self.producer = producer or _best_producer(self.device)
        self.depth = depth
        self._measure = _PRODUCERS[self.producer](self.device)
        self._proven = self.producer != "triton"
        self._size = size
        self._words = _torch.clear(self._new(size))
        self._departing = self._new(size)
        self._api: Any = _streams(self.device)
        self._stream: Any = self._api.Stream(self.device) if self._api else None
        self._departed: Any = None  # the event after which the departing rows may change
        self._on_their_way: deque[_Copy] = deque()
        self._spare: list[torch.Tensor] = []

    def __len__(self) -> int:
        return self._size

    def grow(self, size: int) -> None:
        """Make room for `size` rows; what the rows have measured stays."""
        if size > len(self):
            self._wait_until_departed()
            larger = _torch.clear(self._new(size))
            larger[: self._size].copy_(self._words)
            self._size, self._words, self._departing = size, larger, self._new(size)
            self._spare.clear()

    def add(self, tensors: Sequence[torch.Tensor], places: Sequence[int]) -> None:
        """Measure each tensor into the row at its place, merging with what the row holds already.

        Raises ValueError naming every tensor that cannot be measured: of a type that is not in `MEASURED`, on
        another device, or for a row that is not there.
        """
        for tensor, place in zip(tensors, places, strict=True):
            if tensor.dtype not in _DTYPES or tensor.device != self.device or not 0 <= place < self._size:
                found = self._problems(tensors, places)
                raise ValueError(f"cannot measure on {self.device}:\n  " + "\n  ".join(found))
        if len(set(places)) == len(places):
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

    def start_copy(self) -> None:
        """End a step: send its rows to the host, and go on with rows that have measured nothing.

        Raises RuntimeError if `depth` copies have been started and not been read.
        """
        if len(self._on_their_way) >= self.depth:
            raise RuntimeError(
                f"{self.depth} copies have been started and not been read; call rows() first, or allow more with depth="
            )
        self._measure.finish(self._words)
        self._wait_until_departed()
        self._departing.copy_(self._words)
        _torch.clear(self._words)
        self._on_their_way.append(self._send())

    def rows(self, wait: bool = True) -> np.ndarray | None:
        """Return the rows (`statistics.ROW`) of the oldest copy not read yet, or None if there is none.

        If it has not arrived, wait for it, or return None with `wait=False`.
        """
        if not self._on_their_way:
            return None
        host, arrived = self._on_their_way[0]
        if arrived is not None and not arrived.query():
            if not wait:
                return None
            arrived.synchronize()
        self._on_their_way.popleft()
        if len(host) == self._size:
            self._spare.append(host)
        return _as_rows(host).copy()

    def _add(self, tensors: Sequence[torch.Tensor], places: Sequence[int]) -> None:
        try:
            self._measure.add(tensors, places, self._words)
        except Exception as error:
            if self._proven:
                raise
            # Nothing was measured yet: a kernel that cannot be compiled here fails before it is launched.
            warnings.warn(
                f"measuring on {self.device} by Triton failed ({type(error).__name__}: {error}); "
                "plain torch operations serve instead, which is slower",
                stacklevel=4,
            )
            self.producer, self._measure = "torch", _PRODUCERS["torch"](self.device)
            _torch.clear(self._words)
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

    def _send(self) -> _Copy:
        host = self._spare.pop() if self._spare else self._new_on_host()
        if self._api is None:
            host.copy_(self._departing)
            return _Copy(host, None)
        self._stream.wait_stream(self._api.current_stream(self.device))
        with self._api.stream(self._stream):
            host.copy_(self._departing, non_blocking=True)
            self._departed = self._api.Event()
            self._departed.record(self._stream)
        return _Copy(host, self._departed)

    def _wait_until_departed(self) -> None:
        """Let the device, not the host, wait until the last copy has left it."""
        if self._departed is not None:
            self._api.current_stream(self.device).wait_event(self._departed)

    def _new(self, size: int) -> torch.Tensor:
        return torch.empty(size, _torch.WORDS, dtype=torch.int64, device=self.device)

    def _new_on_host(self) -> torch.Tensor:
        return torch.empty(self._size, _torch.WORDS, dtype=torch.int64, pin_memory=self._api is not None)


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
    "torch": lambda device: _Direct(_torch.add),
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
