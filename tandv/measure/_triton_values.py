"""What kernels read and compute with: elements as float32, powers of two from their bits, and merged sums."""

# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportInvalidTypeForm=false
# (inside kernels, Python's operators and numbers stand for Triton's)

import triton
import triton.language as tl

from tandv import statistics

# Words of a partial record: values, scale, largest, smallest, the five sums of a row, and the bits that values use.
RECORD = 10
LANES = 128  # one for each thread; a lane loads 16 bytes at a time, and adds them up on its own

NO_SCALE = tl.constexpr(statistics.NO_SCALE)
WORDS = tl.constexpr(statistics.WORDS)
RECORD_WORDS = tl.constexpr(RECORD)
LANES_OF_TILE = tl.constexpr(LANES)

ABS = tl.constexpr(0x7FFFFFFF)
INF = tl.constexpr(0x7F800000)
NORMAL = tl.constexpr(0x00800000)


@triton.jit
def two_to(exponent):
    """Return 2^exponent as float32, for exponents of normal numbers."""
    return ((exponent + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def wide_two_to(exponent):
    """Return 2^exponent as float64; what is below 2^-1022 is negligible wherever this is used."""
    return ((tl.maximum(exponent, -1022) + 1023).to(tl.int64) << 52).to(tl.float64, bitcast=True)


@triton.jit
def top_above(bits):
    """Return the exponent just above a float32 of these bits, -126 for all subnormals."""
    return (bits >> 23) - 126


@triton.jit
def merged(n, scale, s1, sa, m2, s4, s8, n_, scale_, s1_, sa_, m2_, s4_, s8_):
    """Merge two sets of sums, each of n finite values times 2^-scale, as `statistics.merge` does."""
    top = tl.maximum(scale, scale_)
    r, r_ = wide_two_to(scale - top), wide_two_to(scale_ - top)
    s1, s1_ = s1 * r, s1_ * r_
    apart = s1 / tl.maximum(n, 1.0) - s1_ / tl.maximum(n_, 1.0)
    between = apart * apart * (n * n_ / tl.maximum(n + n_, 1.0))
    q, q_ = r * r, r_ * r_
    m2 = m2 * q + m2_ * q_ + between
    q, q_ = q * q, q_ * q_
    return n + n_, top, s1 + s1_, sa * r + sa_ * r_, m2, s4 * q + s4_ * q_, s8 * (q * q) + s8_ * (q_ * q_)


@triton.jit
def load(pointer, inside, table, DTYPE: tl.constexpr):
    return read_values(tl.load(pointer, mask=inside, other=0), table, DTYPE)


@triton.jit
def read_values(raw, table, DTYPE: tl.constexpr):
    """Return elements as float32: bfloat16 is its upper half, types of 8 bits are looked up in their table."""
    if DTYPE is tl.uint8:
        return tl.load(table + raw.to(tl.int32))
    if DTYPE is tl.uint16:
        return (raw.to(tl.int32) << 16).to(tl.float32, bitcast=True)
    return raw.to(tl.float32)
