"""Ticks and numbers as people read them."""

import pytest
from matplotlib.figure import Figure

from tandv.viz.layout.colours import Scale
from tandv.viz.layout.log_ticks import decimal_ticks, log2_ticks
from tandv.viz.layout.ticks import exponent_ticks, limit_text, linear_ticks, power, step_ticks, value_text


def axis(width=6.0, **limits):
    ax = Figure(figsize=(width, 3)).subplots()
    ax.set(**limits)
    return ax


def labels(axis):
    return axis.get_major_formatter().format_ticks(list(axis.get_majorticklocs()))


@pytest.mark.parametrize(("n", "text"), [(0, "2⁰"), (-126, "2⁻¹²⁶"), (13, "2¹³")])
def test_powers(n, text):
    assert power(n) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1.5, "1.5"), (12345.6, "12,346"), (1e6, "1e6"), (-3e-7, "-3e-7"), (float("nan"), "nan")],
)
def test_values(value, text):
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(448, "448"), (57344, "57,344"), (2**-9, "2⁻⁹"), (65504, "65,504"), (0.5, "2⁻¹"), (6, "6")]
)
def test_limits(value, text):
    assert limit_text(value) == text


@pytest.mark.parametrize("high", [1, 9, 100, 12_345, 9_999_999])
def test_steps_are_whole_and_few(high):
    for width in (2, 6, 15):
        ax = axis(width, xlim=(0, high))
        step_ticks(ax.xaxis)
        places = ax.xaxis.get_majorticklocs()
        assert 1 <= len(places) <= 11
        assert all(p == int(p) for p in places)


def test_exponents_are_powers_with_room_between():
    ax = axis(6, xlim=(-140, 20))
    exponent_ticks(ax.xaxis)
    assert 3 <= len(labels(ax.xaxis)) <= 10
    assert all(p % 16 == 0 for p in ax.xaxis.get_majorticklocs())


def test_a_log2_axis_with_less_than_two_octaves_has_plain_numbers():
    ax = axis(ylim=(3, 5))
    ax.set_yscale("log", base=2)
    log2_ticks(ax.yaxis)
    assert set(labels(ax.yaxis)) >= {"3", "5"} or "3.5" in labels(ax.yaxis)


@pytest.mark.parametrize(
    ("low", "high", "some"),
    [
        (1.5101, 1.5109, ["1.5102", "1.5104"]),
        (-1.5109, -1.5101, ["-1.5108", "-1.5106"]),
        (123_456, 123_460, ["123,456", "123,457"]),
        (-4e-13, 4e-13, ["-4e-13", "0", "4e-13"]),
        (0, 3, ["0", "1", "2", "3"]),
    ],
)
def test_ticks_have_as_many_digits_as_tell_them_apart(low, high, some):
    for scale, tick in (("linear", linear_ticks), ("log", decimal_ticks), ("log", log2_ticks)):
        if low <= 0 and scale == "log":
            continue
        ax = axis(ylim=(low, high), yscale=scale)
        tick(ax.yaxis)
        assert len(set(labels(ax.yaxis))) == len(ax.yaxis.get_majorticklocs())
        assert set(some) <= set(labels(ax.yaxis))


def test_longer_numbers_have_fewer_ticks_on_an_axis_of_x():
    ax = axis(2.5, xlim=(1.51001, 1.51009))
    linear_ticks(ax.xaxis)
    assert len(labels(ax.xaxis)) <= 3


@pytest.mark.parametrize(
    "scale",
    [
        Scale("log2", -3.0, 4.0),
        Scale("log2", -0.2, 0.3),
        Scale("log2", -140.0, 3.0, below=True),
        Scale("change", -7.0, 7.0, above=True),
        Scale("signed", -20.0, 20.0, floor=-12.0),
        Scale("linear", 0.0, 1.0),
    ],
)
@pytest.mark.parametrize("most", [2, 3, 5])
def test_a_key_has_at_least_two_numbers_in_rising_order(scale, most):
    ticks = scale.ticks(most)
    assert 2 <= len(ticks) <= 6
    places = [at for at, _ in ticks]
    assert places == sorted(places)
    assert min(places) >= -1e-9
    assert max(places) <= 1 + 1e-9
    assert (places[0], places[-1]) == (0, 1)
    assert ticks[0][1].startswith("<") == scale.below
    assert ticks[-1][1].startswith(">") == scale.above
