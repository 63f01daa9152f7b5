"""Measure tensors on a GPU: every tensor is read once, by one launch, and nothing waits for the host.

A tensor is shared out among programs. Each measures its share with float32 lanes, merges the outcome in
float64 into a partial record of its own and adds its counts to the tensor's row; when the step is over
`fold` merges the records of each row in their order. So no two programs add to the same float, and the
same tensors give the same bits on every run.
"""

# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportInvalidTypeForm=false
# pyrefly: ignore-errors[bad-argument-type, not-a-type]
# (inside kernels, Python's operators and numbers stand for Triton's)

import triton
import triton.language as tl

from tandv.measure._triton_chunk import FIRST_NORMAL, exact_sums, histogram_chunk, packed_chunk, survey
from tandv.measure._triton_counts import HISTOGRAM, PACKED
from tandv.measure._triton_values import (
    ABS,
    INF,
    LANES_OF_TILE,
    NO_SCALE,
    NORMAL,
    RECORD_WORDS,
    WORDS,
    load,
    merged,
    top_above,
    two_to,
    wide_two_to,
)
from tandv.statistics import WORD

SHARE = 8192  # elements; a program's share of a tensor is a multiple of this
CHUNK = 49_152  # elements that lanes add up before float64 takes over; their counts have 16 bits

_NUMEL, _NANS, _INFS, _ZEROS, _CALLS, _COUNTS = (
    tl.constexpr(WORD[name]) for name in ("numel", "nans", "infs", "zeros", "calls", "counts")
)
_CHUNK = tl.constexpr(CHUNK)

# The quick pass expects the largest value between 2^(top - 12) and 2^(top + 7), and counts exponents in a window that
# ends there, or at 2^(top + 3) where packed counts will do. What lies outside is found and done again.
_ABOVE = tl.constexpr(7)
_BELOW = tl.constexpr(12)
_PACKED_ABOVE = tl.constexpr(3)
# The smallest of a chunk is about so many powers of two below the smallest of those looked at: half as many of values
# whose density does not vanish at 0, all of their squares.
_SMALLER = tl.constexpr(12)
_GUESS = tl.constexpr(-14)  # the top of a tensor that begins with zeros: a gradient, most likely


@triton.jit
def _measure(
    base,
    head,
    size,
    share,
    each,
    row,
    record,
    ints,
    records,
    table,
    DTYPE: tl.constexpr,
    EACH: tl.constexpr,
):
    """Measure one of a tensor's shares into the partial `record` and the counts of `ints`, at `row`.

    A share has `each` elements, a multiple of `SHARE`. `base` is a multiple of 16 bytes; `head` elements lie
    before it and are the first share's, too.
    """
    ints += row.to(tl.int64) * WORDS
    counts = ints + _COUNTS
    begin = share * each
    end = tl.minimum(begin + each, size)
    if share == 0:
        begin = -head.to(tl.int64)
        tl.atomic_add(ints + _NUMEL, head + size, sem="relaxed")
        tl.atomic_add(ints + _CALLS, 1, sem="relaxed")

    # First a look at some values from all over the share: how large are they, and do they lie around a number
    # other than 0? They are not taken at a round distance, since that may be the length of a tensor's rows.
    distance = tl.maximum((end - begin) // LANES_OF_TILE // EACH * EACH - EACH, EACH)
    some = begin + tl.arange(0, LANES_OF_TILE)[:, None] * distance + tl.arange(0, EACH)[None, :]
    inside = some < end
    x = load(base + some, inside, table, DTYPE)
    bits = x.to(tl.int32, bitcast=True) & ABS
    known = inside & (bits < INF)
    largest = tl.max(tl.ravel(tl.where(known, bits, 0)), 0)
    sure = largest > 0
    top = tl.where(sure, tl.minimum(top_above(largest), 126), _GUESS)
    y = tl.ravel(tl.where(known, x, 0.0) * two_to(-top))
    count = tl.maximum(tl.sum(tl.ravel(known).to(tl.int32), 0), 1).to(tl.float32)
    mean, square = tl.sum(y, 0) / count, tl.sum(y * y, 0) / count
    centre = tl.where(mean * mean > 0.25 * square, mean, 0.0).to(tl.float64) * wide_two_to(top)
    smallest = tl.min(tl.ravel(tl.where(known & (bits > 0), bits, INF)), 0)
    packed = sure & ((smallest >> 23) - _SMALLER > top + 126 + _PACKED_ABOVE - PACKED)

    nothing = tl.full([], 0.0, tl.float64)
    n, s1, sa, m2, s4, s8 = nothing, nothing, nothing, nothing, nothing, nothing
    scale = tl.full([], NO_SCALE, tl.int32)
    all_big, all_small = tl.full([], 0, tl.int32), tl.full([], INF, tl.int32)
    all_used = tl.full([], 0, tl.int32)

    start = begin
    while start < end:
        chunk = base + start
        aligned = tl.multiple_of(chunk, 16)  # but for the head, which is shorter than a tile
        length = tl.minimum(tl.where(start < 0, 0, end) - start, _CHUNK).to(tl.int32)
        shrink = two_to(-top)
        pivot = (centre * wide_two_to(-top)).to(tl.float32)
        of_fields = counts + (FIRST_NORMAL - 1)
        # Neither window has the field 0, of zeros and subnormals, or 255, of what is not finite.
        if packed:
            first = tl.minimum(tl.maximum(top + 126 + _PACKED_ABOVE - (PACKED - 1), 1), 255 - PACKED)
            largest, smallest, some_used, some_zeros, d1, d2, la, l4, l8, all = packed_chunk(
                aligned, length, shrink, pivot, first, table, of_fields, DTYPE, EACH
            )
        else:
            first = tl.minimum(tl.maximum(top + 126 + _ABOVE - (HISTOGRAM - 3), 1), 255 - (HISTOGRAM - 2))
            largest, smallest, some_used, some_zeros, d1, d2, la, l4, l8, all = histogram_chunk(
                aligned, length, shrink, pivot, first, table, of_fields, DTYPE, EACH
            )
        n_ = length.to(tl.float64)
        scale_ = top
        d1 = d1.to(tl.float64)
        m2_ = tl.maximum(d2.to(tl.float64) - d1 * d1 / n_, 0.0)
        s1_ = d1 + n_ * pivot.to(tl.float64)
        sa_, s4_, s8_ = la.to(tl.float64), l4.to(tl.float64), l8.to(tl.float64)
        strange = 0
        if all == 0:
            packed = packed & (all != 0)
            some_nans, some_infs, some_zeros, largest, some_used = survey(chunk, length, table, counts, DTYPE)
            tl.atomic_add(ints + _NANS, some_nans.to(tl.int64), mask=some_nans > 0, sem="relaxed")
            tl.atomic_add(ints + _INFS, some_infs.to(tl.int64), mask=some_infs > 0, sem="relaxed")
            strange = some_nans + some_infs
        below = (largest > 0) & (top_above(largest) < top - _BELOW) & (sure == 0)
        above = top_above(largest) > top + _ABOVE
        subnormal = (largest > 0) & (largest < NORMAL)
        if (strange > 0) | below | above | subnormal:
            scale_ = top_above(largest)
            if largest < NORMAL:  # the exponent of a subnormal is that of its bits as a number, less 149
                scale_ = top_above(largest.to(tl.float32).to(tl.int32, bitcast=True)) - 149
            n_, s1_, sa_, m2_, s4_, s8_ = exact_sums(chunk, length, table, scale_, DTYPE)
        if largest == 0:
            scale_ = tl.full([], NO_SCALE, tl.int32)

        n, scale, s1, sa, m2, s4, s8 = merged(n, scale, s1, sa, m2, s4, s8, n_, scale_, s1_, sa_, m2_, s4_, s8_)
        tl.atomic_add(ints + _ZEROS, some_zeros.to(tl.int64), mask=some_zeros > 0, sem="relaxed")
        all_used |= some_used
        all_big = tl.maximum(all_big, largest)
        all_small = tl.minimum(all_small, tl.where(some_zeros > 0, 0, smallest))  # what is not finite has larger bits
        if all_big > 0:
            top = tl.minimum(top_above(all_big), 126)
            sure = sure | (all_big > 0)
            centre = s1 / tl.maximum(n, 1.0) * wide_two_to(scale)
        start += length

    if n > 0:  # merge with what this record holds of the row's earlier tensors
        here = records + (record + share).to(tl.int64) * RECORD_WORDS
        n_ = tl.load(here)
        scale_ = tl.where(n_ > 0, tl.load(here + 1), NO_SCALE).to(tl.int32)
        earlier = tl.where(n_ > 0, tl.load(here + 9), 0.0).to(tl.int32)
        tl.store(here + 9, (all_used | earlier).to(tl.float64))
        big = all_big.to(tl.float32, bitcast=True).to(tl.float64)
        small = all_small.to(tl.float32, bitcast=True).to(tl.float64)
        tl.store(here + 2, tl.where(n_ > 0, tl.maximum(big, tl.load(here + 2)), big))
        tl.store(here + 3, tl.where(n_ > 0, tl.minimum(small, tl.load(here + 3)), small))
        n, scale, s1, sa, m2, s4, s8 = merged(
            n,
            scale,
            s1,
            sa,
            m2,
            s4,
            s8,
            n_,
            scale_,
            tl.load(here + 4),
            tl.load(here + 5),
            tl.load(here + 6),
            tl.load(here + 7),
            tl.load(here + 8),
        )
        tl.store(here, n)
        tl.store(here + 1, scale.to(tl.float64))
        tl.store(here + 4, s1)
        tl.store(here + 5, sa)
        tl.store(here + 6, m2)
        tl.store(here + 7, s4)
        tl.store(here + 8, s8)


@triton.jit(do_not_specialize=["address", "head", "size", "each", "row", "record"])
def measure_one(
    address: tl.int64,
    head: tl.int64,
    size: tl.int64,
    each: tl.int64,
    row: tl.int64,
    record: tl.int64,
    ints,
    records,
    table,
    DTYPE: tl.constexpr,
    EACH: tl.constexpr,
):
    """Measure one tensor, given by the address of its first element, with one program for each share."""
    base = address.to(tl.pointer_type(DTYPE))
    share = tl.program_id(0)
    _measure(base, head, size, share, each, row, record, ints, records, table, DTYPE, EACH)


@triton.jit
def measure_many(
    tensors,
    programs,
    ints,
    records,
    table,
    DTYPE: tl.constexpr,
    EACH: tl.constexpr,
):
    """Measure tensors of one type: `programs` [n, 2] names tensor and share of each program, `tensors` [n, 6]
    has what `measure_one` is told of one.
    """
    number = tl.program_id(0)
    tensor = tensors + 6 * tl.load(programs + 2 * number).to(tl.int64)
    share = tl.load(programs + 2 * number + 1)
    base = tl.load(tensor).to(tl.pointer_type(DTYPE))
    head, size, each = tl.load(tensor + 1), tl.load(tensor + 2), tl.load(tensor + 3)
    row, record = tl.load(tensor + 4), tl.load(tensor + 5)
    _measure(base, head, size, share, each, row, record, ints, records, table, DTYPE, EACH)
