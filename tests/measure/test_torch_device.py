import contextlib

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tandv import statistics
from tandv.measure import device as device_rows
from tandv.measure import measure, torch_operations
from tandv.measure.device import DeviceRows

FLOATS = [torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2]


class StaysOnTheDevice(TorchDispatchMode):
    """Raises when an operation reads a value, has a shape that depends on values, or leaves the device."""

    reads = ("_local_scalar_dense", "is_nonzero", "equal", "index", "nonzero", "bincount", "masked_select", "_unique2")

    def __init__(self, device: str):
        super().__init__()
        self._device = device

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in self.reads:
            raise AssertionError(f"{func} waits for the device")
        for argument in tree_leaves((args, kwargs)):
            kind = argument if isinstance(argument, torch.device) else getattr(argument, "device", None)
            if kind is not None and kind.type != self._device:
                raise AssertionError(f"{func} touches {kind}")
        return func(*args, **(kwargs or {}))


def words(device: str, size: int = 3) -> torch.Tensor:
    return torch_operations.clear(torch.empty(size, torch_operations.WORDS, dtype=torch.int64, device=device))


@pytest.mark.parametrize("dtype", FLOATS)
def test_measuring_stays_on_the_device(dtype, monkeypatch):
    monkeypatch.setattr(torch_operations, "_SLICE", 1000)
    with StaysOnTheDevice("meta"):  # which has no values that could be read
        rows = words("meta")
        big, strided = torch.empty(2500, device="meta", dtype=dtype), torch.empty(4, 6, device="meta", dtype=dtype)
        none, single = torch.empty(0, 5, device="meta", dtype=dtype), torch.empty((), device="meta", dtype=dtype)
        torch_operations.add([big, strided.t()[1:]], [0, 2], rows)
        torch_operations.add([none], [1], rows)
        torch_operations.add([single], [1], rows)


@pytest.mark.parametrize(
    "breach",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        lambda x: x.sum().cpu(),
        lambda x: x + torch.ones(3),
        lambda x: torch.bincount(x.int()),
    ],
)
def test_the_guard_of_the_test_above_can_fail(breach):
    with pytest.raises(AssertionError, match="waits|touches"), StaysOnTheDevice("meta"):
        breach(torch.empty(3, device="meta"))


def test_large_tensors_are_measured_slice_by_slice(monkeypatch):
    monkeypatch.setattr(torch_operations, "_SLICE", 7)
    tensor = torch.tensor([float("nan"), 1e30, 2.0, -3e-40, 0.0] * 6)
    rows = words("cpu")
    torch_operations.add([tensor], [1], rows)
    found = rows.numpy().view(statistics.ROW).reshape(-1)[1:2]
    one, other = statistics.summarise(found), statistics.summarise(measure([tensor]))
    for name, values in one.items():
        assert values == pytest.approx(other[name], rel=1e-6), name
    assert statistics.counts_of(found[0]) == {-float("inf"): 6, -132: 6, 1: 6, 99: 6}


def test_a_blank_row_is_the_measurement_of_nothing():
    assert (words("cpu").numpy().view(statistics.ROW).reshape(-1) == statistics.empty_rows(3)).all()


class Stream:
    def __init__(self, name: str, notes: list[str]):
        self.name, self.notes = name, notes

    def wait_stream(self, other):
        self.notes.append(f"{self.name} waits for {other.name}")

    def wait_event(self, event):
        self.notes.append(f"{self.name} waits for event {event.number}")


class Event:
    def __init__(self, number: int, notes: list[str]):
        self.number, self.notes, self.happened = number, notes, False

    def record(self, stream):
        self.notes.append(f"event {self.number} after {stream.name}")

    def synchronize(self):
        self.notes.append(f"the host waits for event {self.number}")


class Streams:
    """Stands for `torch.cuda`: notes who waits for whom; an event has happened when the test says so."""

    def __init__(self):
        self.notes: list[str] = []
        self.events: list[Event] = []

    def Stream(self, device):
        return Stream("side", self.notes)

    def Event(self):
        self.events.append(Event(len(self.events), self.notes))
        return self.events[-1]

    def current_stream(self, device):
        return Stream("main", self.notes)

    @contextlib.contextmanager
    def stream(self, stream):
        self.notes.append(f"on {stream.name}")
        yield


def test_the_copy_goes_on_beside_the_next_step(monkeypatch):
    streams = Streams()
    monkeypatch.setattr(device_rows, "_streams", lambda device: streams)
    monkeypatch.setattr(DeviceRows, "_room_on_host", lambda self: torch.empty_like(self._words))
    rows, sent = DeviceRows("cpu", 1, producer="torch"), []
    for value in (1.0, 2.0):
        rows.add([torch.tensor([value])], [0])
        sent.append(rows.send())
    assert streams.notes == [
        *("side waits for main", "on side", "event 0 after side"),
        *("main waits for event 0", "side waits for main", "on side", "event 1 after side"),
    ]
    streams.notes.clear()
    assert sent[1].rows()["max_abs"].tolist() == [2.0]
    assert sent[0].rows()["max_abs"].tolist() == [1.0]
    sent[0].rows()
    assert streams.notes == ["the host waits for event 1", "the host waits for event 0"]
    rows.grow(2)
    assert streams.notes[2:] == ["main waits for event 1"]  # before the memory that is copied from is given up
