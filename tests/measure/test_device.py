import math

import ml_dtypes
import numpy as np
import pytest
import torch
from measure.on_device import PRODUCERS, measured

from reference import reference, reference_counts
from tandv import statistics
from tandv.measure import device
from tandv.measure.device import Arriving, DeviceRows

pytestmark = pytest.mark.slow

FLOAT8 = sorted(name for name in dir(torch) if name.startswith("float8_"))
inf, nan = math.inf, math.nan
random = np.random.default_rng(0)


@pytest.fixture(params=PRODUCERS)
def producer(request):
    return request.param


def summary(row: np.void) -> dict[str, float]:
    return {name: values[0].item() for name, values in statistics.summarise(np.array([row])).items()}


def assert_right(row: np.void, values: np.ndarray, relative: float = 2e-6):
    """Compare a row with the oracle's measurement of `values`: counts exactly, moments to float32 rounding."""
    with np.errstate(invalid="ignore"):  # NaNs that signal
        expected, got = reference(values), summary(row)
        counts = reference_counts(values)
    size = expected["mean_abs"] if expected["mean_abs"] == expected["mean_abs"] else 0
    for name, value in expected.items():
        exactly = name in ("numel", "zeros", "nans", "infs", "max_abs", "min_abs")
        slack = relative * size if name == "mean" else 0
        right = value if exactly and value == value else pytest.approx(value, rel=relative, abs=slack, nan_ok=True)
        assert got[name] == right, name
    assert statistics.counts_of(row) == counts


def test_every_statistic_of_a_tensor_worked_out_by_hand(producer):
    tensor = torch.tensor([[3.0, -4.0], [0.0, nan], [inf, 5.0]])
    (rows,) = measured(producer, [([tensor], [1])])
    assert summary(rows[1]) == pytest.approx(
        {
            "mean": 1.0,
            "std": math.sqrt(50 / 4 - 1),
            "mean_abs": 3.0,
            "max_abs": 5.0,
            "min_abs": 0.0,
            "rm2": math.sqrt(50 / 4),
            "rm4": ((81 + 256 + 625) / 4) ** 0.25,
            "rm8": ((3**8 + 4**8 + 5**8) / 4) ** 0.125,
            "numel": 6,
            "zeros": 1,
            "nans": 1,
            "infs": 1,
            "calls": 1,
            "mantissa_bits": 2,  # of 5, which is 1.01 in binary
        },
        rel=1e-7,
        nan_ok=True,
    )
    assert statistics.counts_of(rows[1]) == {-inf: 1, 1: 1, 2: 2, inf: 1}
    assert rows[0] == statistics.empty_rows(1)[0]


@pytest.mark.parametrize("name", ["float16", "bfloat16", *FLOAT8])
def test_every_bit_pattern_of_a_small_type(name, producer):
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    patterns = np.arange(2 ** (8 * dtype.itemsize), dtype=f"uint{8 * dtype.itemsize}")
    if dtype.itemsize == 2:  # each magnitude once, of either sign
        patterns = patterns[: 1 << 15] ^ (patterns[: 1 << 15] % 3 == 0) * np.uint16(1 << 15)
    with np.errstate(invalid="ignore"):
        values = patterns.view(dtype).astype("float64")
        tensor = torch.from_numpy(patterns).view(getattr(torch, name))
        some = np.flatnonzero(np.isfinite(values))[:: 4 * dtype.itemsize - 3]
        (rows,) = measured(producer, [([tensor, tensor[torch.from_numpy(some)]], [0, 1])])
        assert_right(rows[0], values)
        assert_right(rows[1], values[some])


def test_random_bit_patterns(producer):
    patterns = random.integers(0, 2**32, 9_000, dtype=np.uint32)
    parts = [patterns, patterns[:3], patterns[3:6], patterns[6:7]]
    (rows,) = measured(producer, [([torch.from_numpy(part).view(torch.float32) for part in parts], range(4))])
    for row, part in zip(rows, parts, strict=True):
        assert_right(row, part.view("float32"))


NASTY = {
    "large": np.full(5000, 1e30),
    "largest": np.full(5000, 3.4e38),
    "smallest": np.full(5000, 1e-45),
    "all subnormal": np.linspace(1e-45, 1e-40, 5000),
    "some subnormal": np.append(random.normal(0, 1e-35, 5000), [1e-40, 1e-45]),
    "far from zero": random.normal(1e6, 1, 5000),
    "one outlier": np.append(random.normal(1, 1e-3, 4000), 1e30),
    "steps": np.repeat([1e-44, 0, 3e38], 1000),
    "first one, then another": np.append(random.normal(1000, 1, 600), random.normal(0, 1, 8000)),
    "zeros, then small": np.append(np.zeros(6000), random.normal(0, 1e-4, 99)),
    "zeros, then very small": np.append(np.zeros(6000), random.normal(0, 1e-24, 99)),
    "zeros, then large": np.append(np.zeros(6000), random.normal(0, 1e9, 99)),
    "small, then large": np.append(np.full(6000, 1e-20), random.normal(0, 1, 99)),
    "every size": 10 ** random.uniform(-44, 38, 6000) * random.choice([-1, 1], 6000),
    "not all finite": np.append(random.normal(0, 1e-8, 4000), [nan, inf, -inf, -nan]),
    "nothing finite": np.array([nan, inf]),
    "zeros": np.zeros(5000),
    "negative zero": np.array([-0.0]),
    "thirds": np.full(70_000, 1 / 3),
}


@pytest.mark.parametrize("case", NASTY)
def test_nothing_overflows_underflows_or_cancels(case, producer):
    values = NASTY[case].astype("float32")
    (rows,) = measured(producer, [([torch.from_numpy(values)], [0])])
    assert_right(rows[0], values)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_small_types_lose_nothing_to_their_own_precision(name, producer):
    tensors = [torch.from_numpy(random.normal(0, scale, 3000)).to(getattr(torch, name)) for scale in (0.02, 1e-5, 300)]
    (rows,) = measured(producer, [(tensors, range(3))])
    for row, tensor in zip(rows, tensors, strict=False):
        assert_right(row, tensor.double().numpy())


def test_tensors_of_any_layout_and_address_are_measured_whole(producer):
    grid = torch.arange(1.0, 25.0).reshape(2, 3, 4)
    empty, single = torch.empty(0, 3), grid[0, 0, 1]
    views = [grid.transpose(0, 2), grid[:, ::2, 1:], grid[:, :1].expand(2, 5, 4), single, empty, grid[1, 1:]]
    (rows,) = measured(producer, [(views, range(6)), ([empty], [6])], size=7)
    for row, view in zip(rows[:6], views, strict=True):
        assert_right(row, view.numpy())
    assert (rows["numel"].tolist()[4:], rows["calls"].tolist()) == ([0, 8, 0], [1] * 7)


def test_calls_of_a_row_merge_whether_they_come_together_or_not(producer):
    parts = [torch.tensor([1.0, 2.0]), torch.tensor([1e30]), torch.tensor([]), torch.tensor([-3.0, 0.0, nan])]
    together, apart = [(parts, [2] * 4)], [([part], [2]) for part in parts]
    half = [([parts[0].half(), parts[3].half(), parts[1]], [2, 2, 2])]
    first, second, third = measured(producer, together, apart, half)
    for row in (first[2], second[2]):
        assert_right(row, torch.cat(parts).numpy())
        assert row["calls"] == 4
    assert_right(third[2], torch.cat([parts[0], parts[1], parts[3]]).numpy())


def test_each_step_begins_with_nothing(producer):
    steps = measured(producer, [([torch.ones(3)], [0])], [([torch.zeros(2)], [1])], [])
    assert [rows["calls"].tolist() for rows in steps] == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert summary(steps[1][1])["max_abs"] == 0
    assert (steps[2] == statistics.empty_rows(4)).all()


def test_the_same_tensors_give_the_same_bits(producer):
    tensors = [torch.from_numpy(random.normal(0, 1, n)).float() for n in (20_000, 3, 500)]
    first, second = measured(producer, *[[(tensors, [0, 1, 2])]] * 2)
    assert (first == second).all()


def test_rows_hold_the_numbers_of_the_host_producer():
    rows = DeviceRows("cpu", 1)
    assert rows.producer == "host"
    rows.add([torch.tensor([3.0, -4.0])], [0])
    assert summary(rows.send().rows()[0])["rm2"] == math.sqrt(12.5)


def test_a_step_is_read_when_later_ones_go_on():
    rows, sent = DeviceRows("cpu", 1), []
    for value in (1.0, 2.0, 3.0):
        rows.add([torch.tensor([value])], [0])
        sent.append(rows.send())
    assert [one.rows()["max_abs"][0] for one in reversed(sent)] == [3.0, 2.0, 1.0]
    assert sent[0].rows()["max_abs"][0] == 1.0


def test_memory_of_steps_that_were_read_serves_again():
    rows = DeviceRows("cpu", 1)
    first = rows.send()
    taken = first._host.data_ptr()
    first.rows()
    assert rows.send()._host.data_ptr() == taken


@pytest.mark.parametrize("by", ["host", "torch"])
def test_what_was_measured_can_be_forgotten(by):
    rows = DeviceRows("cpu", 1, producer=by)
    rows.add([torch.ones(3)], [0])
    rows.clear()
    rows.add([torch.zeros(2)], [0])
    assert rows.send().rows()["numel"].tolist() == [2]


def test_a_number_arrives_as_it_was_when_it_was_sent():
    tensor = torch.tensor(2.0)
    sent = Arriving(tensor)
    tensor += 1
    assert float(sent) == 2.0
    assert Arriving(torch.tensor([1.0, 3.0])).numpy().tolist() == [1.0, 3.0]


def test_growing_keeps_what_was_measured():
    rows = DeviceRows("cpu", 1, producer="torch")
    rows.add([torch.ones(2)], [0])
    before = rows.send()
    rows.add([torch.ones(3)], [0])
    rows.grow(3)
    rows.add([torch.ones(4)], [2])
    after = rows.send()
    assert (before.rows()["numel"].tolist(), after.rows()["numel"].tolist()) == ([2], [3, 0, 4])
    assert len(rows) == 3


def test_everything_that_cannot_be_measured_is_named_at_once():
    rows = DeviceRows("cpu", 2)
    with pytest.raises(ValueError, match="cannot measure on cpu") as error:
        rows.add([torch.ones(1).int(), torch.ones(1).double(), torch.ones(1, device="meta")], [0, 1, 2])
    words = str(error.value)
    assert "tensor 0 is of int32; allowed are float32, bfloat16, float16," in words
    assert "tensor 1 is of float64" in words
    assert "tensor 2 is on meta; each device needs DeviceRows of its own" in words
    assert "row 2 is not among 0 to 1; make room with grow()" in words
    assert rows.send().rows()["calls"].sum() == 0


def test_without_a_compiler_for_kernels_plain_operations_serve(monkeypatch):
    class Broken:
        def __init__(self, device):
            pass

        def add(self, tensors, places, words):
            raise RuntimeError("no C compiler")

        def finish(self, words):
            pass

    monkeypatch.setitem(device._PRODUCERS, "triton", Broken)
    rows = DeviceRows("cpu", 1, producer="triton")
    rows.add([torch.ones(1).expand(2 << 20)], [0])  # which no kernel measures
    with pytest.warns(UserWarning, match=r"by Triton failed \(RuntimeError: no C compiler\); plain torch operations"):
        rows.add([torch.ones(2)], [0])
    rows.add([torch.ones(2)], [0])
    assert rows.send().rows()["numel"].tolist() == [(2 << 20) + 4]
    assert rows.producer == "torch"
