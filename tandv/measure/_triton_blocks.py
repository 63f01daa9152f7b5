"""Measure a tensor in block formats on a GPU: one launch for each format casts blocks and sums up what that does.

Where blocks share more than their own scale, those of a tile or of the tensor, a launch before it finds the largest
value of each. An array is [outer, length, inner], its blocks lie along `length`; their numbers run over [outer, blocks,
inner]. Each program writes a record of its own, so that sums have one order.
"""

# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportInvalidTypeForm=false, reportGeneralTypeIssues=false
# (inside kernels, Python's operators and numbers stand for Triton's)

import triton
import triton.language as tl

from tandv.measure._triton_values import read_values, two_to, wide_two_to

_ABS = tl.constexpr(0x7FFFFFFF)
_INF = tl.constexpr(0x7F800000)
_NORMAL = tl.constexpr(0x00800000)
_MX = tl.constexpr(0)
_NV = tl.constexpr(1)


@triton.jit
def _exponent(bits):
    """Return the power of two of float32s of these bits; a subnormal has that of its bits as a number, less 149."""
    low = (bits.to(tl.float32).to(tl.int32, bitcast=True) >> 23) - (127 + 149)
    return tl.where(bits < _NORMAL, low, (bits >> 23) - 127)


@triton.jit
def _rounded(y, M: tl.constexpr, NORMAL: tl.constexpr):
    """Return y >= 0 to nearest even at the step of its power of two, at least at that of 2^NORMAL.

    Adding 2^(exponent + 23 - M) leaves a float32 as many bits as the format has.
    """
    field = tl.maximum(y.to(tl.int32, bitcast=True) >> 23, NORMAL + 127)
    large = ((field + (23 - M)) << 23).to(tl.float32, bitcast=True)
    return (y + large) - large


@triton.jit
def _places(number, length, inner, segments, blocks, SIZE: tl.constexpr):
    """Return where the values of blocks lie, [blocks, SIZE], and which of them there are."""
    place, rest = number % inner, number // inner
    along = (rest % segments)[:, None] * SIZE + tl.arange(0, SIZE)[None, :]
    at = ((rest // segments)[:, None] * length + along) * inner + place[:, None]
    return at, (number < blocks)[:, None] & (along < length)


@triton.jit
def _magnitudes(values, at, inside, table, DTYPE: tl.constexpr):
    """Return the bits of magnitudes, 0 for what is not finite, and how much that is."""
    bits = read_values(tl.load(values + at, mask=inside, other=0), table, DTYPE).to(tl.int32, bitcast=True) & _ABS
    known = inside & (bits < _INF)
    bad = tl.sum(tl.sum((inside & (bits >= _INF)).to(tl.int32), 1), 0)
    return tl.where(known, bits, 0), bad


@triton.jit
def _squares(bits, top):
    """Return the sum of squares of each block, whose largest has the bits `top`, as float64."""
    e = _exponent(top)
    half = e >> 1  # in two steps, since 2^-e alone can be beyond float32
    y = bits.to(tl.float32, bitcast=True) * two_to(-half)[:, None] * two_to(half - e)[:, None]
    unit = wide_two_to(e)
    return tl.where(top > 0, tl.sum(y * y, 1).to(tl.float64) * unit * unit, 0.0)


@triton.jit
def find_tops(
    values, tops, length, inner, segments, blocks, table,
    DTYPE: tl.constexpr, SIZE: tl.constexpr, TOGETHER: tl.constexpr,
):  # fmt: skip
    """Write the bits of the largest finite magnitude of each block."""
    number = tl.program_id(0).to(tl.int64) * TOGETHER + tl.arange(0, TOGETHER)
    at, inside = _places(number, length, inner, segments, blocks, SIZE)
    bits, _ = _magnitudes(values, at, inside, table, DTYPE)
    tl.store(tops + number, tl.max(bits, 1), mask=number < blocks)


@triton.jit
def add_errors(
    values, tops, largest_of_all, records, apart, length, inner, segments, blocks, table,
    DTYPE: tl.constexpr, SIZE: tl.constexpr, TOGETHER: tl.constexpr, TILES: tl.constexpr, KIND: tl.constexpr,
    M: tl.constexpr, NORMAL: tl.constexpr, EMAX: tl.constexpr, LARGEST: tl.constexpr, FLOOR: tl.constexpr,
):  # fmt: skip
    """Write a record for each program, which lie `apart`: squared error, squares, values that become zero, saturated
    ones, and those that are not finite.

    With `TILES` a block has its scale by `tops`, else by its own largest value; `largest_of_all` is that of the tensor,
    where the kind of format needs it.
    """
    program = tl.program_id(0).to(tl.int64)
    number = program * TOGETHER + tl.arange(0, TOGETHER)
    at, inside = _places(number, length, inner, segments, blocks, SIZE)
    bits, bad = _magnitudes(values, at, inside, table, DTYPE)
    own = tl.max(bits, 1)
    if TILES:
        top = tl.load(tops + number, mask=number < blocks, other=0)
    else:
        top = own
    amax = top.to(tl.float32, bitcast=True)
    if KIND == _MX:
        e = tl.maximum(_exponent(top) - EMAX, -127)
        factor, back = tl.where(top > 0, two_to(-e), 0.0), wide_two_to(e)
    elif KIND == _NV:
        whole = tl.load(largest_of_all).to(tl.float32, bitcast=True)
        unit = tl.maximum(tl.div_rn(whole, 2688.0), 1.925929944387236e-34)  # 2^-112
        wanted = tl.maximum(tl.div_rn(tl.div_rn(amax, 6.0), unit), FLOOR)
        scale = tl.minimum(_rounded(tl.minimum(wanted, 896.0), 3, -6), 448.0)
        some = (scale > 0) & (top > 0)
        factor = tl.where(some, tl.div_rn(tl.div_rn(1.0, unit), tl.where(some, scale, 1.0)), 0.0)
        back = scale.to(tl.float64) * unit.to(tl.float64)
    else:
        scale = tl.div_rn(amax, LARGEST)
        some = scale >= 1.1754943508222875e-38  # 2^-126: its inverse is a float32
        factor = tl.where(some, tl.div_rn(1.0, tl.where(some, scale, 1.0)), 0.0)
        back = scale.to(tl.float64)
    y = bits.to(tl.float32, bitcast=True) * factor[:, None]
    r = _rounded(tl.minimum(y, 2 * LARGEST), M, NORMAL)
    over = r > LARGEST
    r = tl.minimum(r, LARGEST)
    d = y - r
    squares = _squares(bits, own)
    error = tl.where(factor > 0, tl.sum(d * d, 1).to(tl.float64) * back * back, squares)
    zeros = tl.sum(tl.sum(((r == 0) & (bits > 0)).to(tl.int32), 1), 0)
    here = records + program * apart
    tl.store(here, tl.sum(error, 0))
    tl.store(here + 1, tl.sum(squares, 0))
    tl.store(here + 2, zeros.to(tl.float64))
    tl.store(here + 3, tl.sum(tl.sum(over.to(tl.int32), 1), 0).to(tl.float64))
    tl.store(here + 4, bad.to(tl.float64))
