"""Logarithms and powers of two without a call of a library, so that loops over them become vectors.

Both are right to about eleven digits: x = 2^e · m with m about 1, log(m) = 2 artanh((m - 1) / (m + 1)), and 2^r with r
from -1/2 to 1/2, by their Taylor series.

Here and in what uses this, integers that are passed on are NumPy's, as in `TOP, NEXT = np.arange(2)`: a constant of
Python's is a type of its own to numba, and a function is compiled again for each of them.
"""

# pyright: reportAttributeAccessIssue=false

import math
import zlib
from pathlib import Path

import numpy as np
from numba import njit

# Divisions by zero give infinity, and need no branch. What allocates nothing need not count references to arrays, which
# was a tenth of the time. What is not set numba takes over from the function that is compiled first with a call of this
# one: sums that may be reordered would cost `exp2` its rounding.
COMPILED: dict = {"nogil": True, "error_model": "numpy", "fastmath": False, "_nrt": False}
ALLOCATING: dict = {**COMPILED, "_nrt": True}
# Sums may be reordered, which makes them vectors; infinity keeps its meaning.
REORDERED: dict = {**COMPILED, "fastmath": {"reassoc", "contract", "nsz"}}
_MANTISSA = 52
_SQRT_HALF = int(np.float64(math.sqrt(0.5)).view(np.int64))
_ONE = 1023 << _MANTISSA
_ROUNDING = 1.5 * 2.0**52  # x + this has the nearest integer of x in its lowest bits
_BITS_OF_ROUNDING = int(np.float64(_ROUNDING).view(np.int64))
_L0, _L1, _L2, _L3, _L4, _L5 = (2 / math.log(2) / (2 * i + 1) for i in range(6))
_E1, _E2, _E3, _E4, _E5, _E6, _E7, _E8, _E9 = (math.log(2) ** i / math.factorial(i) for i in range(1, 10))
VERSION = zlib.crc32(Path(__file__).read_bytes())  # for programs that numba keeps on disk: this is compiled into them


@njit(**COMPILED)
def log2(x):
    """Return the logarithm to base 2 of a float above zero that is neither subnormal nor infinite."""
    bits = np.float64(x).view(np.int64)
    e = (bits - _SQRT_HALF) >> _MANTISSA
    m = np.int64(bits - (e << _MANTISSA)).view(np.float64)
    s = (m - 1) / (m + 1)
    z = s * s
    series = _L0 + z * (_L1 + z * (_L2 + z * (_L3 + z * (_L4 + z * _L5))))
    return e + s * series


@njit(**COMPILED)
def exp2(x):
    """Return 2^x, for x up to 1000; below -1000 that of -1000, which is as good as none."""
    x = -1000.0 if x < -1000.0 else x
    shifted = x + _ROUNDING
    n = np.float64(shifted).view(np.int64) - _BITS_OF_ROUNDING
    r = x - (shifted - _ROUNDING)
    low = _E4 + r * (_E5 + r * (_E6 + r * (_E7 + r * (_E8 + r * _E9))))
    return (1 + r * (_E1 + r * (_E2 + r * (_E3 + r * low)))) * np.int64((n << _MANTISSA) + _ONE).view(np.float64)
