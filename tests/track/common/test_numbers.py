"""Numbers of the loop: which are taken, as what, and what is said of those that are none."""

import math
import threading
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn

from tandv.curves import read_curves
from tandv.track.common.numbers import known, mean_of
from tandv.track.jax import track as track_jax
from tandv.track.torch import _numbers, track

NUMBERS = [
    2,
    True,
    0.1,
    Decimal("0.5"),
    Fraction(1, 4),
    np.float32(0.1),
    np.int8(-3),
    np.array([[7.0]]),
    np.ma.array([7.5], mask=[False]),
    np.array(1.5, ml_dtypes.bfloat16),
    torch.tensor(0.1),
    torch.tensor(3.0, requires_grad=True),
    nn.Parameter(torch.tensor(4.0)) * 2,
    torch.tensor(1.5, dtype=torch.bfloat16),
    torch.tensor(5),
    torch.tensor(True),
]
NO_NUMBERS = {
    "1.5": "it is a str",
    b"1": "it is a bytes",
    (1, 2): "it is a tuple",
    1j: "it is a complex",
    "array": "it is an array of shape (2,)",
    "text": "it is an array of <U3",
    "masked": "it is masked, which is no number",
    "masked array": "it is masked, which is no number",
    "tensor": "it is a tensor of shape (2,)",
    "meta": "it is a tensor without memory (meta)",
    "complex": "it is a tensor of torch.complex64",
}
MADE = {
    "array": np.zeros(2),
    "text": np.array("1.5"),
    "masked": np.ma.masked,
    "masked array": np.ma.array([7.0], mask=[True]),
    "tensor": torch.zeros(2),
    "meta": torch.zeros((), device="meta"),
    "complex": torch.tensor(1j),
}


def one_step(**numbers):
    with track(nn.Linear(2, 2), path="run") as tracker:
        tracker.step(**numbers)
    return read_curves(tracker.path)


def test_numbers_of_every_kind_are_kept_as_what_float_makes_of_them():
    curves = one_step(**{f"n{i}": number for i, number in enumerate(NUMBERS)}, none=None)
    plain = [number.item() if hasattr(number, "item") else float(number) for number in NUMBERS]
    assert [curves[f"n{i}"][0] for i in range(len(NUMBERS))] == plain
    assert len(curves.columns) == len(NUMBERS)


@pytest.mark.parametrize("given", NO_NUMBERS, ids=str)
def test_what_is_no_number_is_said_once_and_the_others_are_kept(given):
    value = MADE.get(given, given) if isinstance(given, str) else given
    with track(nn.Linear(2, 2), path="run") as tracker, pytest.warns(UserWarning) as caught:
        for step in range(3):
            tracker.step(odd=value, loss=step)
    (warning,) = caught
    assert f"odd= of step 0 is not kept: {NO_NUMBERS[given]}; allowed are numbers of Python, and" in str(
        warning.message
    )
    assert read_curves(tracker.path)["loss"].tolist() == [0, 1, 2]
    assert list(read_curves(tracker.path)) == ["loss"]


def test_the_name_of_the_steps_is_taken():
    with track(nn.Linear(2, 2), path="run") as tracker, pytest.warns(UserWarning, match=r"track\(init_step=\.\.\.\)"):
        tracker.step(step=7, loss=1.0)
    assert read_curves(tracker.path).to_dict() == {"loss": {0: 1.0}}


def test_any_other_name_may_be_given():
    assert list(one_step(**{"self": 1, "loss/train": 2, "wert ö": 3, "numbers": 4})) == [
        "self",
        "loss/train",
        "wert ö",
        "numbers",
    ]


def test_a_tensor_that_changes_in_place_keeps_what_it_was():
    loss = torch.tensor(1.0)
    with track(nn.Linear(2, 2)) as tracker:
        for _ in range(3):
            tracker.step(loss=loss)
            loss.mul_(2)
        array = np.array(5.0)
        tracker.step(loss=array)
        array += 1
    assert read_curves(tracker.path)["loss"].tolist() == [1.0, 2.0, 4.0, 5.0]


def test_several_numbers_of_a_step_are_averaged_and_belong_to_it():
    with track(nn.Linear(2, 2), init_step=10) as tracker:
        tracker.numbers(loss=1.0)
        tracker.numbers(loss=torch.tensor(2.0), norm=7)
        tracker.step(loss=6.0)
        tracker.numbers(loss=math.nan)
        tracker.step(loss=1.0)
        tracker.step()
        tracker.numbers(val=0.5)  # of the weights after the last step
    curves = read_curves(tracker.path)
    assert curves["loss"].fillna(-1).to_dict() == {10: 3.0, 11: -1.0, 13: -1.0}
    assert curves.attrs["nan"] == {"loss": [11]}
    assert curves["norm"].dropna().to_dict() == {10: 7.0}
    assert curves["val"].dropna().to_dict() == {13: 0.5}


@pytest.mark.parametrize(
    ("numbers", "mean"),
    [([1.0], 1.0), ([1e308, 1e308], 1e308), ([0.1] * 3, 0.1), ([math.inf, 1.0], math.inf)],
)
def test_means(numbers, mean):
    assert mean_of([known(number) for number in numbers])(True) == pytest.approx(mean, rel=1e-15)


def test_infinity_less_infinity_and_what_has_not_arrived():
    read = mean_of([known(math.inf), known(-math.inf)])(True)
    assert read is not None
    assert math.isnan(read)
    assert mean_of([known(1.0), lambda wait: 3.0 if wait else None])(False) is None
    assert mean_of([known(1.0), lambda wait: 3.0 if wait else None])(True) == 2.0


def test_the_users_modes_neither_see_nor_change_it():
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.calls += 1
            return func(*args, **(kwargs or {}))

    with track(nn.Linear(2, 2)) as tracker:
        loss = torch.tensor(2.0)
        with Count() as count, torch.device("meta"):
            tracker.numbers(loss=loss)
        tracker.step()
    assert count.calls == 0
    assert read_curves(tracker.path)["loss"].tolist() == [2.0]


def test_before_and_after_the_block_it_is_said_what_to_write():
    tracker = track(nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match=r"tracker\.numbers\(\) outside its block; write `with track"):
        tracker.numbers(loss=1.0)


def test_a_number_on_a_gpu_is_copied_in_order_and_read_when_it_has_arrived(monkeypatch):
    arrived, empty = [], torch.empty

    class Event:
        def record(self, stream):
            assert stream == "the user's"

        def query(self):
            return bool(arrived)

        def synchronize(self):
            arrived.append("waited")

    device = SimpleNamespace(Event=Event, current_stream=lambda device: "the user's")
    monkeypatch.setattr(torch, "cpu", device)  # stands for the module of a GPU
    monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory, **more: empty(*shape, **more))
    loss = torch.tensor(2.0)
    read = _numbers._arriving(loss)
    loss.mul_(3)
    assert read(False) is None
    assert read(True) == 2.0
    assert arrived == ["waited"]
    assert read(False) == 2.0


# ------------------------------------------------------------------------------------------------ JAX


def test_arrays_of_jax_are_kept_though_they_are_donated_or_deleted_afterwards():
    double = jax.jit(lambda x: x * 2, donate_argnums=0)
    loss = jnp.float32(1.0)
    with track_jax() as tracker:
        for _ in range(3):
            tracker.step(loss=loss, half=jnp.bfloat16(0.5), one=jnp.ones((1, 1)), whole=jnp.int32(3))
            loss = double(loss)
        tracker.step(loss=loss, other=torch.tensor(0.25, requires_grad=True))
        loss.delete()
    curves = read_curves(tracker.path)
    assert curves["loss"].tolist() == [1.0, 2.0, 4.0, 8.0]
    assert curves[["half", "one", "whole"]].iloc[0].tolist() == [0.5, 1.0, 3.0]
    assert curves["other"].dropna().tolist() == [0.25]


def test_a_loss_that_is_not_ready_is_not_waited_for(monkeypatch):
    training = threading.get_ident()

    class NotReady:
        """Stands for a copy of an array on a device that is busy until the run ends."""

        def is_ready(self):
            return False

        def copy_to_host_async(self):
            pass

        def __array__(self, dtype=None, copy=None):
            assert over or threading.get_ident() != training, "training waited for the device"
            return np.array(3.0, np.float32)

    over: list[bool] = []
    monkeypatch.setattr(jnp, "copy", lambda array: NotReady())
    with track_jax(path="run", offload_inc=2, async_offload=False) as tracker:
        for _ in range(5):
            tracker.step(loss=jnp.float32(3.0))
        over.append(True)
    assert read_curves(tracker.path)["loss"].tolist() == [3.0] * 5


def test_neither_guards_of_transfers_nor_the_search_for_nan_are_in_the_way():
    with track_jax() as tracker, jax.transfer_guard("disallow"), jax.debug_nans(True):
        with jax.debug_nans(False), jax.transfer_guard("allow"):
            loss = jnp.log(jnp.float32(-1.0))
        tracker.step(loss=loss)
        tracker.step(loss=1.0)
    assert read_curves(tracker.path)["loss"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (lambda: jnp.zeros(2), r"it is an array of shape \(2,\)"),
        (lambda: jax.random.key(0), "it is an array of key"),
        (lambda: deleted(), "donated or deleted"),
        (lambda: jnp.array(1j), "it is an array of complex64"),
    ],
)
def test_what_is_no_number_in_jax_is_said(odd, words):
    with track_jax() as tracker, pytest.warns(UserWarning, match=rf"loss= of step 0 is not kept: .*{words}"):
        tracker.step(loss=odd(), lr=0.5)
    assert read_curves(tracker.path).to_dict() == {"lr": {0: 0.5}}


def test_a_number_that_is_traced_is_said():
    with track_jax() as tracker, pytest.warns(UserWarning, match="it is being traced .call this outside of jit"):
        jax.jit(lambda x: (tracker.numbers(loss=x), x)[1])(jnp.ones(()))
        tracker.step(lr=0.5)


def deleted():
    array = jnp.ones(())
    array.delete()
    return array


def test_a_replicated_array_is_read_from_one_device():
    mesh = jax.make_mesh((jax.device_count(),), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    replicated = jax.device_put(jnp.float32(2.5), jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))
    with track_jax() as tracker:
        tracker.step(loss=replicated)
    assert read_curves(tracker.path)["loss"].tolist() == [2.5]


def test_a_zero_keeps_its_sign():
    with track(nn.Linear(2, 2), path="run") as tracker:
        tracker.numbers(twice=-0.0)
        tracker.step(loss=-0.0, twice=-0.0)
    curves = read_curves(tracker.path)
    assert [math.copysign(1, curves[name][0]) for name in ("loss", "twice")] == [-1, -1]
    assert str(mean_of([known(-0.0), known(0.0)])(True)) == "0.0"


def test_a_name_that_no_file_can_hold_is_refused_when_it_is_given():
    with track(nn.Linear(2, 2), path="run") as tracker:
        words = r"no phase can be called 'x\\ud800': no file can hold a lone surrogate"
        with pytest.raises(ValueError, match=words), tracker.phase("x\ud800"):
            pass
        with pytest.warns(UserWarning, match=r"x\\ud800= of step 0 is not kept: no number can be called"):
            tracker.numbers(**{"x\ud800": 1.0, "größe 🙂": 3.0})
        tracker.step(loss=2.0)
    curves = read_curves(tracker.path)
    assert curves["loss"].to_dict() == {0: 2.0}
    assert curves["größe 🙂"].to_dict() == {0: 3.0}
