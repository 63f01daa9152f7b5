"""Number formats by name, and their limits.

>>> e4m3 = number_format("float8_e4m3fn")
>>> e4m3.max, e4m3.smallest_normal == 2**-6, e4m3.smallest_subnormal == 2**-9
(448.0, True, True)
"""

import math
from collections.abc import Iterable
from functools import cache
from numbers import Integral, Real
from typing import NamedTuple

import ml_dtypes
import numpy as np

from tandv.format_names import format_name, no_format
from tandv.messages import UnknownName


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
        if not _is_whole(given) or not low <= given <= high
    ]
    if bias is not None and not (_is_whole(bias) and -700 <= bias <= 1000):  # all are in the range of float64
        wrong.append(f"bias={bias!r}: allowed are whole numbers from -700 to 1000, and None")
    if largest is not None and (isinstance(largest, bool) or not isinstance(largest, Real)):
        wrong.append(f"largest={largest!r}: allowed are numbers, and None")
    if wrong:
        raise ValueError("; ".join(wrong))
    exponent_bits, mantissa_bits = int(exponent_bits), int(mantissa_bits)
    offset = 2 ** (exponent_bits - 1) - 1 if bias is None else int(bias)
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


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


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
