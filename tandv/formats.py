"""Number formats by name: their limits, and how a log's values would overflow or vanish when cast to one.

>>> e4m3 = number_format("float8_e4m3fn")
>>> e4m3.max, e4m3.smallest_normal == 2**-6, e4m3.smallest_subnormal == 2**-9
(448.0, True, True)
"""

import math
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import ml_dtypes
import numpy as np

from tandv.format_names import format_name, no_format
from tandv.messages import UnknownName

if TYPE_CHECKING:
    import pandas as pd


class _Called(NamedTuple):
    """What a format is called besides its name: in a label, and in a file of safetensors."""

    short: str
    safetensors: str = ""


# The one table of number formats, by their names in ml_dtypes, NumPy, torch and JAX.
_TABLE = {
    "float8_e4m3fn": _Called("e4m3", "F8_E4M3"),
    "float8_e5m2": _Called("e5m2", "F8_E5M2"),
    "float8_e3m4": _Called("e3m4"),
    "float8_e4m3": _Called("e4m3 (ieee)"),
    "float8_e4m3fnuz": _Called("e4m3fnuz"),
    "float8_e5m2fnuz": _Called("e5m2fnuz"),
    "float8_e4m3b11fnuz": _Called("e4m3b11"),
    "float8_e8m0fnu": _Called("e8m0", "F8_E8M0"),
    "float6_e2m3fn": _Called("e2m3"),
    "float6_e3m2fn": _Called("e3m2"),
    "float4_e2m1fn": _Called("e2m1"),
    "float16": _Called("fp16", "F16"),
    "bfloat16": _Called("bf16", "BF16"),
    "float32": _Called("fp32", "F32"),
    "float64": _Called("fp64", "F64"),
}
SHORT = {name: called.short for name, called in _TABLE.items()}
SAFETENSORS: dict[str, str] = {called.safetensors: name for name, called in _TABLE.items() if called.safetensors}
EIGHT_BITS = tuple(sorted(name for name in _TABLE if name.startswith("float8")))
# Those that values are cast to: e8m0 has neither sign nor zero, it holds the scales of blocks.
FORMATS = tuple(name for name in _TABLE if name != "float8_e8m0fnu")


UnknownFormat = UnknownName  # the name that it had here


class Format(NamedTuple):
    """The limits of a number format, as magnitudes.

    >>> number_format("float16").max
    65504.0

    Args:
        name: the name in ml_dtypes or NumPy.
        short: a short name such as "e4m3".
        bits: how many bits a value has.
        max: the largest finite value.
        smallest_normal: the smallest value with full precision.
        smallest_subnormal: the smallest value above zero.
        overflows_above: the largest value that still rounds to `max`, half a step above it.
        vanishes_at: half of the smallest subnormal: the largest value that rounds to zero (to nearest, ties to even).
    """

    name: str
    short: str
    bits: int
    max: float
    smallest_normal: float
    smallest_subnormal: float
    overflows_above: float
    vanishes_at: float

    @property
    def mantissa_bits(self) -> int:
        """Of a normal value, without the leading one."""
        return exponent(self.smallest_normal) - exponent(self.smallest_subnormal)


@cache
def number_format(name: str) -> Format:
    """Return the limits of a number format.

    >>> number_format("e5m2").max
    57344.0

    Args:
        name: the name of the format, such as "float8_e5m2", or its short name.

    Raises UnknownName with the nearest names.
    """
    name = format_name(name)
    full = {short: name for name, short in SHORT.items()}.get(name, name)
    try:
        info = ml_dtypes.finfo(full)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        raise UnknownName(no_format(name, {full: SHORT[full] for full in FORMATS})) from None
    normal = float(info.smallest_normal)
    return _limits(str(full), int(info.bits), float(info.max), normal, int(info.nmant))


def _limits(name: str, bits: int, largest: float, normal: float, mantissa_bits: int) -> Format:
    step = math.ldexp(1.0, exponent(largest) - mantissa_bits)
    odd = (largest / step) % 2 == 1
    half_way = largest + step / 2
    subnormal = math.ldexp(normal, -mantissa_bits)
    return Format(
        name=name,
        short=SHORT.get(name, name),
        bits=bits,
        max=largest,
        smallest_normal=normal,
        smallest_subnormal=subnormal,
        # An odd last digit means that the tie rounds away, to infinity.
        overflows_above=math.nextafter(half_way, 0) if odd else half_way,
        vanishes_at=subnormal / 2,
    )


def custom_format(
    exponent_bits: int, mantissa_bits: int, largest: float | None = None, bias: int | None = None, name: str = ""
) -> Format:
    """Return the limits of a number format of one's own: a sign, an exponent, a mantissa, subnormals as in IEEE 754.

    >>> custom_format(4, 3, largest=448)[3:] == number_format("e4m3")[3:]
    True
    >>> custom_format(5, 4).name, custom_format(5, 4).max
    ('e5m4', 63488.0)

    Args:
        exponent_bits: of a value, 1 to 8.
        mantissa_bits: of a value, without the leading one, 0 to 23.
        largest: the largest finite value; None as in IEEE 754, where the highest exponent is left to infinity and NaN.
        bias: what is subtracted from the exponent that is stored; None for 2^(exponent_bits - 1) - 1.
        name: its name; "" for one such as "e5m4".

    Raises ValueError that names everything that is wrong.
    """
    wrong = [
        f"{what}={given!r}: allowed are whole numbers from {low} to {high}"
        for what, given, low, high in (("exponent_bits", exponent_bits, 1, 8), ("mantissa_bits", mantissa_bits, 0, 23))
        if not isinstance(given, int) or not low <= given <= high
    ]
    if wrong:
        raise ValueError("; ".join(wrong))
    offset = 2 ** (exponent_bits - 1) - 1 if bias is None else bias
    highest = 2**exponent_bits - 1 - offset
    greatest = math.ldexp(2 - math.ldexp(1.0, -mantissa_bits), highest)
    if largest is None:
        largest = greatest / 2
        if exponent_bits < 2:
            raise ValueError("exponent_bits=1 leaves no exponent but infinity's; say the largest value")
    low = math.ldexp(1.0, 1 - offset)
    if not low <= largest <= greatest or math.ldexp(largest, mantissa_bits - exponent(largest)) % 1:
        raise ValueError(
            f"largest={largest!r}: allowed are values with {mantissa_bits} mantissa bits from {low} to {greatest}"
        )
    name = name or f"e{exponent_bits}m{mantissa_bits}"
    return _limits(name, 1 + exponent_bits + mantissa_bits, float(largest), low, mantissa_bits)


def is_format(name: str) -> bool:
    """Tell whether a name is that of a number format, not a short one.

    >>> is_format("bfloat16"), is_format("bf16"), is_format("int32")
    (True, False, False)

    Args:
        name: a name in ml_dtypes or NumPy.
    """
    try:
        ml_dtypes.finfo(name)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return False
    return True


def dtype(name: str) -> np.dtype:
    """Return the dtype of a number format: NumPy's own, or that of ml_dtypes where NumPy has none.

    >>> dtype("float8_e4m3fn").itemsize, dtype("float64").itemsize
    (1, 8)

    Args:
        name: the name of the format.
    """
    return np.dtype(getattr(ml_dtypes, name, name))


def exponent(value: float) -> int:
    """Return the n of 2^n <= value < 2^(n+1), exactly.

    >>> exponent(448.0), exponent(2.0**-9), exponent(0.3)
    (8, -9, -2)

    Args:
        value: a finite number above zero.
    """
    return math.frexp(value)[1] - 1


class Shares(NamedTuple):
    """Shares of the values of each log row, from 0 to 1, as [rows, 2]: the least and the most that each can be.

    >>> from tandv.log import logframe
    >>> cast_shares(logframe.example_log(layers=2, steps=1), "bfloat16").overflow.max().item()
    0.0

    Args:
        overflow: of values that would become infinite or saturate.
        subnormal: of values that would be subnormal.
        to_zero: of values that would round to zero.
    """

    overflow: np.ndarray
    subnormal: np.ndarray
    to_zero: np.ndarray


def cast_shares(rows: "pd.DataFrame", name: str, shift: int = 0) -> Shares:
    """Return the shares of each log row that would overflow, be subnormal or go to zero in a format.

    A share is an interval where the exponent counts cannot tell: the bin that holds the format's largest value
    (narrowed by `max_abs`), and values outside of the counted range. Elsewhere both ends agree, with one exception: a
    value of exactly half the smallest subnormal, which would go to zero, counts as subnormal. Values that are zero
    already count in no share.

    >>> from tandv.log.logframe import example_log, select
    >>> row = select(example_log(), "embed", "Activation", 0)
    >>> cast_shares(row, "float8_e4m3fn").overflow.tolist()
    [[0.0, 0.0]]

    Args:
        rows: rows of a log.
        name: the name of the number format.
        shift: values are first multiplied by 2^`shift`, as by a scale per tensor.

    Raises UnknownName with the nearest names.
    """
    to = number_format(name)
    counts = rows["exponent_counts"]
    bins = sorted(n for n in counts.columns if not math.isinf(n))
    inside = counts[bins].to_numpy(np.int64)
    at_zero, at_infinity = (counts[end].to_numpy(np.int64) for end in (-math.inf, math.inf))
    exponents = np.array(bins, int) + shift

    def scalar(stat: str) -> np.ndarray:
        if ("scalar_stats", stat) not in rows.columns:
            return np.full(len(rows), np.nan)
        return rows[("scalar_stats", stat)].to_numpy(np.float64, na_value=np.nan)

    nans = np.nan_to_num(scalar("nans"))
    total = np.maximum(inside.sum(1) + at_zero + at_infinity + nans, 1)

    # Of a value beyond the counted bins only that is known: it is larger than all of them.
    infinities = np.fmin(scalar("infs"), at_infinity)
    infinities = np.where(np.isnan(infinities), at_infinity, infinities)
    above = at_infinity - infinities
    zeros = np.minimum(scalar("zeros"), at_zero)
    certain_below = np.where(np.isnan(zeros), 0, at_zero - zeros)
    possible_below = np.where(np.isnan(zeros), at_zero, at_zero - zeros)
    first, last = (exponents[0], exponents[-1]) if len(bins) else (0, -1)

    limit = exponent(to.overflows_above)
    sure = inside[:, exponents > limit].sum(1) + infinities + np.where(last + 1 > limit, above, 0)
    maybe = inside[:, exponents >= limit].sum(1) + infinities + above
    largest, smallest = (np.ldexp(scalar(stat), shift) for stat in ("max_abs", "min_abs"))
    maybe = np.where(largest <= to.overflows_above, infinities, maybe)
    sure = np.maximum(sure, np.where(largest > to.overflows_above, infinities + 1, 0))
    sure = np.minimum(sure, maybe)

    half, normal = exponent(to.vanishes_at), exponent(to.smallest_normal)
    lost = inside[:, exponents < half].sum(1)
    lost_sure = lost + np.where(first <= half, certain_below, 0)
    lost_maybe = lost + possible_below
    # min_abs is of the non-zero values or, in some logs, of all: above the threshold either shows that none is lost.
    none_lost = smallest > to.vanishes_at
    lost_sure, lost_maybe = np.where(none_lost, 0, lost_sure), np.where(none_lost, 0, lost_maybe)

    small = inside[:, (exponents >= half) & (exponents < normal)].sum(1)
    small_sure = small
    small_maybe = small + np.where(first <= half, 0, possible_below)

    def share(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return np.stack([low, high], axis=1) / total[:, None]

    return Shares(share(sure, maybe), share(small_sure, small_maybe), share(lost_sure, lost_maybe))


def known(names: Iterable[str] | str) -> list[Format]:
    """Return the limits of several formats, each once, in the order given.

    >>> [one.short for one in known(["float16", "fp16", "e4m3"])]
    ['fp16', 'e4m3']

    Args:
        names: a name or several names.

    Raises UnknownName with the nearest names.
    """
    several = list(names) if isinstance(names, list | tuple | set | dict) else [names]
    return list(dict.fromkeys(number_format(format_name(name)) for name in several))
