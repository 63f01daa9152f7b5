"""Merge the partial records of each row when a step is over."""

# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportInvalidTypeForm=false, reportGeneralTypeIssues=false
# (inside kernels, Python's operators and numbers stand for Triton's)

import triton
import triton.language as tl

from tandv.measure._triton_values import NO_SCALE, NORMAL, RECORD_WORDS, WORDS, merged, wide_two_to
from tandv.statistics import WORD

_NUMEL, _NANS, _INFS, _SCALE, _MANTISSA = (
    tl.constexpr(WORD[name]) for name in ("numel", "nans", "infs", "scale", "mantissa")
)
_MAX, _MIN, _SUM, _SUM_ABS, _M2, _SUM4, _SUM8 = (
    tl.constexpr(WORD[name]) for name in ("max_abs", "min_abs", "sum", "sum_abs", "m2", "sum4", "sum8")
)


@triton.jit
def _mantissa(bits):
    """Return one more than the mantissa bits that values use, given those that any uses; 0 if all are zero."""
    mantissa = bits & (NORMAL - 1)
    lowest = mantissa & -mantissa  # a power of two, whose exponent a float32 has
    used = 24 - ((lowest.to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 127)
    return tl.where(mantissa > 0, used, (bits > 0).to(tl.int32))


@triton.jit
def fold(regions, records, ints, floats, BLOCK: tl.constexpr):
    """Merge the records of each row in their order with what the row holds, write its floats, and empty the records.

    `regions` [rows, 2] has the first record of each row and how many it has.
    """
    row = tl.program_id(0).to(tl.int64)
    first, count = tl.load(regions + 2 * row), tl.load(regions + 2 * row + 1)
    nothing = tl.full([], 0.0, tl.float64)
    n, s1, sa, m2, s4, s8 = nothing, nothing, nothing, nothing, nothing, nothing
    scale = tl.full([], NO_SCALE, tl.int32)
    big, small = nothing, nothing + float("inf")
    bits = tl.full([], 0, tl.int32)
    for start in range(0, count, BLOCK):
        number = start + tl.arange(0, BLOCK)
        inside = number < count
        here = records + (first + number) * RECORD_WORDS
        each = tl.load(here, mask=inside, other=0.0)
        used = each > 0
        tl.store(here, tl.zeros([BLOCK], tl.float64), mask=inside)
        scales = tl.where(used, tl.load(here + 1, mask=used, other=0.0).to(tl.int32), NO_SCALE)
        top = tl.max(scales, 0)
        r = wide_two_to(scales - top)
        big = tl.maximum(big, tl.max(tl.load(here + 2, mask=used, other=0.0), 0))
        small = tl.minimum(small, tl.min(tl.load(here + 3, mask=used, other=float("inf")), 0))
        bits |= tl.reduce_or(tl.load(here + 9, mask=used, other=0.0).to(tl.int32), 0)
        n_ = tl.sum(each, 0)
        sums = tl.load(here + 4, mask=used, other=0.0) * r
        s1_ = tl.sum(sums, 0)
        sa_ = tl.sum(tl.load(here + 5, mask=used, other=0.0) * r, 0)
        apart = sums / tl.maximum(each, 1.0) - s1_ / tl.maximum(n_, 1.0)
        r = r * r
        m2_ = tl.sum(tl.load(here + 6, mask=used, other=0.0) * r + each * apart * apart, 0)
        r = r * r
        s4_ = tl.sum(tl.load(here + 7, mask=used, other=0.0) * r, 0)
        s8_ = tl.sum(tl.load(here + 8, mask=used, other=0.0) * (r * r), 0)
        n, scale, s1, sa, m2, s4, s8 = merged(n, scale, s1, sa, m2, s4, s8, n_, top, s1_, sa_, m2_, s4_, s8_)
    if n > 0:
        whole, out = ints + row * WORDS, floats + row * WORDS
        # What has no records was merged into the row at once (expanded tensors); counts have all that was measured.
        n_ = (tl.load(whole + _NUMEL) - tl.load(whole + _NANS) - tl.load(whole + _INFS)).to(tl.float64) - n
        scale_ = tl.load(whole + _SCALE).to(tl.int32)
        s1_, sa_, m2_ = tl.load(out + _SUM), tl.load(out + _SUM_ABS), tl.load(out + _M2)
        s4_, s8_ = tl.load(out + _SUM4), tl.load(out + _SUM8)
        n, scale, s1, sa, m2, s4, s8 = merged(n, scale, s1, sa, m2, s4, s8, n_, scale_, s1_, sa_, m2_, s4_, s8_)
        mantissa = tl.maximum(_mantissa(bits).to(tl.int64), tl.load(whole + _MANTISSA))
        tl.store(whole + _SCALE, scale.to(tl.int64))
        tl.store(whole + _MANTISSA, mantissa)
        tl.store(out + _MAX, tl.maximum(big, tl.load(out + _MAX)))
        tl.store(out + _MIN, tl.minimum(small, tl.load(out + _MIN)))
        tl.store(out + _SUM, s1)
        tl.store(out + _SUM_ABS, sa)
        tl.store(out + _M2, m2)
        tl.store(out + _SUM4, s4)
        tl.store(out + _SUM8, s8)
